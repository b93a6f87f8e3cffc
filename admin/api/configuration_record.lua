--- admin.api.configuration_record: a stored record as it stands in an exported configuration, and
--- back. No secret leaves in clear: a key's stays sealed as it is stored, and what is in clear here
--- (values of headers, passwords of proxies, digests of tokens) is sealed for the export.
---
--- A record is known by KIND/NAME ("provider/a"; keys: "key/PROVIDER/ID"), as in the audit log. It
--- has the members that making one takes, `created`, and `sealed`: sealed texts by field, each of
--- which opens in its own record only, under the master key that it was sealed with.

local host = require "neap.host"
local json = require "neap.json"
local key = require "admin.api.key"
local schema = require "admin.api.schema"
local store = require "neap.store"
local stored = require "admin.api.stored"
local suggest = require "neap.suggest"

local record = {}

local HIDDEN = "(hidden)"
local NAME_MAX = 200 -- bytes
local LAST_MOMENT = 253402300799 -- seconds since 1970: what is later has no date of four digits
local OWN = { version = true, updated = true } -- of the store, not of what is configured

-- ------------------------------------------------------------------------------------
-- Kinds

--- What the operation of a resource takes, without the name.
local function taken_by(resource, id)
  local list, properties = require(resource), {}
  for _, op in ipairs(list.operations or list) do
    for name, one in pairs(op.id == id and op.body.properties or {}) do properties[name] = one end
  end
  properties.name = nil
  return properties
end

local line = { type = "string", maxLength = 400, format = "line" }
local sealed_texts = { type = "object", additionalProperties = { type = "string" } }

local function described(properties, required)
  properties.note, properties.off = stored.COMMON.note, stored.COMMON.off
  properties.created = { type = "number", minimum = 0, maximum = LAST_MOMENT }
  properties.sealed = sealed_texts
  return schema.object(properties, required)
end

local function token_schema()
  local properties = taken_by("admin.api.token", "create_token")
  properties.prefix, properties.last4, properties.label = line, line, line
  return described(properties, { "sealed" })
end

local function policy_schema()
  local properties = taken_by("admin.api.policy", "put_policy")
  properties.author = line
  return described(properties, { "text" })
end

local KINDS = {
  provider = { format = "name", schema = described(
    taken_by("admin.api.provider", "create_provider"), { "dialect", "url" }) },
  group = { format = "line",
    schema = described(taken_by("admin.api.group", "create_group")) },
  token = { format = "line", schema = token_schema() },
  keyword = { format = "id",
    schema = described(taken_by("admin.api.keyword", "create_keyword"), { "text" }) },
  policy = { format = "policy", schema = policy_schema() },
  -- Which settings there are, and what each may be, the rehearsal says.
  setting = { format = "name", schema = described({ value = {} }, { "value" }) },
  key = { format = "line", schema = described({ label = line, last4 = line,
    balance = { type = "number" } }, { "sealed" }) },
}

--- Whether records of this kind are part of an export.
function record.is_kind(kind) return KINDS[kind] ~= nil end

--- Kind and name of "KIND/NAME"; nil and what is wrong with it.
---@return string? kind, string name_or_problem
function record.parse(id)
  local kind, name = id:match("^(%l+)/(.+)$")
  if not KINDS[kind] then return nil, "is no record of a configuration: KIND/NAME" end
  if #name > NAME_MAX then return nil, "has a name of more than 200 bytes" end
  if kind == "key" then
    local provider = name:match("^([^/]+)/.")
    if not provider or schema.check({ type = "string", format = "name" }, provider) then
      return nil, "is no key: key/PROVIDER/ID"
    end
  end
  local place, text = schema.check({ type = "string", format = KINDS[kind].format }, name)
  if place then return nil, "has a name that " .. text end
  return kind, name
end

--- Table and key of its row.
function record.place(kind, name)
  if kind == "key" then return "keys", name end
  return "config", kind .. "/" .. name
end

--- A copy in which members have the order of their names.
local function copy(value)
  if type(value) ~= "table" then return value end
  local result = json.is_array(value) and json.array {} or json.object {}
  for name, member in pairs(value) do result[name] = copy(member) end
  return result
end

-- ------------------------------------------------------------------------------------
-- Out

local function seal(kind, name, field, secret)
  local sealed, why = store.seal(kind, name, field, secret)
  if not sealed then error(("%s/%s could not be sealed: %s"):format(kind, name, why), 0) end
  return sealed
end

