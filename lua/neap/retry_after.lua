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
  for _, what in ipairs { "requests", "tokens" } do
    local reset = header("x-ratelimit-reset-" .. what)
    if not wait and reset and header("x-ratelimit-remaining-" .. what) == "0" then
      wait = tonumber(reset) or retry_after.duration(reset)
    end
  end
  if not wait and body then
    local delay = body:match("\"retryDelay\"%s*:%s*\"([%w%.]+)\"")
    wait = delay and retry_after.duration(delay)
  end
  if wait then return math.max(0, math.min(wait, LONGEST)) end
end


return retry_after
