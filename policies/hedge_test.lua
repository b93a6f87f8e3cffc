local test = require "neap.test"

local CHAIN = { { "hedge", { after = 1, share = 1 } }, "priority_failover" }

local function world(spec)
  spec.policies = spec.policies or CHAIN
  spec.targets = spec.targets or { "a/m", "b/m" }
  return test.world(spec)
end

local function run(spec)
  return world(spec):run(spec.request)
end

-- ------------------------------------------------------------------------------------
-- The race

test("a second target is asked when the first has brought nothing after a while", function()
  local got = run { upstream = { ["a/m"] = { text = "slow", after = 5 },
    ["b/m"] = { text = "quick", after = 1 } } }
  test.equal({ got.text, got.seconds }, { "quick", 2 })
  test.equal(got.tried, { "a/m lost", "b/m 200" })
  test.equal(got.notes, { "nothing from a/m after 1.000 s: asking b/m, too" })
end)

test("the first target may still win", function()
  local got = run { upstream = { ["a/m"] = { text = "after all", after = 2 },
    ["b/m"] = { text = "slower", after = 5 } } }
  test.equal({ got.text, got.seconds }, { "after all", 2 })
  test.equal(got.tried, { "a/m 200", "b/m lost" })
end)

test("while the first target is quick no other is asked", function()
  local got = run { upstream = { ["a/m"] = { text = "hi", after = 0.9 } } }
  test.equal({ got.tried, got.notes }, { { "a/m 200" }, {} })
end)

test("a stream is decided by its first content", function()
  local got = run { request = { stream = true }, upstream = {
    ["a/m"] = { stream = { { "late", at = 9 } } },
    ["b/m"] = { stream = { "first", { " of all", at = 20 } } } } }
  test.equal({ got.text, got.seconds }, { "first of all", 1 })
  test.equal(run { request = { stream = true }, upstream = {
    ["a/m"] = { stream = { "early", { " enough", at = 9 } } } } }.tried, { "a/m 200" })
end)

test("the lost attempt says nothing about its key, and is in flight no more", function()
  local here = world { policies = { CHAIN[1], "priority_failover", "key_rotation" },
    upstream = { ["a/m"] = { text = "slow", after = 5 }, ["b/m"] = { text = "quick" } } }
  test.equal(here:run().tried, { "a/m lost", "b/m 200" })
  test.equal({ here:key("a", "k1").state, here:target("a/m").in_flight }, { "ready", 0 })
end)

-- ------------------------------------------------------------------------------------
-- Failures: each leg walks its own list

test("a failure before the delay is the walker's: nothing is asked twice", function()
  local got = run { targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { status = 503, body = "{}" } } }
  test.equal({ got.status, got.tried }, { 503, { "a/m 500", "b/m 503" } })
end)

test("what the first leg has moved on to is not asked twice, but the next one is", function()
  local answers = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "slow", after = 5 },
    ["c/m"] = { text = "third", after = 1 } }
  test.equal(run({ upstream = answers }).tried, { "a/m 500", "b/m 200" })
  local got = run { targets = { "a/m", "b/m", "c/m" }, upstream = answers }
  test.equal({ got.text, got.seconds }, { "third", 2 })
  test.equal(got.tried, { "a/m 500", "b/m lost", "c/m 200" })
  test.equal(got.notes[2], "nothing from b/m after 1.000 s: asking c/m, too")
end)

test("when the second target fails the first goes on", function()
  local got = run { upstream = { ["a/m"] = { text = "slow", after = 5 },
    ["b/m"] = { status = 500 } } }
  test.equal({ got.text, got.seconds }, { "slow", 5 })
  test.equal(got.tried, { "a/m 200", "b/m 500" })
end)

test("the second leg moves on to the third target, never to the first", function()
  local got = run { targets = { "a/m", "b/m", "c/m" },
    upstream = { ["a/m"] = { text = "slow", after = 9 }, ["b/m"] = { status = 500 },
      ["c/m"] = { text = "third", after = 1 } } }
  test.equal({ got.text, got.seconds }, { "third", 2 })
  test.equal(got.tried, { "a/m lost", "b/m 500", "c/m 200" })
end)

test("all fail: the client gets the last answer", function()
  local got = run { limits = { attempts = 2 },
    upstream = { ["a/m"] = { failure = "reset", after = 2 },
      ["b/m"] = { status = 503, body = "{}", after = 2 } } }
  test.equal({ got.status, got.tried }, { 503, { "a/m reset", "b/m 503" } })
end)