--- A stored document as it is exported. Raises where nothing can be sealed.
function record.export(kind, name, document)
  local result = copy(document)
  for member in pairs(OWN) do result[member] = nil end
  local sealed = result.sealed or json.object {}
  local function hide(field, secret)
    -- What could not be opened goes out as it is stored.
    if secret ~= HIDDEN then sealed[field] = seal(kind, name, field, secret) end
  end
  if kind == "token" and result.digest then
    hide("digest", result.digest)
    result.digest = nil
  end
  for header, value in pairs(kind == "provider" and result.headers or {}) do
    hide("headers/" .. header, value)
    result.headers[header] = HIDDEN
  end
  for place, url in ipairs(kind == "provider" and result.proxy or {}) do
    if url == HIDDEN or url:find("@", 1, true) then
      hide("proxy/" .. place, url)
      result.proxy[place] = HIDDEN
    end
  end
  if next(sealed) then result.sealed = sealed end
  return result
end

-- ------------------------------------------------------------------------------------
-- In

--- Where and why a record of a document is not one of its kind; nothing where all is well.
---@return string? pointer, string? message
function record.check(kind, given)
  local pointer, text = schema.check(KINDS[kind].schema, given)
  if pointer then return pointer, text end
  if kind == "key" and type(given.sealed.secret) ~= "string" then
    return "/sealed/secret", "is missing"
  end
  if kind == "token" and type(given.sealed.digest) ~= "string" then
    return "/sealed/digest", "is missing"
  end
  for header, value in pairs(given.headers or {}) do
    if value == HIDDEN and not (given.sealed and given.sealed["headers/" .. header]) then
      return "/headers/" .. header, "has no value: neither in clear nor sealed"
    end
  end
  for place, url in ipairs(given.proxy or {}) do
    if url == HIDDEN and not (given.sealed and given.sealed["proxy/" .. place]) then
      return "/proxy/" .. place - 1, "has no value: neither in clear nor sealed"
    end
  end
end

--- Puts an opened secret in its place; false where the kind has none of this field. Sealed values
--- that nothing refers to are not taken over.
local function put(kind, result, field, secret)
  if kind == "token" and field == "digest" then
    result.digest = secret
    return true
  end
  local header = kind == "provider" and field:match("^headers/(.+)$")
  if header then
    if result.headers and result.headers[header] == HIDDEN then result.headers[header] = secret end
    return true
  end
  local place = kind == "provider" and tonumber(field:match("^proxy/(%d+)$"))
  if not place then return false end
  if result.proxy and result.proxy[place] == HIDDEN then result.proxy[place] = secret end
  return true
end

local function open_key(name, result, before)
  local old, sealed = before and before.sealed, result.sealed.secret
  local old_sealed = type(old) == "table" and old.secret
  -- What is stored already need not be opened.
  if sealed == old_sealed then return result end
  local secret, why = store.unseal("key", name, "secret", sealed)
  if not secret then return nil, why end
  result.last4 = key.last4(secret)
  local is_same = type(old_sealed) == "string"
    and store.unseal("key", name, "secret", old_sealed) == secret
  result.sealed = json.object { secret = is_same and old_sealed or sealed }
  return result
end

--- A record of a document, checked before, as it is to be stored in place of `before` (a document
--- or nil), without a version; nil and why where a secret cannot be opened.
---@return table? document, string? why
function record.import(kind, name, given, before)
  local result = copy(given)
  -- A setting is there always: nobody has made it.
  if kind ~= "setting" then
    result.created = result.created or before and before.created or host.wall()
  end
  if kind == "key" then return open_key(name, result, before) end
  local known, kept = before and before.sealed or {}, json.object {}
  for _, field in ipairs(suggest.sorted(result.sealed or {})) do
    local sealed = result.sealed[field]
    if known[field] == sealed then
      kept[field] = sealed -- what is stored already need not be opened
    else
      local secret, why = store.unseal(kind, name, field, sealed)
      if not secret then return nil, ("%s: %s"):format(field, why) end
      if not put(kind, result, field, secret) then
        return nil, field .. ": nothing of this name is sealed"
      end
    end
  end
  result.sealed = next(kept) and kept or nil
  return result
end

--- The names of members in which two documents differ, sorted; the store's own do not count.
---@return string[]
function record.differences(one, other)
  local names, list = {}, {}
  for _, document in ipairs { one, other } do
    for name in pairs(document) do names[name] = true end
  end
  for _, name in ipairs(suggest.sorted(names)) do
    local is_same = json.encode { copy(one[name]) } == json.encode { copy(other[name]) }
    if not OWN[name] and not is_same then list[#list + 1] = name end
  end
  return list
end

return record
