-- Which of several bad ones is better: of failed responses, of keys that are out of use.
local better = {}

local BADNESS = { ready = 0, resting = 1, disabled = 2 }

--- The later one, but of two limits the one with the shorter wait. earlier: nil for none.
function better.response(earlier, later)
  local are_limits = earlier and earlier.status == 429 and later.status == 429
  if not are_limits then return later end
  local is_shorter = (earlier.retry_after or math.huge) < (later.retry_after or math.huge)
  return is_shorter and earlier or later
end

--- Of keys that are all out of use, the one to use nevertheless: one that rests goes before one
--- that is disabled, and the first to wake before the others. Returns it and its wait in seconds.
function better.key(keys)
  local best, badness, wait
  for _, key in ipairs(keys) do
    local its_badness, its_wait = BADNESS[key.state], key.remaining or math.huge
    if not best or its_badness < badness or (its_badness == badness and its_wait < wait) then
      best, badness, wait = key, its_badness, its_wait
    end
  end
  return best, wait
end

return better
