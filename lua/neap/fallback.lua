--- neap.fallback: runs a group's chain for a request, and where a policy of it fails or is set
--- aside, the group's fallback in its place: never the chain without that policy.

local fault = require "neap.fault"
local race = require "neap.race"
local request = require "neap.request"
local response = require "neap.response"
local steps = require "neap.steps"

local fallback = {}

--- The chain's response, or nil and what was raised.
local function try(of_chain, of, given)
  local got, problem = fault.catch(of_chain.run, given)
  if not got then race.abandon(of) end
  return got, problem
end

--- The response of the request, or nil where neither chain brought one: each failure is then in
--- the log, and the last policy's name in the record.
function fallback.run(of, group)
  local given = request.new(of)
  of.request = given
  local aside = fault.find(group.chain, of)
  if aside then
    of.record.policy = aside
    steps.add(of.steps, "aside", aside)
  else
    local got, problem = try(group.chain, of, given)
    if got then return got end
    local of_body = of.body_fault
    if of_body and of_body.text == problem then
      steps.add(of.steps, "raised", of.layer, problem)
      return (response.refusal(of, of_body.status, of_body.text))
    end
    fault.note(group, of, problem)
  end
  if not group.fallback or fault.find(group.fallback, of) then return nil end
  steps.add(of.steps, "fallback")
  local got, problem = try(group.fallback, of, given)
  if not got then fault.note(group, of, problem) end
  return got
end

return fallback
