--- admin.api.rows: JSON documents in the store, by table and key. Everything here waits.
---
--- Providers are stored with their secrets sealed; here they are in clear.
---
--- What the store cannot do right now is raised as a problem: 503 where it failed, 507 where the
--- disk is full, 412 where a row is not the one that was read.

local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local provider_secrets = require "neap.provider_secrets"

local rows = {}

local PAGE = 500 -- rows that are read at once
-- The store takes no more: bytes of a row, and ops of a transaction.
local VALUE_MAX, OPS_MAX = 1024 * 1024, 10000

local function raise_failure(why, text)
  if why == "conflict" then
    problem.raise(412, "changed", "it was changed by somebody else in the meantime: read it again")
  elseif why == "full" then
    problem.raise(507, "storage_full", "the disk is full: nothing was changed")
  end
  host.log("error", "admin", "the store failed: " .. tostring(text or why))
  problem.raise(503, "storage_failed", "the store failed; neap's log says why")
end

local function is_provider(table_name, key)
  return table_name == "config" and key:find("^provider/") ~= nil
end

--- A row's document. Of a provider whose secrets do not open, they stay hidden.
local function read(table_name, key, text)
  local document = json.decode(text)
  if type(document) ~= "table" or not is_provider(table_name, key) then return document end
  return provider_secrets.open(document, function(field, sealed)
    return host.unseal(table_name .. "/" .. key, field, sealed)
  end) or document
end

--- The document and its text as stored, or nil.
---@param table_name "config"|"keys"|"objects"
---@return table? document, string? text
function rows.get(table_name, key)
  local text, why, detail = host.store_get(table_name, key)
  if not text then
    if why then raise_failure(why, detail) end
    return nil
  end
  return read(table_name, key, text), text
end

--- One page: { { key, document, text }, … } and whether there may be more.
---@param options table as host.store_scan has them: prefix, after, before, limit, reverse
function rows.page(table_name, options)
  local flat, cursor, detail = host.store_scan(table_name, options)
  if not flat then raise_failure(cursor, detail) end
  local list = {}
  for index = 1, #flat, 2 do
    list[#list + 1] = { key = flat[index], text = flat[index + 1],
      document = read(table_name, flat[index], flat[index + 1]) }
  end
  return list, cursor ~= nil
end

--- All rows of a prefix; for what is never many.
function rows.all(table_name, prefix)
  local list, after = {}, nil
  repeat
    local some, has_more = rows.page(table_name, { prefix = prefix, after = after, limit = PAGE })
    for _, row in ipairs(some) do list[#list + 1] = row end
    after = some[1] and some[#some].key
  until not has_more or not after
  return list
end

--- A document as it is stored.
function rows.text(document)
  return type(document) == "table" and json.encode(document) or document
end

--- The ops with what they put as it is stored: a secret is never sealed twice in the same way, so
--- that this comes before whatever compares texts.
---@return table[] ops
function rows.seal(ops)
  local result = {}
  for index, op in ipairs(ops) do
    local is_open = op[1] == "put" and type(op[4]) == "table" and is_provider(op[2], op[3])
    result[index] = is_open and { op[1], op[2], op[3], provider_secrets.close(op[4],
      function(field, secret)
        local sealed, why = host.seal(op[2] .. "/" .. op[3], field, secret)
        return sealed or error("a secret could not be sealed: " .. tostring(why), 0)
      end) } or op
  end
  return result
end

--- Writes all of it or nothing, and returns when it is on disk. ops: { "put", table, key, document
--- }, { "delete", table, key }, { "expect", table, key, text or nil }.
function rows.write(ops)
  local plain = {}
  if #ops > OPS_MAX then
    problem.raise(413, "too_large", ("that would change some %d records at once, and %d is the "
      .. "most"):format(#ops, OPS_MAX))
  end
  for index, op in ipairs(ops) do
    local text = rows.text(op[4])
    if text and #text > VALUE_MAX then
      problem.raise(413, "too_large", ("%s would be longer than 1 MiB"):format(op[3]))
    end
    plain[index] = { op[1], op[2], op[3], text }
  end
  local ok, why, detail = host.store_write(plain)
  if not ok then raise_failure(why, detail) end
end

return rows
