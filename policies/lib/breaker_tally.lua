-- What circuit_breaker makes of a request's attempts: who is well, and whether a failure was one
-- too many.
local tally = {}

-- A failure at the time `at` (self:now()), which the host counts for all workers and groups.
-- `done` runs when an answer has ended, and a stream may take minutes: it is no news where the
-- target has answered since.
local function count_failure(self, target, at)
  local settings = self.settings
  local count = target:fail(at, settings.window or self.stored.failure_window)
  local rests = target.rests -- before the state: what rests meanwhile must not rest twice as long
  if count == 0 or target.state ~= "ready" then return end
  if rests == 0 and count < (settings.failures or self.stored.failure_threshold) then return end
  local seconds = math.min(settings.max_rest, settings.rest * 2 ^ math.min(rests, 16))
  target:rest(seconds, ("failed %d times"):format(count))
end

-- The place of the attempt that the client was answered with: in a race others may come behind it.
local function answered_with(attempts, target)
  for place = #attempts, 1, -1 do
    local attempt = attempts[place]
    if attempt.failure ~= "lost" and (not target or attempt.target == target) then return place end
  end
end

-- Counts what each attempt says of its target. self: the policy, with its settings.
function tally.count(self, attempts, outcome)
  local last = answered_with(attempts, outcome.target)
  for index, attempt in ipairs(attempts) do
    local status, failure = attempt.status, attempt.failure
    local is_answer = not failure and status and status < 400
    local at = attempt.started + (attempt.seconds or 0)
    if is_answer and index == last and outcome.failure and not outcome.aborted then
      is_answer, failure, at = false, outcome.failure, self:now() -- it broke off later
    end
    if attempt.target and is_answer then
      attempt.target:well(at)
    elseif attempt.target and (status or failure) -- neither: it was cut short
      and self.settings.counts:covers { status = status, failure = failure } then
      count_failure(self, attempt.target, at)
    end
  end
end

return tally
