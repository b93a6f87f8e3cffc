--- admin.api.rehearsal: is a change of configuration right? Asked before it is written: what is
--- stored and wrong would be left out at the load, and nobody would be told.

local fault = require "neap.fault"
local host = require "neap.host"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"

local rehearsal = {}

--- The rows of the table config as they would be after the ops, and the records that these write.
local function rows_after(ops)
  local texts, order, touched = {}, {}, {}
  for _, row in ipairs(rows.all("config", "")) do
    texts[row.key], order[#order + 1] = row.text, row.key
  end
  for _, op in ipairs(ops) do
    if op[2] == "config" and op[1] ~= "expect" then
      local key = op[3]
      if texts[key] == nil then order[#order + 1] = key end
      texts[key] = op[1] == "put" and rows.text(op[4]) or nil
      touched[key] = true
    end
  end
  table.sort(order)
  local flat = {}
  for _, key in ipairs(order) do
    if texts[key] then flat[#flat + 1], flat[#flat + 2] = key, texts[key] end
  end
  return flat, touched
end

local function has_policy(touched)
  for key in pairs(touched) do
    if key:find("^policy/") then return true end
  end
  return false
end

local function refuse(lines)
  problem.raise(422, "invalid_configuration", lines[1], { details = lines })
end

--- Errors that are in force already, as a set.
local function known_errors()
  local configuration, known = router.loaded(), {}
  for _, one in ipairs(configuration and configuration.stored.errors or {}) do
    known[one.record .. "\n" .. one.text] = true
  end
  return known
end

--- Raises 422 with every reason where what the ops write is wrong, or makes wrong what was right
--- before: a target of a provider that would be gone. What is wrong with the records themselves
--- comes first: the rest is often no more than what follows from it. Waits.
---@param ops table[] see admin.api.rows
function rehearsal.check(ops)
  local flat, touched = rows_after(ops)
  if not next(touched) then return end
  host.sleep(0) -- a run of its own: it has its time for itself
  local made, configuration
  local _, raised = fault.catch(function() made, configuration = router.rehearse(flat) end)
  host.sleep(0) -- and so has what comes then
  if raised then
    if has_policy(touched) then refuse { "it could not be tried out: " .. raised } end
    return -- too much for one run here: the load has more time, and refuses all the same
  end
  if not made then
    local lines = {}
    for line in configuration:gmatch("[^\n]+") do lines[#lines + 1] = line end
    refuse(lines)
  end
  local lines, others, known = {}, {}, known_errors()
  for _, one in ipairs(configuration.stored.errors) do
    local line = ("%s: %s"):format(one.record, one.text)
    if touched[one.record] then
      lines[#lines + 1] = line
    elseif not known[one.record .. "\n" .. one.text] then
      others[#others + 1] = line
    end
  end
  for _, line in ipairs(others) do lines[#lines + 1] = line end
  if lines[1] then refuse(lines) end
end

return rehearsal
