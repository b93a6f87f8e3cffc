--- admin.api.change: one write of the admin API: its rows and its line in the audit log in one
--- transaction, and, where it is about configuration, the generation that has it in force.

local audit = require "admin.api.audit"
local host = require "neap.host"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"

local change = {}

--- What undoes the ops, in reverse; `before` are the texts by table and key.
local function undo_of(ops, before)
  local undo = {}
  for index = #ops, 1, -1 do
    local op = ops[index]
    if op[1] ~= "expect" then
      local text = before[op[2]][op[3]]
      undo[#undo + 1] = text and { "put", op[2], op[3], text } or { "delete", op[2], op[3] }
    end
  end
  return undo
end

local function read_before(ops)
  local before = {}
  for _, op in ipairs(ops) do
    before[op[2]] = before[op[2]] or {}
    if op[1] ~= "expect" then
      local _, text = rows.get(op[2], op[3])
      before[op[2]][op[3]] = text
    end
  end
  return before
end

--- Writes; returns when it is on disk. ops: see admin.api.rows. entry: see admin.api.audit.
function change.commit(of, ops, entry)
  audit.note(ops, of, entry)
  rows.write(ops)
end

--- Writes configuration; returns when it is in force in all workers. What the loader refuses is
--- taken back and raised as 422 with its reasons.
---@return integer generation
function change.configure(of, ops, entry)
  local before = read_before(ops)
  rows.write(ops)
  local generation, errors = host.reload()
  if not generation then
    rows.write(undo_of(ops, before))
    local lines = type(errors) == "table" and errors or { tostring(errors) }
    problem.raise(422, "invalid_configuration", lines[1] or "the configuration was refused",
      { details = lines })
  end
  local noted = {}
  audit.note(noted, of, entry)
  rows.write(noted)
  return generation
end

return change
