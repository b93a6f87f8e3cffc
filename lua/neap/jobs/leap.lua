--- neap.jobs.leap: has the wall clock gone ahead by more than a day? Then what removes things by
--- their age waits for a day: if the clock is wrong, all that there is would be old, and whoever
--- sets it right again loses nothing.

local host = require "neap.host"

local leap = {}

local DAY = 86400 -- seconds; between two looks only a wrong clock, or sleep, explains as much

--- How long nothing is to be removed, or nil.
---@param name string whose looks these are; common to all generations
---@return number? seconds, string? why
function leap.wait(name)
  local at, until_key = ("leap\0%s\0ahead"):format(name), ("leap\0%s\0until"):format(name)
  local now, ahead = host.now(), host.wall() - host.now()
  local before = host.shared_get(at) or ahead
  host.shared_set(at, ahead)
  if ahead - before > DAY then host.shared_set(until_key, now + DAY) end
  if before - ahead > DAY then host.shared_set(until_key, nil) end
  local left = (host.shared_get(until_key) or now) - now
  if left > 0 then return left, leap.text(left) end
end

--- What is said of it.
function leap.text(seconds)
  return ("the clock went ahead by more than a day: nothing is removed for %d h, so that it can be "
    .. "set right"):format(math.ceil(seconds / 3600))
end

return leap
