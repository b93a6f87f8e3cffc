--- neap.store: typed access to the stored configuration: JSON records with a version.
---
--- A record is found by kind and name. Kinds: "provider", "group", "token", "setting", "keyword",
--- "policy", … (rows "KIND/NAME" of the table config), and "key", whose name is "PROVIDER/ID" (rows
--- of the table keys). Each record has a `version`, a number that each write makes one greater: who
--- changes a record says which one he has seen, and is refused where it is another one by now. All
--- functions that read or write wait; they raise for a wrong kind or name only.
---
--- A write is in force after the next load (host.reload). What it holds is checked by
--- neap.config_stored when it is loaded: whoever writes checks it before.
---
--- A secret stands sealed in the record: { sealed = { FIELD = store.seal(kind, name, FIELD, …) } },
--- and nowhere else, so that a rotation of the master key finds it.

local host = require "neap.host"
local json = require "neap.json"

local store = {}

local NAME_MAX = 400 -- bytes
local PAGE_MAX = 1000
local TRIES = 5 -- of a write that does not care what is there

---@class neap.store.change
---@field kind string
---@field name string
---@field fields table? the whole record; nil: it is removed
---@field expected number? version that has been seen; 0: there is none; nil: whatever there is

-- ------------------------------------------------------------------------------------
-- Rows

--- The table of a kind, and what stands in its rows' keys before the name.
local function front_of(kind)
  if type(kind) ~= "string" or not kind:find("^%l[%l_]*$") then error("a kind is a word", 4) end
  if kind == "key" then return "keys", "" end
  return "config", kind .. "/"
end

--- Table and key of a record.
---@param kind string
---@param name string
---@return neap.host_table table, string key
local function place_of(kind, name)
  local of, front = front_of(kind)
  if type(name) ~= "string" or name == "" or #name > NAME_MAX then
    error("a record's name is a text of 1 to 400 bytes", 3)
  end
  if kind == "key" and (not name:find("^[^/]+/.") or name:find("^state/")) then
    error("a key's name is PROVIDER/ID", 3)
  end
  return of, front .. name
end

--- A JSON object as it was stored. Raises where it is none: then somebody else wrote it.
local function decode(text)
  local value = json.decode(text)
  if not json.is_object(value) then error("a stored record is no JSON object", 0) end
  return value
end

local function version_of(text)
  if not text then return 0 end
  local ok, value = pcall(decode, text)
  -- What cannot be read can be replaced by whoever does not mind.
  return ok and tonumber(value.version) or -1
end

local function encode(fields, version)
  local record = json.object()
  for name, value in pairs(fields) do record[name] = value end
  record.version = version
  return json.encode(record)
end

-- ------------------------------------------------------------------------------------
-- Reading

--- The record, or nil where there is none; then nil, "failed" and why where the store could not be
--- read or the record is no JSON.
---@param kind string
---@param name string
---@return table? record, "failed"? problem, string? why
function store.get(kind, name)
  local text, problem, why = host.store_get(place_of(kind, name))
  if not text then return nil, problem, why end
  local ok, record = pcall(decode, text)
  if not ok then return nil, "failed", record end
  return record
end

