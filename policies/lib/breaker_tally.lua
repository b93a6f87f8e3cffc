-- What circuit_breaker counts of a target, one for all workers. `done` runs when an answer has
-- ended, and a stream may take minutes: news that are older than the last ones of the other
-- kind say nothing.
local tally = {}

--- A failure at the time `at` (self:now()); rests the target where it was one too many.
function tally.failure(self, target, at)
  local name, settings = target.name, self.settings
  local threshold = settings.failures or self.stored.failure_threshold
  if at < (self.shared:get("well " .. name) or at) then return end
  self.shared:set("failed " .. name, at)
  local window = settings.window or self.stored.failure_window
  local count = self.shared:add("failures " .. name, 1, window)
  local rests = target.rests -- before the state: what rests meanwhile must not rest twice as long
  if target.state ~= "ready" or (rests == 0 and count < threshold) then return end
  local seconds = math.min(settings.max_rest, settings.rest * 2 ^ math.min(rests, 16))
  target:rest(seconds, ("failed %d times"):format(count))
end

--- An answer at the time `at`: what failed before it is forgotten.
function tally.success(self, target, at)
  local name = target.name
  local failed_at = self.shared:get("failed " .. name)
  if failed_at and at < failed_at then return end
  if failed_at then
    self.shared:set("well " .. name, at)
    self.shared:set("failed " .. name, nil)
    self.shared:set("failures " .. name, nil)
  end
  target:well()
end

return tally
