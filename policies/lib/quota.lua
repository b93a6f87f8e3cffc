-- Counters of what a limit allows, common to all workers: windows of the calendar that begin
-- anew, and places for what is in flight.
local quota = {}

-- A place whose request never came to its end, since a reload dropped the policy, is free again
-- after this.
local LEASE_SECONDS = 3600

-- The longest first: whoever is told to wait shall not wait for the wrong one.
quota.KINDS = {
  { setting = "requests_per_day", unit = "requests", window = "day" },
  { setting = "tokens_per_day", unit = "tokens", window = "day" },
  { setting = "requests_per_minute", unit = "requests", window = "minute" },
  { setting = "tokens_per_minute", unit = "tokens", window = "minute" },
  { setting = "in_flight", unit = "requests", window = nil },
}

-- The counter of the present window, and the seconds until its end.
local function counter(policy, kind, who)
  local offset = policy.settings.utc_offset
  local now = policy:calendar(("%s%02d:%02d"):format(offset < 0 and "-" or "+",
    math.floor(math.abs(offset)), math.abs(offset) % 1 * 60))
  local day = ("%d-%d-%d"):format(now.year, now.month, now.day)
  if kind.window == "day" then
    return ("%s %s %s"):format(kind.setting, day, who),
      86400 - now.hour * 3600 - now.minute * 60 - now.second
  end
  return ("%s %s %d:%d %s"):format(kind.setting, day, now.hour, now.minute, who), 60 - now.second
end

-- A place in flight is one entry of its own: it lapses alone, and nothing is counted twice.
local function take_place(policy, kind, who, most)
  local lease = policy:now()
  for index = 1, most do
    local name = ("%s %d %s"):format(kind.setting, index, who)
    if policy.shared:swap(name, nil, lease, LEASE_SECONDS) then
      return { name = name, lease = lease }
    end
  end
  return nil, 1
end

-- Takes the amount out of what is left to who. Returns what was taken, a plain table; or nil and
-- the seconds after which it is worth another try, none where it never will be.
function quota.take(policy, kind, who, amount, most)
  if not kind.window then return take_place(policy, kind, who, most) end
  local name, left = counter(policy, kind, who)
  if policy.shared:add(name, amount, left, most) then
    return { name = name, amount = amount, left = left, kind = kind.setting, who = who }
  end
  return nil, amount <= most and left or nil
end

-- Takes it back, as if it had never been.
function quota.give_back(policy, taken)
  if taken.lease then
    policy.shared:swap(taken.name, taken.lease, nil)
  else
    policy.shared:add(taken.name, -taken.amount, taken.left)
  end
end

-- Corrects an estimate of tokens. What is missing in a window that is over counts in the one in
-- which it became known; what was too much there is past.
local function correct(policy, kind, taken, used)
  local name, left = counter(policy, kind, taken.who)
  local missing = used - taken.amount
  if missing > 0 or name == taken.name then policy.shared:add(name, missing, left) end
end

-- At the end of the request: frees its place, and counts the tokens that it used. used: tokens, or
-- nil where only the estimate is known.
function quota.settle(policy, taken, used)
  if taken.lease then return quota.give_back(policy, taken) end
  for _, kind in ipairs(quota.KINDS) do
    local is_estimate = kind.setting == taken.kind and kind.unit == "tokens"
    if is_estimate and used then correct(policy, kind, taken, used) end
  end
end

--- The tokens that a request used: nil where nobody said, and the estimate stands.
function quota.tokens_of(request, outcome)
  local usage = outcome.usage
  if usage then return usage.total or usage.prompt + usage.completion end
  local has_failed = outcome.status and outcome.status >= 400 and not outcome.aborted
  if has_failed or #request.attempts == 0 then return 0 end
end

return quota
