--- neap.zone: local time, by a fixed offset ("+08:00") or a name of the system's table of zones
--- ("Europe/Berlin").
---
--- A zone's file is read once, while a generation is built; a request never waits for a disk, so
--- that a name that nothing mentioned by then is refused. Knows no clock: it is asked about a
--- moment.

local host = require "neap.host"

local zone = {}

local FOLDER = "/usr/share/zoneinfo/"
local HOUR, DAY = 3600, 86400

---@class neap.zone
---@field times number[] seconds since 1970 at which the offset changes
---@field offsets integer[] seconds from UTC, from each of these on
---@field first integer the offset before them
---@field rule table? what holds after the last of them

local known = {} -- by name
local kept = {}  -- the texts of files, by name

--- Days from 1970-01-01, for dates of the Gregorian calendar.
function zone.days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  return 365 * year + leap + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
end

-- ------------------------------------------------------------------------------------
-- The rule at the end of a file: "CET-1CEST,M3.5.0,M10.5.0/3"

--- Seconds of "-3:30", with the default where there is none; and what follows.
local function take_time(text, default)
  local sign, hours, rest = text:match("^([+-]?)(%d+)(.*)$")
  if not hours then return default, text end
  local seconds, unit = hours * HOUR, 60
  for part, after in function() return rest:match("^:(%d+)(.*)$") end do
    seconds, unit, rest = seconds + part * unit, unit / 60, after
  end
  return sign == "-" and -seconds or seconds, rest
end

local function take_name(text)
  return text:match("^<[^>]+>(.*)$") or text:match("^%a+(.*)$")
end

--- Month, week and weekday (0 is Sunday) of ",M3.5.0/2", and what follows; nil for anything else.
local function take_date(text)
  local month, week, day, rest = text:match("^,M(%d+)%.(%d)%.(%d)(.*)$")
  if not month then return nil, text end
  local date = { month = tonumber(month), week = tonumber(week), day = tonumber(day) }
  date.time, rest = take_time(rest:match("^/(.*)$") or "", 2 * HOUR), rest
  return date, rest:match("^/[-+:%d]+(.*)$") or rest
end

local function parse_rule(text)
  local west, summer_west
  local rest = take_name(text)
  if not rest then return nil end
  west, rest = take_time(rest, nil)
  if not west then return nil end
  local rule = { offset = -west }
  if rest == "" then return rule end
  rest = take_name(rest)
  if not rest then return nil end
  summer_west, rest = take_time(rest, west - HOUR)
  rule.summer = -summer_west
  rule.from, rest = take_date(rest)
  rule.to, rest = take_date(rest)
  return rule.from and rule.to and rest == "" and rule or nil
end

--- The moment of a date in a year, as seconds of a clock that shows the offset.
local function moment_of(date, year, offset)
  local first = zone.days_of(year, date.month, 1)
  local next_first = zone.days_of(year, date.month + 1, 1)
  local day = first + (date.day - (first + 4)) % 7 + (date.week - 1) * 7
  while day >= next_first do day = day - 7 end
  return day * DAY + date.time - offset
end

local function offset_by_rule(rule, wall)
  if not rule.summer then return rule.offset end
  local year = tonumber(host.time_text(wall + rule.offset):match("^%d+"))
  local from = moment_of(rule.from, year, rule.offset)
  local to = moment_of(rule.to, year, rule.summer)
  local is_after, is_before = from <= wall, wall < to
  local is_summer = is_after and is_before
  if from > to then is_summer = is_after or is_before end -- in the south
  return is_summer and rule.summer or rule.offset
end

-- ------------------------------------------------------------------------------------
-- A file (RFC 9636): a table of 32 bits for old readers, the one of 64 bits, the rule

local HEADER = 44

local function integer(text, at, size)
  local value = text:byte(at) < 128 and 0 or -1
  for index = at, at + size - 1 do value = value * 256 + text:byte(index) end
  return value
end

local function counts_of(text, at)
  local counts = {}
  for index = 1, 6 do counts[index] = integer(text, at + 16 + index * 4, 4) end
  return { utc = counts[1], standard = counts[2], leaps = counts[3], times = counts[4],
    types = counts[5], letters = counts[6] }
end

