local test = require "neap.test"

local HOUR, DAY = 3600, 86400
local MONDAY = 1767225600 + 4 * DAY -- 2026-01-05, at midnight (UTC)
local DOWN = { status = 500 }

--- What is tried, in order, at a time of the week that begins with that Monday. All targets fail.
local function tried_at(day, hour, settings, spec)
  local given = { targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    upstream = { ["a/m"] = DOWN, ["b/m"] = DOWN, ["a/n"] = DOWN },
    policies = { { "schedule", settings }, "priority_failover" },
    wall = (spec and spec.monday or MONDAY) + (day - 1) * DAY + hour * HOUR }
  for name, value in pairs(spec or {}) do given[name] = value end
  given.monday = nil
  local run, names = test.run(given), {}
  for index, one in ipairs(run.tried) do names[index] = one:match("^%S+") end
  return table.concat(names, " "), run
end

local function allowed(hours, zone) return { allowed = { ["a/m"] = hours }, zone = zone } end

test("without settings the targets are as they were", function()
  test.equal((tried_at(1, 12, {})), "a/m b/m")
end)

test("allowed: a target is left out outside of its hours", function()
  for hour, tried in pairs { [7.99] = "b/m", [8] = "a/m b/m", [17.99] = "a/m b/m", [18] = "b/m" } do
    test.equal((tried_at(1, hour, allowed "08:00-18:00")), tried, "at " .. hour)
  end
end)

test("what is left out is noted", function()
  local _, run = tried_at(1, 20, allowed "08:00-18:00")
  test.equal(run.notes[1], "a/m: not at this hour")
end)

test("preferred: a target goes first in its hours, and stays where it was outside", function()
  local settings = { preferred = { ["b/m"] = "00:30-08:30" } }
  for hour, tried in pairs { [0] = "a/m b/m", [0.5] = "b/m a/m", [8.5] = "a/m b/m" } do
    test.equal((tried_at(3, hour, settings)), tried, "at " .. hour)
  end
end)

test("a span over midnight belongs to the day on which it begins", function()
  local friday = allowed "fri 22:00-06:00"
  test.equal((tried_at(5, 5, friday)), "b/m", "the night before")
  test.equal((tried_at(5, 22, friday)), "a/m b/m")
  test.equal((tried_at(6, 5.99, friday)), "a/m b/m", "Saturday morning")
  test.equal((tried_at(6, 6, friday)), "b/m")
  test.equal((tried_at(6, 22, friday)), "b/m")
end)

test("a Sunday's night ends on Monday", function()
  test.equal((tried_at(1, 3, allowed "sun 22:00-06:00")), "a/m b/m")
  test.equal((tried_at(7, 3, allowed "sun 22:00-06:00")), "b/m")
end)

test("days alone are whole days, and ranges of days go round", function()
  local seen = {}
  for day = 1, 7 do seen[day] = tried_at(day, 12, allowed "sat-mon,wed") == "a/m b/m" end
  test.equal(seen, { true, false, true, false, false, true, true })
end)

test("several spans", function()
  local settings = allowed { "mon-fri 18:00-08:00", "sat,sun" }
  test.equal((tried_at(2, 12, settings)), "b/m")
  test.equal((tried_at(2, 20, settings)), "a/m b/m")
  test.equal((tried_at(6, 12, settings)), "a/m b/m")
end)

test("a provider stands for all of its targets, unless one has hours of its own", function()
  local settings = { allowed = { a = "08:00-18:00", ["a/n"] = "20:00-22:00" } }
  local spec = { targets = { { "a/m", priority = 1 }, { "a/n", priority = 2 } } }
  test.equal((tried_at(1, 12, settings, spec)), "a/m")
  test.equal((tried_at(1, 21, settings, spec)), "a/n")
end)

test("nothing is on: the client is told, and nobody is asked", function()
  local tried, run = tried_at(1, 12, { allowed = { a = "sat,sun", b = "20:00-24:00" } })
  test.equal({ tried, run.status }, { "", 503 })
  test.match(run.body, "no target of the group is on at this hour")
end)

test("one that rests is not preferred", function()
  local given = test.world { targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    policies = { { "schedule", { preferred = { b = "mon-sun" } } }, "priority_failover" },
    upstream = { ["a/m"] = DOWN, ["b/m"] = DOWN } }
  test.equal(given:run().tried, { "b/m 500", "a/m 500" })
  given:target("b/m"):rest(60, "for the test")
  test.equal(given:run().tried, { "a/m 500", "b/m 500" })
end)

-- ------------------------------------------------------------------------------------
-- Whose clocks

test("the zone is an offset: eight in the morning in Shanghai is midnight", function()
  test.equal((tried_at(1, 0, allowed("08:00-09:00", "+08:00"))), "a/m b/m")
  test.equal((tried_at(1, 8, allowed("08:00-09:00", "+08:00"))), "b/m")
end)

test("or a name, with its summer time", function()
  local berlin, july = allowed("08:00-09:00", "Europe/Berlin"), { monday = MONDAY + 26 * 7 * DAY }
  test.equal((tried_at(1, 7, berlin)), "a/m b/m", "in winter")
  test.equal((tried_at(1, 6, berlin)), "b/m", "in winter")
  test.equal((tried_at(1, 6, berlin, july)), "a/m b/m", "in summer")
end)

test("wrong settings are errors at load", function()
  local function refuses(settings, pattern)
    test.raises(function() tried_at(1, 0, settings) end, pattern)
  end
  refuses(allowed "8-18", "at a/m must be hours: \"8%-18\" is no time")
  refuses(allowed "08:00-08:00", "ends when it begins")
  refuses(allowed "08:00-24:01", "from 00:00 to 24:00")
  refuses(allowed "holidays", "\"holidays\" names no day")
  refuses({ zone = "Europe/Nowhere" }, "zone must be a zone: there is no zone \"Europe/Nowhere\"")
end)
