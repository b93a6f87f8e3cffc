-- How long hedge waits for a target: its setting, or what 95 % of the target's answers stay below.
local quantile = require "policies.lib.quantile"

local times = {}

local TIMES_MIN = 30 -- that must be known before a delay follows from them

-- Streams have times of their own.
local function name_of(target, request)
  return target.name .. (request.stream and " streamed" or " whole")
end

-- Seconds, or nil where too little is known of the target yet. self: the policy.
function times.delay(self, target, request)
  if self.settings.after > 0 then return self.settings.after end
  local seconds, count = quantile.get(self.shared, name_of(target, request))
  return count >= TIMES_MIN and seconds or nil
end

-- Takes in how long each attempt of a request took, where the delay follows from that.
function times.learn(self, request)
  if self.settings.after > 0 then return end
  for _, attempt in ipairs(request.attempts) do
    local seconds = attempt.first_event_seconds or attempt.seconds
    if attempt.target and seconds then
      quantile.learn(self.shared, name_of(attempt.target, request), seconds,
        attempt.first_event_seconds == nil)
    end
  end
end

return times
