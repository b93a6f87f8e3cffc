local test = require "neap.test"

local BREAKER = { "circuit_breaker", { rest = 30, max_rest = 100 } }
local OK, DOWN = { text = "hi" }, { status = 500 }

--- Two targets behind the breaker and the failover; answers of a/m, and of b/m.
local function two(a, b, settings)
  return test.world {
    policies = { settings and { "circuit_breaker", settings } or BREAKER, "priority_failover" },
    targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    upstream = { ["a/m"] = a, ["b/m"] = b or OK },
  }
end

local function runs(world, count)
  local run
  for _ = 1, count do run = world:run() end
  return run
end

--- Where a/m stands after so many answers of a kind.
local function state_after(answer, count, settings)
  local world = two(answer, OK, settings)
  runs(world, count)
  return world:target("a/m").state, world
end

test("two failures within five minutes rest a target, and it is left out", function()
  local world = two(DOWN)
  test.equal(world:run().tried, { "a/m 500", "b/m 200" })
  world:sleep(299)
  test.equal(world:run().tried, { "a/m 500", "b/m 200" })
  test.equal(world:target("a/m").state, "resting")
  test.equal(world:run().tried, { "b/m 200" })
end)

test("two failures further apart do not", function()
  local world = two(DOWN)
  world:run()
  world:sleep(300)
  world:run()
  test.equal(world:target("a/m").state, "ready")
end)

test("a success between them resets the count", function()
  local world = two { DOWN, OK, DOWN, OK }
  runs(world, 4)
  test.equal(world:target("a/m").state, "ready")
end)

test("how many, within how long, and for how long, are settings", function()
  local settings = { failures = 3, window = 10, rest = 7 }
  test.equal((state_after(DOWN, 2, settings)), "ready")
  local state, world = state_after(DOWN, 3, settings)
  test.equal(state, "resting")
  world:sleep(7)
  test.equal(world:target("a/m").state, "ready")
end)

-- ------------------------------------------------------------------------------------
-- What counts

for _, failure in ipairs { "connect", "tls", "reset", "timeout", "protocol" } do
  test(failure .. " counts", function()
    test.equal((state_after({ failure = failure }, 2)), "resting")
  end)
end

for _, status in ipairs { 500, 502, 503, 529 } do
  test(status .. " counts", function()
    test.equal((state_after({ status = status }, 2)), "resting")
  end)
end

test("an empty answer counts", function()
  test.equal((state_after({ text = "" }, 2)), "resting")
end)

test("a keyword counts", function()
  local world = test.world {
    policies = { "circuit_breaker", "priority_failover",
      { "keyword_retry", { keywords = { "overloaded" } } } },
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "overloaded" }, ["b/m"] = OK },
  }
  runs(world, 2)
  test.equal(world:target("a/m").state, "resting")
end)

test("a stream that breaks off counts, although the answer had begun", function()
  local world = two { stream = { "he", { failure = "reset", at = 1 } } }
  for _ = 1, 2 do test.equal(world:run { stream = true }.tried, { "a/m 200" }) end
  test.equal(world:target("a/m").state, "resting")
end)

test("in a race the one that breaks off counts, what was lost does not", function()
  local world = test.world {
    policies = { "circuit_breaker", { "hedge", { after = 1, share = 1 } }, "priority_failover" },
    targets = { "a/m", "b/m" },
    upstream = {
      ["a/m"] = { stream = { { "he", at = 2 }, { failure = "reset", at = 3 } } },
      ["b/m"] = { stream = { { "late", at = 9 } } },
    },
  }
  for _ = 1, 2 do test.equal(world:run { stream = true }.tried, { "a/m 200", "b/m lost" }) end
  test.equal({ world:target("a/m").state, world:target("b/m").state }, { "resting", "ready" })
end)

for _, status in ipairs { 400, 404, 408, 413, 422 } do
  test("a client's own fault never counts: " .. status, function()
    test.equal((state_after({ status = status }, 20)), "ready")
  end)
end

for _, status in ipairs { 401, 402, 403, 429 } do
  test("what is about a key never counts: " .. status, function()
    test.equal((state_after({ status = status }, 20)), "ready")
  end)
end

test("a client's fault does not reset the count, either", function()
  test.equal((state_after({ DOWN, { status = 400 }, DOWN }, 3)), "resting")
end)

test("what counts is a setting", function()
  test.equal((state_after({ status = 429 }, 2, { counts = { 429 } })), "resting")
  test.equal((state_after(DOWN, 2, { counts = { 429 } })), "ready")
end)

-- ------------------------------------------------------------------------------------
-- The probe

test("when the rest is over, one request is the probe; its success ends the rest", function()
  local world = two { DOWN, DOWN, { text = "hi", after = 2 }, OK }
  runs(world, 2)
  world:sleep(30)
  local all = world:run_all { {}, {}, {} }
  test.equal({ all[1].tried, all[2].tried, all[3].tried },
    { { "a/m 200" }, { "b/m 200" }, { "b/m 200" } })
  test.equal(world:run().tried, { "a/m 200" })
end)

