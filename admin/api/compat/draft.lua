--- admin.api.compat.draft: changes of several stored records that are made together or not at all:
--- one call of a replaced system's may touch a provider, its keys and groups.
---
--- Each record is read once; what was read is expected to be there when it is written. What stands
--- in router.lua is refused (409).

local change = require "admin.api.change"
local free_name = require "admin.api.free_name"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"

local draft = {}

local Draft = {}
Draft.__index = Draft

local LISTS = { provider = "providers", group = "groups", token = "tokens" }

-- A stored record as its word of router.lua is loaded, as far as it is needed here; nil for what
-- cannot be.
local READ = {
  provider = function(record)
    local models = {}
    for name, prices in pairs(record.models or {}) do
      if type(name) == "number" then models[prices] = {} else models[name] = prices end
    end
    return record.url and { url = record.url, dialect = record.dialect, models = models,
      note = record.note }
  end,
  group = function(record)
    local targets = {}
    for index, target in ipairs(record.targets or {}) do
      targets[index] = { provider = target.provider or target[1],
        model = target.model or target[2], priority = target.priority or 1 }
    end
    return { targets = targets }
  end,
  token = function(record) return { groups = record.groups, providers = record.providers } end,
}

--- What there is of a kind: router.lua's, and what is stored and not off. Read from the store: a
--- request that has changed something goes on in the generation that it began in. Waits.
---@param kind "provider"|"group"|"token"
---@return table[] with name and is_stored
function draft.in_force(kind)
  local configuration, list, is_taken = router.loaded(), {}, {}
  for _, one in ipairs(configuration and configuration[LISTS[kind]] or {}) do
    if not one.is_stored then
      list[#list + 1] = one
      is_taken[one.name] = true
    end
  end
  for _, row in ipairs(rows.all("config", kind .. "/")) do
    local name = row.key:sub(#kind + 2)
    local one = not is_taken[name] and not row.document.off and READ[kind](row.document)
    if one then
      one.name, one.is_stored = name, true
      list[#list + 1] = one
    end
  end
  return list
end

function draft.find(kind, name)
  for _, one in ipairs(draft.in_force(kind)) do
    if one.name == name then return one end
  end
end

--- ops: more that is written with it: { "put", table, key, document }, …
function draft.new() return setmetatable({ records = {}, ops = {} }, Draft) end

--- The record as it will be, or nil. Waits.
---@return table?
function Draft:get(kind, name)
  local key = kind .. "/" .. name
  local entry = self.records[key]
  if not entry then
    local record, text = rows.get("config", key)
    entry = { record = record, text = text }
    self.records[key] = entry
  end
  return entry.record
end

--- The same; raises 409 for what stands in router.lua, and 404 for what is not there.
function Draft:require(kind, name)
  local record = self:get(kind, name)
  if record then return record end
  -- Keywords have no word of their own in router.lua.
  if LISTS[kind] and draft.find(kind, name) then
    problem.raise(409, "read_only", ("the %s %q stands in router.lua: change it there")
      :format(kind, name))
  end
  problem.not_found(("%s %q"):format(kind, name))
end

--- Puts a record in the place of what there is; nil removes it.
function Draft:put(kind, name, record)
  self:get(kind, name)
  local entry = self.records[kind .. "/" .. name]
  entry.record, entry.is_changed = record, true
end

--- Whether there is anything of this name, in router.lua, stored, or shadowed.
function Draft:is_taken(kind, name)
  return draft.find(kind, name) ~= nil or self:get(kind, name) ~= nil
end

--- The name, or with a number behind it where there is one of that name.
function Draft:free_name(kind, stem)
  return free_name(stem, function(name) return self:is_taken(kind, name) end)
end

local function add_op(ops, key, entry)
  ops[#ops + 1] = { "expect", "config", key, entry.text }
  if not entry.record then
    ops[#ops + 1] = { "delete", "config", key }
    return
  end
  local record, now = entry.record, host.wall()
  local before = entry.text and json.decode(entry.text)
  record.version = (before and before.version or 0) + 1
  record.created, record.updated = before and before.created or now, now
  ops[#ops + 1] = { "put", "config", key, record }
end

--- Writes it all, and returns when it is in force. entry: see admin.api.audit.
function Draft:commit(of, entry)
  local ops, keys = {}, {}
  for key, one in pairs(self.records) do
    if one.is_changed then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do add_op(ops, key, self.records[key]) end
  for _, op in ipairs(self.ops) do ops[#ops + 1] = op end
  change.configure(of, ops, entry)
end

return draft
