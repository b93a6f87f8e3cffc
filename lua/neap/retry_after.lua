--- neap.retry_after: how long a provider asks us to wait.

local retry_after = {}

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9,
  Oct = 10, Nov = 11, Dec = 12 }
local LONGEST = 7 * 86400 -- seconds; providers' longest windows are a week

--- Seconds since 1970 of an HTTP date (RFC 9110, section 5.6.7, the preferred form), or nil.
function retry_after.date(text)
  local day, month, year, hour, minute, second =
    text:match("^%a+, (%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT$")
  if not day or not MONTHS[month] then return nil end
  local y, m = tonumber(year), MONTHS[month]
  -- Days from civil: years begin in March, so that the leap day is the last one.
  if m <= 2 then y = y - 1 end
  local era = math.floor(y / 400)
  local year_of_era = y - era * 400
  local day_of_year = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + tonumber(day) - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100) + day_of_year
  local days = era * 146097 + day_of_era - 719468
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

--- Seconds of a duration such as "6m0s", "1.5s", "12ms", "1h2m" or "22s", or nil.
function retry_after.duration(text)
  local units = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
  local total, rest = 0, text
  while rest ~= "" do
    local number, unit, behind = rest:match("^(%d+%.?%d*)(%a+)(.*)$")
    if not number or not units[unit] then return nil end
    total, rest = total + tonumber(number) * units[unit], behind
  end
  return text ~= "" and total or nil
end

-- What a limit may count; each has an x-ratelimit-reset-… and an x-ratelimit-remaining-….
local COUNTED = { "requests", "tokens", "input-tokens", "output-tokens", "project-tokens" }

--- Seconds until a reset that is written as a duration, as seconds, or as a time since 1970 in
--- seconds or milliseconds; nil for anything else.
local function reset(text, wall)
  local number = tonumber(text)
  if not number then return retry_after.duration(text) end
  if number > 1e11 then number = number / 1000 end
  return number > 1e8 and number - wall or number
end

--- The wait until the last limit that is used up begins anew, or nil. One that does not say how
--- much remains counts as used up: this is read from errors only.
local function longest_reset(header, wall)
  local longest = reset(header("anthropic-ratelimit-unified-reset") or "", wall)
  for _, what in ipairs(COUNTED) do
    local remaining = header("x-ratelimit-remaining-" .. what)
    local wait = not (tonumber(remaining) and tonumber(remaining) > 0)
      and reset(header("x-ratelimit-reset-" .. what) or "", wall)
    if wait and wait > (longest or 0) then longest = wait end
  end
  return longest
end

--- The wait in seconds that headers (a function name → value) and an error's body ask for, or nil.
--- wall: seconds since 1970, for dates. Sources: OpenAI's and Anthropic's headers, and
--- google.rpc.RetryInfo in the body.
function retry_after.read(header, body, wall)
  local wait
  local ms, plain = tonumber(header("retry-after-ms")), header("retry-after")
  if ms then
    wait = ms / 1000
  elseif plain then
    local date = not tonumber(plain) and retry_after.date(plain)
    wait = tonumber(plain) or (date and date - wall)
  end
  wait = wait or longest_reset(header, wall)
  if not wait and body then
    local delay = body:match("\"retryDelay\"%s*:%s*\"([%w%.]+)\"")
    wait = delay and retry_after.duration(delay)
  end
  if wait and wait == wait then return math.max(0, math.min(wait, LONGEST)) end
end

return retry_after