--- A page of records in the order of their names: { { name = …, record = … }, … }, and the cursor
--- of the next page, or nil. options: prefix of the names, after (a cursor), limit (100). A record
--- that is no JSON has none: { name = …, problem = … }.
---@param kind string
---@param options { prefix: string?, after: string?, limit: integer? }?
---@return table[]? records, string? cursor_or_problem, string? why
function store.list(kind, options)
  options = options or {}
  local of, front = front_of(kind)
  local rows, cursor, why = host.store_scan(of, {
    prefix = front .. (options.prefix or ""), limit = math.min(options.limit or 100, PAGE_MAX),
    after = options.after and front .. options.after or nil,
  })
  if not rows then return nil, cursor, why end
  local records = {}
  for index = 1, #rows, 2 do
    -- The state of keys and targets lies among the keys and is no configuration.
    if of ~= "keys" or rows[index]:sub(1, 6) ~= "state/" then
      local ok, record = pcall(decode, rows[index + 1])
      records[#records + 1] = { name = rows[index]:sub(#front + 1), record = ok and record or nil,
        problem = not ok and record or nil }
    end
  end
  return records, cursor and cursor:sub(#front + 1) or nil
end

--- All records of a kind, page by page.
---@param kind string
---@param prefix string? of their names
---@return table[]? records, string? problem, string? why
function store.all(kind, prefix)
  local all, after = {}, nil
  repeat
    local page, cursor, why = store.list(kind, { prefix = prefix, after = after, limit = PAGE_MAX })
    if not page then return nil, cursor, why end
    for _, one in ipairs(page) do all[#all + 1] = one end
    after = cursor
  until not after
  return all
end

-- ------------------------------------------------------------------------------------
-- Writing

--- The ops of one change, and its new version; or nil and "conflict".
local function ops_of(ops, change)
  local of, key = place_of(change.kind, change.name)
  local text, problem, why = host.store_get(of, key)
  if problem then return nil, problem, why end
  local version = version_of(text)
  if change.expected and change.expected ~= version then return nil, "conflict" end
  ops[#ops + 1] = { "expect", of, key, text }
  if not change.fields then
    ops[#ops + 1] = { "delete", of, key }
    return 0
  end
  version = math.max(version, 0) + 1
  ops[#ops + 1] = { "put", of, key, encode(change.fields, version) }
  return version
end

local function try(changes)
  local ops, versions = {}, {}
  for index, change in ipairs(changes) do
    local version, problem, why = ops_of(ops, change)
    if not version then return nil, problem, why or index end
    versions[index] = version
  end
  local ok, problem, detail = host.store_write(ops)
  if ok then return versions end
  -- An expectation stands at the first of each change's two ops.
  return nil, problem, problem == "conflict" and (detail + 1) / 2 or detail
end

--- Makes all of the changes, each of another record, or none of them. Returns the new versions (0:
--- removed), or nil and "conflict" with the number of the change that met another version, "full"
--- or "failed" with why.
---@param changes neap.store.change[]
---@return number[]? versions, "conflict"|"full"|"failed"|nil problem, string|number|nil detail
function store.write(changes)
  for _ = 1, TRIES do
    local versions, problem, detail = try(changes)
    local change = problem == "conflict" and changes[detail]
    -- Somebody wrote in between; that is a conflict for those only who said what they had seen.
    if versions or not change or change.expected then return versions, problem, detail end
  end
  return nil, "conflict", 1
end

--- Stores a record in place of the one that there is.
---@param kind string
---@param name string
---@param fields table the whole record; its `version` is neap's own
---@param expected number? version that has been seen; 0: there is none
---@return number? version, "conflict"|"full"|"failed"|nil problem, string|number|nil detail
function store.put(kind, name, fields, expected)
  local versions, problem, detail =
    store.write { { kind = kind, name = name, fields = fields, expected = expected } }
  return versions and versions[1], problem, detail
end

--- Removes a record; one that is not there is removed, unless a version is expected.
---@param kind string
---@param name string
---@param expected number?
---@return true?, "conflict"|"full"|"failed"|nil problem, string|number|nil detail
function store.delete(kind, name, expected)
  local versions, problem, detail =
    store.write { { kind = kind, name = name, expected = expected } }
  return versions and true, problem, detail
end

-- ------------------------------------------------------------------------------------
-- Secrets

--- The secret as it may stand in the record's `sealed`; in the admin's worker only.
---@param kind string
---@param name string
---@param field string
---@param secret string
---@return string? sealed, string? why
function store.seal(kind, name, field, secret)
  local of, key = place_of(kind, name)
  return host.seal(of .. "/" .. key, field, secret)
end

---@param kind string
---@param name string
---@param field string
---@param sealed string
---@return string? secret, string? why
function store.unseal(kind, name, field, sealed)
  local of, key = place_of(kind, name)
  return host.unseal(of .. "/" .. key, field, sealed)
end

--- What a stored token is known by: digest as host.token_new gives it, as hexadecimal digits.
---@param digest string
---@return string
function store.digest_text(digest)
  return (digest:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

return store
