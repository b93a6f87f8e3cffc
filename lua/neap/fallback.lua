--- neap.fallback: runs a group's chain for a request, and where a policy of it fails or is set
--- aside, the group's fallback in its place: never the chain without that policy.

local fault = require "neap.fault"
local race = require "neap.race"
local request = require "neap.request"
local response = require "neap.response"

local fallback = {}

local function add_step(of, ...) of.trace[#of.trace + 1] = { ... } end

--- The chain's response, or nil and what was raised.
local function try(of_chain, of, given, inside)
  local got, problem = fault.catch(of_chain.run, given, inside)
  if not got then race.abandon(of) end
  return got, problem
end

--- The response of the request, or nil where neither chain brought one: each failure is then in
--- the log, and the last policy's name in the record.
function fallback.run(of, group)
  local given, inside = request.new(of)
  of.request = given
  local aside = fault.find(group.chain, of)
  if aside then
    of.record.policy = aside
    add_step(of, "aside", aside)
  else
    local got, problem = try(group.chain, of, given, inside)
    if got then return got end
    local of_body = of.body_fault
    if of_body and of_body.text == problem then
      add_step(of, "raised", of.layer, problem)
      return (response.refusal(of, of_body.status, of_body.text))
    end
    fault.note(group, of, problem)
  end
  if not group.fallback or fault.find(group.fallback, of) then return nil end
  add_step(of, "fallback")
  local got, problem = try(group.fallback, of, given, inside)
  if not got then fault.note(group, of, problem) end
  return got
end

return fallback
