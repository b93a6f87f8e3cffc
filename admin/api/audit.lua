--- admin.api.audit: who changed what, and when: a row for each write, in the transaction of the
--- write itself, so that there is no change without its row.
---
--- Secrets do not come in here: callers give what the API shows, and members whose names are those
--- of secrets are taken out all the same.

local host = require "neap.host"
local json = require "neap.json"

local audit = {}

audit.PREFIX = "audit/"

local HIDDEN = "(hidden)"
local SECRETS = { secret = true, password = true, hash = true, env_hash = true, token = true,
  sealed = true, access_token = true, authorization = true, cookie = true }

--- A copy in which nothing stands that has a secret's name.
function audit.hide(value)
  if type(value) ~= "table" then return value end
  local result = json.is_array(value) and json.array {} or json.object {}
  for name, member in pairs(value) do
    local is_secret = type(name) == "string" and SECRETS[name:lower()]
    result[name] = is_secret and HIDDEN or audit.hide(member)
  end
  return result
end

-- Bytes of what was before, and of what was after, that a row has: many rows are read at once, and
-- a value of the store has 1 MiB.
local SIDE_MAX = 128 * 1024

--- What is too long is not noted: that something was changed is. Of nothing, nil.
local function bounded(value)
  if value == nil then return nil end
  local text = json.encode(value)
  if #text <= SIDE_MAX then return json.raw(text) end
  return json.object { left_out = ("%d bytes"):format(#text) }
end

--- The row of a change. entry: as `note` has it.
---@param id string its own, a UUIDv7
function audit.row(id, of, entry)
  local who = of.who
  return json.object {
    id = id, time = host.wall(), action = entry.action, object = entry.object,
    actor = json.object { kind = who and who.kind or "none",
      name = who and who.name or entry.account, id = who and who.id },
    address = of.address, request_id = of.id, before = bounded(audit.hide(entry.before)),
    after = bounded(audit.hide(entry.after)),
  }
end

--- Adds to ops the row of a change. entry: { action = "update", object = "setting/time_zone",
--- before, after, account (where nobody is logged in) }.
function audit.note(ops, of, entry)
  local id, who = host.id(), of.who
  ops[#ops + 1] = { "put", "objects", audit.PREFIX .. id, audit.row(id, of, entry) }
  host.log("info", "audit", ("%s %s %s by %s from %s"):format(of.id, entry.action, entry.object,
    who and who.kind .. " " .. who.name or entry.account or "nobody", of.address))
end

return audit