local function size_of(counts, size)
  return counts.times * (size + 1) + counts.types * 6 + counts.letters
    + counts.leaps * (size + 4) + counts.standard + counts.utc
end

local function parse(text)
  if text:sub(1, 4) ~= "TZif" or text:byte(5) < ("2"):byte() then return nil end
  local at = 1 + HEADER + size_of(counts_of(text, 1), 4)
  local counts = counts_of(text, at)
  at = at + HEADER
  local of_types = at + counts.times * 8
  local types = of_types + counts.times
  local function offset_of(type) return integer(text, types + type * 6, 4) end
  local made = { times = {}, offsets = {}, first = offset_of(0) }
  for index = 1, counts.times do
    made.times[index] = integer(text, at + (index - 1) * 8, 8)
    made.offsets[index] = offset_of(text:byte(of_types + index - 1))
  end
  local footer = text:sub(at + size_of(counts, 8)):match("^\n(.*)\n$")
  made.rule = footer ~= "" and parse_rule(footer) or nil
  if footer ~= "" and not made.rule then return nil end
  return made
end

-- ------------------------------------------------------------------------------------
-- Zones

local OFFSET_MAX = 14 * 60 -- minutes; no clock on earth is farther from UTC

local function fixed(name)
  local sign, hours, minutes = name:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or minutes > 59 or hours * 60 + minutes > OFFSET_MAX then return nil end
  local offset = (hours * 60 + minutes) * 60 * (sign == "-" and -1 or 1)
  return { times = {}, offsets = {}, first = offset }
end

local function load(name)
  if not name:find("^%a[%w_+-]*$") and not name:find("^%a[%w_+-]*/%a[%w_+/-]*$") then
    return nil, ("\"%s\" is no zone: \"Europe/Berlin\", \"+08:00\""):format(name)
  end
  local is_read, text = true, kept[name]
  if not text then is_read, text = pcall(host.read, FOLDER .. name) end
  if not is_read then return nil, ("the zone \"%s\" is not loaded"):format(name) end
  if not text then return nil, ("there is no zone \"%s\" in %s"):format(name, FOLDER) end
  local is_parsed, made = pcall(parse, text)
  if not is_parsed or not made then
    return nil, ("the file of the zone \"%s\" cannot be read"):format(name)
  end
  return made
end

--- The zone of a name; nil and what is wrong where there is none.
---@param name string "UTC", "+08:00", "Europe/Berlin"
---@return neap.zone?, string?
function zone.find(name)
  if known[name] then return known[name] end
  local made, problem = fixed(name == "UTC" and "+00:00" or name)
  if not made then made, problem = load(name) end
  if not made then return nil, problem end
  known[name] = made
  return made
end

--- Keeps the files of all zones that the system's table names, so that any of them is found later.
--- While a generation is built; some hundred small files.
function zone.keep_all()
  local text = host.read(FOLDER .. "tzdata.zi") or ""
  for name in ("\n" .. text):gmatch("\nZ (%S+)") do kept[name] = host.read(FOLDER .. name) end
  for name in ("\n" .. text):gmatch("\nL %S+ (%S+)") do kept[name] = host.read(FOLDER .. name) end
end

--- Seconds from UTC at a moment.
---@param self neap.zone
---@param wall number seconds since 1970
---@return integer
function zone.offset(self, wall)
  local times, low, high = self.times, 0, #self.times
  if self.rule and (high == 0 or wall >= times[high]) then
    return offset_by_rule(self.rule, wall)
  end
  while low < high do -- the last change that is not after the moment
    local middle = math.ceil((low + high) / 2)
    if times[middle] <= wall then low = middle else high = middle - 1 end
  end
  return self.offsets[low] or self.first
end

--- What the clocks of a zone show at a moment: { year, month, day, hour, minute, second, weekday }
--- (weekday 1 is Monday).
---@param self neap.zone
---@param wall number seconds since 1970
function zone.calendar(self, wall)
  local moment = wall + zone.offset(self, wall)
  local year, month, day, hour, minute, second =
    host.time_text(moment):match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)")
  return {
    year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = tonumber(hour),
    minute = tonumber(minute), second = tonumber(second),
    weekday = (math.floor(moment / DAY) + 3) % 7 + 1,
  }
end

return zone
