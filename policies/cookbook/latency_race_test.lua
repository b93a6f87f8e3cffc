local test = require "neap.test"

local function world(upstream, settings)
  return test.world {
    policies = { { "latency_race", settings } }, targets = { "a/m", "b/m", "c/m" },
    upstream = upstream,
  }
end

local function answer(text, seconds) return { text = text, after = seconds } end

test("the first that answers wins", function()
  local run = world { ["a/m"] = answer("a", 5), ["b/m"] = answer("b", 1) }:run()
  test.equal({ run.text, run.seconds }, { "b", 1.3 })
end)

test("one that is quick enough runs alone", function()
  local run = world { ["a/m"] = answer("a", 0.1) }:run()
  test.equal({ run.text, run.tried }, { "a", { "a/m 200" } })
end)

test("one that fails does not win", function()
  local run = world { ["a/m"] = { status = 500 }, ["b/m"] = answer("b", 2) }:run()
  test.equal(run.text, "b")
end)

test("the quickest two of those that were measured run", function()
  local made = world({ ["a/m"] = answer("a", 3), ["b/m"] = answer("b", 2),
    ["c/m"] = answer("c", 1) }, { legs = 3, head_start = 0 })
  made:run()
  local run = made:run { }
  test.equal({ run.text, run.seconds }, { "c", 1 })
end)

test("with one target there is no race", function()
  local run = test.run { policies = { "latency_race" }, targets = { "a/m" },
    upstream = { ["a/m"] = answer("a", 1) } }
  test.equal(run.tried, { "a/m 200" })
end)
