--- neap.fallback: runs a group's chain for a request, and where a policy of it fails or is set
--- aside, the group's fallback in its place: never the chain without that policy.

local fault = require "neap.fault"
local race = require "neap.race"
local request = require "neap.request"
local response = require "neap.response"
local steps = require "neap.steps"

local fallback = {}

local find, catch = fault.find, fault.catch

--- The response of the request, or nil where neither chain brought one: each failure is then in
--- the log, and the last policy's name in the record.
function fallback.run(of, group)
  local given = request.new(of)
  of.request = given
  local aside = find(group.chain)
  if aside then
    of.record.policy = aside
    steps.add(of.steps, "aside", aside)
  else
    local got, problem = catch(group.chain.run, given)
    if got then return got end
    race.abandon(of)
    local of_body = of.body_fault
    if of_body and of_body.text == problem then
      steps.add(of.steps, "raised", of.layer, problem)
      return (response.refusal(of, of_body.status, of_body.text))
    end
    fault.note(group, of, problem)
  end
  if not group.fallback or find(group.fallback) then return nil end
  steps.add(of.steps, "fallback")
  local got, problem = catch(group.fallback.run, given)
  if got then return got end
  race.abandon(of)
  fault.note(group, of, problem)
  return nil
end

return fallback
