--- admin.api.change: one write of the admin API: its rows and its line in the audit log in one
--- transaction, and, where it is about configuration, the generation that has it in force.

local audit = require "admin.api.audit"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rehearsal = require "admin.api.rehearsal"
local rows = require "admin.api.rows"

local change = {}

local TRIES, OTHERS_SECONDS = 2, 0.1 -- of a load that somebody else's change spoils

--- The lines of a text as a list, none of nil.
function change.lines(text)
  local lines = json.array {}
  for line in (text or ""):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

--- The texts of the rows that the ops are about to change, by place of the op.
local function read_before(ops)
  local before = {}
  for index, op in ipairs(ops) do
    if op[1] ~= "expect" then
      local _, text = rows.get(op[2], op[3])
      before[index] = text
    end
  end
  return before
end

--- Takes the ops back, where the rows still are what they made of them.
local function undo(ops, before)
  local back = {}
  for index, op in ipairs(ops) do
    if op[1] ~= "expect" then
      local now = op[1] == "put" and rows.text(op[4]) or nil
      back[#back + 1] = { "expect", op[2], op[3], now }
      local text = before[index]
      back[#back + 1] = text and { "put", op[2], op[3], text } or { "delete", op[2], op[3] }
    end
  end
  if back[1] then rows.write(back) end
end

--- Writes; returns when it is on disk. ops: see admin.api.rows. entry: see admin.api.audit.
function change.commit(of, ops, entry)
  audit.note(ops, of, entry)
  rows.write(rows.seal(ops))
end

--- Loads anew, and returns when the generation is in force in all workers; raises 422 with the
--- reasons where it is refused.
---@return integer generation
function change.reload()
  local generation, errors = host.reload()
  if generation then return generation end
  local lines = change.lines(errors)
  problem.raise(422, "invalid_configuration", lines[1] or "the configuration was refused",
    { details = lines })
end

--- Whether none of what was refused is a row of the ops: then it may be somebody else's, who wrote
--- at the same moment and is about to take it back.
local function is_about_others(raised, ops)
  local refusal = problem.of(raised)
  if not refusal or not refusal.details then return false end
  for _, line in ipairs(refusal.details) do
    for _, op in ipairs(ops) do
      if line:sub(1, #op[3] + 1) == op[3] .. ":" then return false end
    end
  end
  return true
end


--- Writes configuration and returns when it is in force. What is wrong is raised as 422 and not
--- written; what the loader refuses all the same is taken back.
---@return integer generation
function change.configure(of, ops, entry)
  ops = rows.seal(ops)
  rehearsal.check(ops)
  local before = read_before(ops)
  local noted = { unpack(ops) }
  audit.note(noted, of, entry)
  rows.write(noted)
  local is_done, got = pcall(change.reload)
  for _ = 1, TRIES do
    if is_done or not is_about_others(got, ops) then break end
    host.sleep(OTHERS_SECONDS)
    is_done, got = pcall(change.reload)
  end
  if is_done then return got end
  undo(ops, before)
  local refused = {}
  audit.note(refused, of, { action = "refused", object = entry.object })
  rows.write(refused)
  error(got, 0)
end

return change
