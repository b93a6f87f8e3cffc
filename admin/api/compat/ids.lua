--- admin.api.compat.ids: numbers for what neap knows by name, for clients that expect numbers.
---
--- A number is given when something is first seen, stays with its name for ever and goes to no
--- other, so that a script that holds an old number never meets something else.

local id_rows = require "admin.api.compat.id_rows"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"

local ids = {}

local TRIES = 5
local AT_ONCE = 1000 -- names that get a number in one transaction
local id_key, name_key, next_key = id_rows.id_key, id_rows.name_key, id_rows.next_key

local function put_id(ops, kind, name, document)
  ops[#ops + 1] = { "put", "objects", id_key(kind, name), id_rows.with_name(name, document) }
end

--- What is noted: { [name] = { id, … } }. Waits.
local function read(kind)
  local known, front = {}, id_key(kind, "")
  for _, row in ipairs(rows.all("objects", front)) do
    known[row.document.name or row.key:sub(#front + 1)] = row.document
  end
  return known
end

--- Notes numbers for some of the names, which have none. Somebody else may do so just now.
local function assign_some(kind, names, first, last)
  local next_one, text = rows.get("objects", next_key(kind))
  local id, ops = next_one and next_one.id or 1, { { "expect", "objects", next_key(kind), text } }
  for place = first, last do
    local name = names[place]
    put_id(ops, kind, name, json.object { id = id })
    ops[#ops + 1] = { "put", "objects", name_key(kind, id), json.object { name = name } }
    id = id + 1
  end
  ops[#ops + 1] = { "put", "objects", next_key(kind), json.object { id = id } }
  rows.write(ops)
end

local function assign(kind, names)
  for first = 1, #names, AT_ONCE do
    assign_some(kind, names, first, math.min(#names, first + AT_ONCE - 1))
  end
end

--- The numbers of names, and what is noted with them. Waits.
---@param kind string
---@param names string[]
---@return table<string, { id: integer }> by name; of names that are gone, too
function ids.of(kind, names)
  for _ = 1, TRIES do
    local known, missing = read(kind), {}
    for _, name in ipairs(names) do
      if not known[name] then missing[#missing + 1] = name end
    end
    if not missing[1] then return known end
    local is_done, raised = pcall(assign, kind, missing)
    local refusal = problem.of(raised)
    if is_done then return read(kind) end
    if not (refusal and refusal.status == 412) then error(raised, 0) end
  end
  problem.busy("others are given numbers at this moment: try again")
end

--- The number of one name. Waits.
function ids.one(kind, name) return ids.of(kind, { name })[name].id end

--- The name of a number as a path has it, or nil. Waits.
---@param kind string
---@param text string|number
---@return string? name
function ids.find(kind, text)
  local number = tonumber(text)
  local is_whole = number and number >= 1 and number < 1e12 and number % 1 == 0
  local row = is_whole and rows.get("objects", name_key(kind, number))
  return row and row.name or nil
end

--- The same; raises 404 where there is none.
---@return string name
function ids.name(kind, text)
  local name = ids.find(kind, text)
  if not name then problem.not_found(("%s with the id %s"):format(kind, tostring(text))) end
  return name
end

--- Adds to ops what is noted of a name that has a number already: { id, and what else the caller
--- wants to find there again }.
function ids.note(ops, kind, name, document) put_id(ops, kind, name, document) end

--- Adds to ops what gives a number, and what is noted with it, to another name.
function ids.rename(ops, kind, name, other, document)
  ops[#ops + 1] = { "delete", "objects", id_key(kind, name) }
  put_id(ops, kind, other, document)
  ops[#ops + 1] = { "put", "objects", name_key(kind, document.id), json.object { name = other } }
end

return ids
