local test = require "neap.test"

local FRIDAY = 1767312000 -- 2026-01-02, 00:00 UTC
local HOUR, DAY = 3600, 86400

--- A world that begins so many seconds after Friday's first.
local function world(seconds, settings)
  settings.requests = 2
  return test.world {
    policies = { { "weekend_budget", settings }, "priority_failover" },
    targets  = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "paid" }, ["b/m"] = { text = "free" } },
    wall     = FRIDAY + seconds,
  }
end

local function texts(made, count)
  local list = {}
  for index = 1, count do list[index] = made:run().text end
  return list
end

test("on a working day nothing is counted", function()
  test.equal(texts(world(DAY - HOUR, {}), 4), { "paid", "paid", "paid", "paid" })
end)

test("on a weekend, so many requests; then the free targets", function()
  test.equal(texts(world(DAY, { free = { "b" } }), 4), { "paid", "paid", "free", "free" })
end)

test("without free ones a 429 with the time until Monday", function()
  local made = world(2 * DAY + 22 * HOUR, {})
  texts(made, 2)
  local run = made:run()
  test.equal({ run.status, run.headers["retry-after"] }, { 429, tostring(2 * HOUR) })
end)

test("Saturday and Sunday have one budget, the next weekend another", function()
  local made = world(DAY + 12 * HOUR, { free = { "b" } })
  test.equal(texts(made, 1), { "paid" })
  made:sleep(DAY)
  test.equal(texts(made, 2), { "paid", "free" })
  made:sleep(6 * DAY)
  test.equal(texts(made, 3), { "paid", "paid", "free" })
end)

test("the weekend is the zone's", function()
  local made = world(DAY - HOUR, { free = { "b" }, zone = "+02:00" })
  test.equal(texts(made, 3), { "paid", "paid", "free" })
end)
