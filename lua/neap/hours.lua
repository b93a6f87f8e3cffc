--- neap.hours: spans of the week, as a setting says them: `setting.hours`.
---
---     "22:00-06:00"            every day; over midnight it belongs to the day on which it begins
---     "mon-fri 08:30-18:00"    days are mon tue wed thu fri sat sun
---     "sat,sun"                whole days
---
--- Knows no zone and no clock: it is asked about a calendar, of `self:calendar`.

local hours = {}

local DAYS = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" }
local DAY_MINUTES = 24 * 60

local place_of = {}
for place, day in ipairs(DAYS) do place_of[day] = place end

---@class neap.hours
local Hours = {}
Hours.__index = Hours

--- The days of "mon-fri,sun" as a set, or nil and what is wrong.
local function parse_days(text)
  local set = {}
  for part in (text .. ","):gmatch("([^,]*),") do
    local first, last = part:match("^(%a+)-(%a+)$")
    local from, to = place_of[first or part], place_of[last or part]
    if not from or not to then return nil, ("%q names no day: mon tue … sun"):format(part) end
    local day = from
    set[day] = true
    while day ~= to do
      day = day % 7 + 1
      set[day] = true
    end
  end
  return set
end

--- Minutes since midnight of the two ends, or nil and what is wrong.
local function parse_times(text)
  local h1, m1, h2, m2 = text:match("^(%d%d?):(%d%d)-(%d%d?):(%d%d)$")
  if not h1 then return nil, ("%q is no time: \"08:30-18:00\""):format(text) end
  local from, to = h1 * 60 + m1, h2 * 60 + m2
  if from >= DAY_MINUTES or to > DAY_MINUTES or tonumber(m1) > 59 or tonumber(m2) > 59 then
    return nil, ("%q is no time: they go from 00:00 to 24:00"):format(text)
  end
  if from == to then return nil, ("%q ends when it begins"):format(text) end
  return from, to
end

local function parse_span(text)
  local days, times = text:lower():match("^%s*(%a[%a,-]*)%s*(.-)%s*$")
  local set, problem = parse_days(days or "mon-sun")
  if not set then return nil, problem end
  local from, to = 0, DAY_MINUTES
  if times ~= "" then from, to = parse_times(times or text:match("^%s*(.-)%s*$")) end
  if not from then return nil, to end
  return { days = set, from = from, to = to }
end

--- Hours out of a list of such texts; or nil and what is wrong.
---@param texts string[]
---@return neap.hours?, string?
function hours.parse(texts)
  local spans = {}
  for index, text in ipairs(texts) do
    local span, problem = parse_span(text)
    if not span then return nil, problem end
    spans[index] = span
  end
  return setmetatable({ spans = spans }, Hours)
end

local function is_inside(span, day, minute)
  if span.from < span.to then return span.days[day] and span.from <= minute and minute < span.to end
  local day_before = (day + 5) % 7 + 1
  return span.days[day] and minute >= span.from or span.days[day_before] and minute < span.to
end

--- Whether the moment lies in one of the spans.
---@param calendar { hour: integer, minute: integer, weekday: integer }
---@return boolean
function Hours:covers(calendar)
  local minute = calendar.hour * 60 + calendar.minute
  for _, span in ipairs(self.spans) do
    if is_inside(span, calendar.weekday, minute) then return true end
  end
  return false
end

return hours