test("a probe that fails rests the target again, twice as long each time", function()
  local world = two(DOWN)
  runs(world, 2)
  for _, seconds in ipairs { 30, 60, 100, 100 } do
    world:sleep(seconds - 1)
    test.equal(world:run().tried, { "b/m 200" })
    world:sleep(1)
    test.equal(world:run().tried, { "a/m 500", "b/m 200" })
  end
end)

test("after a success the next rest is a short one again", function()
  local world = two { DOWN, DOWN, DOWN, OK, DOWN, DOWN, OK }
  runs(world, 2)
  world:sleep(30)
  world:run()
  world:sleep(60)
  runs(world, 3)
  test.equal(world:target("a/m").state, "resting")
  world:sleep(30)
  test.equal(world:run().tried, { "a/m 200" })
end)

test("behind a target that is well, one that has rested may be tried without a probe", function()
  local world = two({ OK, DOWN }, { DOWN, DOWN, OK }, { failures = 1 })
  world:target("b/m"):rest(10, "for the test")
  world:sleep(10)
  test.equal(world:run().tried, { "a/m 200" })
  test.equal(world:run().tried, { "a/m 500", "b/m 500" })
end)

-- ------------------------------------------------------------------------------------
-- Nothing is a lock

test("a lone target is tried although it rests", function()
  local world = test.world {
    policies = { "circuit_breaker", "priority_failover" }, targets = { "a/m" },
    upstream = { ["a/m"] = { DOWN, DOWN, DOWN, OK } },
  }
  local run = runs(world, 3)
  test.equal(run.tried, { "a/m 500" })
  test.equal(run.notes, { "all 1 targets rest: trying them nevertheless", "a/m: 500" })
  test.equal(world:run().status, 200)
  test.equal(world:target("a/m").state, "ready")
end)

test("all resting: they are tried in the order in which they wake", function()
  local world = two(OK)
  world:target("a/m"):rest(60, "for the test")
  world:target("b/m"):rest(20, "for the test")
  test.equal(world:run().tried, { "b/m 200" })
end)

test("failures side by side are one rest, not a longer one", function()
  local world = two { failure = "timeout", after = 5 }
  world:run_all { {}, {}, {}, {}, {}, {} }
  test.equal(world:target("a/m").state, "resting")
  world:sleep(30)
  test.equal(world:target("a/m").state, "ready")
end)

-- ------------------------------------------------------------------------------------
-- Old news

test("the end of a stream that began before the failures does not end the rest", function()
  local down = { status = 500, after = 1 }
  local world = two { { stream = { "he", { "llo", at = 20 } } }, down, down }
  local all = world:run_all { { stream = true }, {}, {} }
  test.equal({ all[1].tried, all[2].tried }, { { "a/m 200" }, { "a/m 500", "b/m 200" } })
  test.equal(world:target("a/m").state, "resting")
end)

test("a failure counts for when it was, however long the answer elsewhere went on", function()
  local slow = { stream = { "he", { "llo", at = 100 } } }
  local world = test.world {
    policies = { "wait", { "circuit_breaker", { failures = 1, rest = 10 } }, "priority_failover" },
    texts = { wait = [[
      local policy = require "neap.policy"
      local wait = policy.define { summary = "Waits for as long as the client says." }
      function wait:run(request, next)
        self:sleep(tonumber(request.headers.wait))
        return next(request)
      end
      return wait]] },
    targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    upstream = { ["a/m"] = { DOWN, DOWN, OK }, ["b/m"] = { slow, OK } },
  }
  local all = world:run_all {
    { stream = true, headers = { wait = "0" } }, -- fails over at once, and ends after 100 s
    { headers = { wait = "1" } },                -- fails over at once: a/m rests
    { headers = { wait = "12" } },               -- the probe: a/m is well
  }
  test.equal({ all[1].tried, all[2].tried, all[3].tried },
    { { "a/m 500", "b/m 200" }, { "a/m 500", "b/m 200" }, { "a/m 200" } })
  test.equal(world:target("a/m").state, "ready")
end)

test("the stored threshold and window count where the settings say nothing", function()
  local function states_after(failures, settings, stored)
    local world = test.world { policies = { { "circuit_breaker", settings }, "priority_failover" },
      targets = { "a/m" }, stored = stored, upstream = { ["a/m"] = { status = 500 } } }
    for _ = 1, failures do
      world:run()
      world:sleep(40)
    end
    return world:target("a/m").rests
  end
  test.equal(states_after(2, {}, nil), 1)
  test.equal(states_after(2, {}, { failure_threshold = 3 }), 0)
  test.equal(states_after(3, {}, { failure_threshold = 3 }), 1)
  test.equal(states_after(3, {}, { failure_threshold = 3, failure_window = 60 }), 0)
  test.equal(states_after(2, { failures = 2 }, { failure_threshold = 3 }), 1)
end)
