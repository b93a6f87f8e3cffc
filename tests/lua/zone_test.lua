-- Local time: what the clocks show, before and after they are changed.
local test = require "neap.test"
local zone = require "neap.zone"

local function wall(year, month, day, hour, minute)
  return zone.days_of(year, month, day) * 86400 + (hour or 0) * 3600 + (minute or 0) * 60
end

--- What a zone's clocks show at a moment of UTC.
local function shown(name, ...)
  local calendar = zone.calendar(assert(zone.find(name)), wall(...))
  return ("%04d-%02d-%02d %02d:%02d %d"):format(calendar.year, calendar.month, calendar.day,
    calendar.hour, calendar.minute, calendar.weekday)
end

test("fixed offsets, and UTC", function()
  test.equal(shown("UTC", 2026, 1, 1, 12), "2026-01-01 12:00 4")
  test.equal(shown("+08:00", 2026, 1, 1, 18), "2026-01-02 02:00 5")
  test.equal(shown("-03:30", 2026, 1, 1, 3), "2025-12-31 23:30 3")
end)

for _, year in ipairs { 1996, 2026, 2036, 2038, 2100 } do
  test(("Berlin changes its clocks at 1:00 UTC on the last Sundays of March and October %d")
    :format(year), function()
    local spring, autumn = 25, 25
    while (zone.days_of(year, 3, spring) + 4) % 7 ~= 0 do spring = spring + 1 end
    while (zone.days_of(year, 10, autumn) + 4) % 7 ~= 0 do autumn = autumn + 1 end
    test.match(shown("Europe/Berlin", year, 3, spring, 0, 59), " 01:59 7$")
    test.match(shown("Europe/Berlin", year, 3, spring, 1), " 03:00 7$")
    test.match(shown("Europe/Berlin", year, 10, autumn, 0, 59), " 02:59 7$")
    test.match(shown("Europe/Berlin", year, 10, autumn, 1), " 02:00 7$")
  end)
end

test("the south has its summer over the new year", function()
  test.equal(shown("Australia/Sydney", 2026, 1, 1), "2026-01-01 11:00 4")
  test.equal(shown("Australia/Sydney", 2026, 7, 1), "2026-07-01 10:00 3")
  test.equal(shown("Australia/Sydney", 2050, 1, 1), "2050-01-01 11:00 6")
  test.equal(shown("Australia/Sydney", 2050, 7, 1), "2050-07-01 10:00 5")
end)

test("Dublin's winter is the exception", function()
  test.equal(shown("Europe/Dublin", 2045, 1, 2), "2045-01-02 00:00 1")
  test.equal(shown("Europe/Dublin", 2045, 7, 3), "2045-07-03 01:00 1")
end)

test("no summer time, and odd offsets", function()
  test.equal(shown("Asia/Kathmandu", 2026, 1, 1), "2026-01-01 05:45 4")
  test.equal(shown("Asia/Shanghai", 2090, 1, 1), "2090-01-01 08:00 7")
  test.equal(shown("America/St_Johns", 2026, 1, 1, 3, 30), "2026-01-01 00:00 4")
  test.equal(shown("America/Nuuk", 2040, 7, 1, 1), "2040-07-01 00:00 7")
end)

test("long ago, before any change", function()
  test.match(shown("Europe/Berlin", 1800, 1, 1, 12), "^1800%-01%-01 12:53")
end)

test("what is no zone is said to be none", function()
  local function refuses(name, pattern)
    local found, problem = zone.find(name)
    test.equal(found, nil)
    test.match(problem, pattern)
  end
  refuses("Europe/Nowhere", "there is no zone \"Europe/Nowhere\"")
  refuses("../../etc/passwd", "is no zone")
  refuses("Europe/../../etc", "is no zone")
  refuses("8", "is no zone")
  refuses("", "is no zone")
  refuses("tzdata.zi", "is no zone")
  for _, offset in ipairs { "+14:01", "+25:00", "-08:60", "+8:00", "08:00" } do
    refuses(offset, "is no zone")
  end
  refuses("Europe", "zone \"Europe\"")
end)

return test.finish()