test("one target, or a second one that rests: no race", function()
  test.equal(run { targets = { "a/m" }, upstream = { ["a/m"] = { text = "hi", after = 9 } } }.tried,
    { "a/m 200" })
  local here = world { upstream = { ["a/m"] = { text = "hi", after = 9 } } }
  here:target("b/m"):rest(60, "for the test")
  test.equal(here:run().tried, { "a/m 200" })
end)

test("it stands outside of what walks the targets", function()
  test.raises(function() world { policies = { "priority_failover", "hedge" } } end,
    "hedge orders the targets inside of priority_failover")
end)

test("what the list is ordered by decides who is asked", function()
  local got = run { targets = { { "a/m", priority = 3 }, { "b/m", priority = 1 },
      { "c/m", priority = 2 } },
    upstream = { ["b/m"] = { text = "slow", after = 9 }, ["c/m"] = { text = "quick" } } }
  test.equal(got.tried, { "b/m lost", "c/m 200" })
end)

-- ------------------------------------------------------------------------------------
-- The share

local SLOW = { ["a/m"] = { text = "slow", after = 5 }, ["b/m"] = { text = "quick" } }

local function hedged(here, count)
  local sum = 0
  for _ = 1, count do sum = sum + (#here:run().tried - 1) end
  return sum
end

test("share caps the second attempts, from the first request on", function()
  local here = world { upstream = SLOW,
    policies = { { "hedge", { after = 1 } }, "priority_failover" } }
  test.equal(hedged(here, 19), 0)
  test.equal(hedged(here, 1), 1)
  test.equal(hedged(here, 180), 9)
end)

test("what quiet times save up is bounded", function()
  local here = world { upstream = { ["a/m"] = { text = "hi" } },
    policies = { { "hedge", { after = 1, share = 0.5 } }, "priority_failover" } }
  test.equal(hedged(here, 100), 0)
  here.upstream["a/m"], here.upstream["b/m"] = SLOW["a/m"], SLOW["b/m"]
  -- Ten that were saved up, and half of the 29 that follow.
  test.equal(hedged(here, 30), 24)
end)

test("share = 1 caps nothing, also where many requests come at once", function()
  local requests = {}
  for index = 1, 30 do requests[index] = {} end
  for _, got in ipairs(world { upstream = SLOW }:run_all(requests)) do
    test.equal(got.tried, { "a/m lost", "b/m 200" })
  end
end)

test("share = 0: never", function()
  test.equal(run { upstream = SLOW,
    policies = { { "hedge", { after = 1, share = 0 } }, "priority_failover" } }.tried,
    { "a/m 200" })
end)

-- ------------------------------------------------------------------------------------
-- Its own delay

local OWN = { { "hedge", { share = 1 } }, "priority_failover" }

-- Answers of the first target whose times go evenly from 0.1 s to 2 s.
local function spread(count, answer)
  local list = {}
  for index = 1, count do list[index] = { text = "hi", after = index * 7 % 20 / 10 + 0.1 } end
  list[count + 1] = answer
  return list
end

test("without times no second attempt", function()
  local here = world { policies = OWN, upstream = { ["a/m"] = spread(29, SLOW["a/m"]) } }
  test.equal(hedged(here, 30), 0)
end)

test("then after what 95 of 100 answers of that target stay below", function()
  local here = world { policies = { { "hedge", { share = 0 } }, "priority_failover" },
    upstream = { ["a/m"] = spread(600) } }
  hedged(here, 600)
  local seconds = math.exp(here:shared("hedge", "a/m whole"))
  test.ok(seconds > 1.6 and seconds < 2.3, ("the estimate is %.2f"):format(seconds))
end)

test("an attempt that lost counts as one that took longer", function()
  local slow = { text = "slow", after = 50 }
  local answers = spread(40)
  for index = 41, 44 do answers[index] = slow end
  local here = world { policies = OWN,
    upstream = { ["a/m"] = answers, ["b/m"] = { text = "quick", after = 0.01 } } }
  hedged(here, 40)
  local before = here:shared("hedge", "a/m whole")
  test.equal(hedged(here, 4), 4)
  test.ok(math.abs(here:shared("hedge", "a/m whole") - before - 4 * 0.095) < 1e-6)
end)

test("a quick failure is no time, and streams have times of their own", function()
  local here = world { policies = OWN, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { { status = 500 }, { text = "hi", after = 1 } },
      ["b/m"] = { text = "hi", after = 2 } } }
  here:run()
  test.equal(here:shared("hedge", "times a/m whole"), nil)
  test.equal(here:shared("hedge", "times b/m whole"), 1)
  here:run { stream = true }
  test.equal(here:shared("hedge", "a/m streamed"), 0)
  test.equal(here:shared("hedge", "a/m whole"), nil)
end)
