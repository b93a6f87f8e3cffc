-- What circuit_breaker makes of a failure: whether it was one too many.
local tally = {}

--- A failure at the time `at` (self:now()), which the host counts for all workers and groups.
--- `done` runs when an answer has ended, and a stream may take minutes: it is no news where the
--- target has answered since.
function tally.failure(self, target, at)
  local settings = self.settings
  local count = target:fail(at, settings.window or self.stored.failure_window)
  local rests = target.rests -- before the state: what rests meanwhile must not rest twice as long
  if count == 0 or target.state ~= "ready" then return end
  if rests == 0 and count < (settings.failures or self.stored.failure_threshold) then return end
  local seconds = math.min(settings.max_rest, settings.rest * 2 ^ math.min(rests, 16))
  target:rest(seconds, ("failed %d times"):format(count))
end

return tally
