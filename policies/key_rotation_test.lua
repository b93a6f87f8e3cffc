local test = require "neap.test"

local POLICIES = { "priority_failover", "key_rotation" }
local OK = { text = "hi" }

--- One target with two keys; answers by key.
local function two_keys(k1, k2, options)
  options = options or {}
  return test.world {
    policies = options.settings and { "priority_failover", { "key_rotation", options.settings } }
      or POLICIES,
    targets = options.targets or { "a/m" }, keys = { a = { "k1", "k2" } },
    upstream = options.upstream or { ["a/m"] = { k1 = k1, k2 = k2 or OK } },
    random = options.random or 0.5, limits = options.limits,
  }
end

local function limited(headers, body)
  return { status = 429, headers = headers, body = body }
end

--- Where k1 stands after one request: state, seconds, reason.
local function verdict_on(answer, options)
  local world = two_keys(answer, nil, options)
  local run = world:run()
  local key = world:key("a", "k1")
  return { key.state, key.remaining }, run, world
end

test("keys take turns", function()
  local world = two_keys(OK)
  local keys = {}
  for index = 1, 4 do keys[index] = world:run().keys[1] end
  test.equal(keys, { "k1", "k2", "k1", "k2" })
end)

test("the turn is the provider's, whatever the target", function()
  local world = two_keys(nil, nil, { targets = { "a/m", "a/n" }, settings = { tries = 1 },
    upstream = { ["a/m"] = { status = 500 }, ["a/n"] = OK } })
  test.equal(world:run().keys, { "k1", "k2" })
end)

test("a limited key rests, and the next one is tried", function()
  local _, run = verdict_on(limited())
  test.equal(run.keys, { "k1", "k2" })
  test.equal(run.tried, { "a/m 429", "a/m 200" })
  test.equal(run.notes, { "k1: its rate is limited (429)" })
end)

-- ------------------------------------------------------------------------------------
-- How long a limit lasts

test("429: exactly the retry-after", function()
  test.equal(verdict_on(limited { ["retry-after"] = "7" }), { "resting", 7 })
end)

test("429: retry-after-ms goes before it", function()
  test.equal(verdict_on(limited { ["retry-after"] = "7", ["retry-after-ms"] = "1500" }),
    { "resting", 1.5 })
end)

test("429: a retry-after that is a date", function()
  local state = verdict_on(limited { ["retry-after"] = "Thu, 01 Jan 2026 12:00:00 GMT" })
  test.equal(state[1], "resting")
  test.ok(state[2] > 11 * 3600 and state[2] <= 12 * 3600, "seconds until noon")
end)

test("429: the reset of what is used up", function()
  test.equal(verdict_on(limited {
    ["x-ratelimit-remaining-requests"] = "3", ["x-ratelimit-reset-requests"] = "1s",
    ["x-ratelimit-remaining-tokens"] = "0", ["x-ratelimit-reset-tokens"] = "6m0s",
  }), { "resting", 360 })
end)

test("429: of two limits that are used up, the longer reset", function()
  test.equal(verdict_on(limited {
    ["x-ratelimit-remaining-requests"] = "0", ["x-ratelimit-reset-requests"] = "1s",
    ["x-ratelimit-remaining-tokens"] = "0", ["x-ratelimit-reset-tokens"] = "6m0s",
  }), { "resting", 360 })
end)

test("429: Gemini's retryDelay", function()
  test.equal(verdict_on(limited(nil, [[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED",
    "details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}]])),
    { "resting", 22 })
end)

test("429 without a hint: 1, 2, 4 … 60 s, and from the start after a success", function()
  local world = two_keys(limited(), limited())
  local rests = {}
  for index = 1, 8 do
    world:run()
    rests[index] = world:key("a", "k1").remaining
    world:sleep(61)
  end
  test.equal(rests, { 1, 2, 4, 8, 16, 32, 60, 60 })
  world.upstream["a/m"] = OK
  world:run()
  world:run()
  world.upstream["a/m"] = limited()
  world:run()
  test.equal(world:key("a", "k1").remaining, 1)
end)

test("429 without a hint: a quarter less or more by chance", function()
  test.equal(verdict_on(limited(), { random = 0 }), { "resting", 0.75 })
  test.equal(verdict_on(limited(), { random = 1 }), { "resting", 1.25 })
end)

test("a rested key is left out until it wakes", function()
  local world = two_keys({ limited { ["retry-after"] = "10" }, OK })
  world:run()
  test.equal(world:run().keys, { "k2" })
  test.equal(world:run().keys, { "k2" })
  world:sleep(10)
  test.equal({ world:run().keys[1], world:run().keys[1] }, { "k2", "k1" })
end)

test("a success that began before the rest does not end it", function()
  local world = test.world { policies = { "key_rotation" }, targets = { "a/m" },
    upstream = { ["a/m"] = { { text = "slow", after = 5 }, limited { ["retry-after"] = "60" } } } }
  world:run_all { {}, {} }
  test.equal({ world:key("a", "k1").state, world:key("a", "k1").remaining }, { "resting", 55 })
end)

test("a storm of 429 never disables a key", function()
  local world = two_keys(limited(), limited())
  for _ = 1, 50 do
    world:run()
    world:sleep(61)
  end
  test.equal(world:key("a", "k1").state, "ready")
end)

test("a storm side by side counts as one rest", function()
  local world = two_keys(limited(), limited(), { settings = { tries = 1 } })
  local requests = {}
  for index = 1, 20 do requests[index] = {} end
  world:run_all(requests)
  test.equal(world:key("a", "k1").remaining, 1)
end)

-- ------------------------------------------------------------------------------------
-- Refusals

test("401: the key is disabled, with the reason", function()
  local state, run, world = verdict_on { status = 401 }
  test.equal(state, { "disabled", 600 })
  test.equal(world:key("a", "k1").why, "the provider refused the key (401)")
  test.equal(run.text, "hi")
end)

test("API_KEY_INVALID: the same, under any status", function()
  test.equal(verdict_on { status = 400, body = [[{"error":{"details":[
    {"reason":"API_KEY_INVALID"}]}}]] }, { "disabled", 600 })
end)

test("a key that is refused under a 400 is not the client's fault: others are tried", function()
  for tried, body in pairs {
    ["a/m 401"] = [[ [{"error":{"code":400,"details":[{"reason": "API_KEY_INVALID"}]}}] ]],
    ["a/m 429"] = [[{"error":{"code":"insufficient_quota"}}]],
  } do
    local refused = { status = 400, body = body }
    local run = two_keys(nil, nil, { targets = { "a/m", "b/m" },
      upstream = { ["a/m"] = refused, ["b/m"] = OK } }):run()
    test.equal(run.tried, { tried, tried, "b/m 200" })
    test.equal(two_keys(refused, refused):run().status, tried == "a/m 401" and 503 or 429)
  end
end)

test("a disabled key is probed every 10 minutes, and is well after a success", function()
  local world = two_keys({ { status = 401 }, { status = 401 }, OK, OK })
  world:run()
  world:sleep(599)
  test.equal({ world:run().keys, world:run().keys }, { { "k2" }, { "k2" } })
  world:sleep(1)
  local tried = {}
  for index = 1, 4 do tried[index] = table.concat(world:run().keys, " ") end
  test.equal(tried, { "k2", "k1 k2", "k2", "k2" })
  test.equal(world:key("a", "k1").state, "disabled")
  world:sleep(600)
  world:run()
  world:run()
  test.equal(world:key("a", "k1").state, "ready")
end)

test("a probe is one request's, the others go on without the key", function()
  local world = two_keys({ { status = 401 }, { text = "slow", after = 5 } })
  world:run()
  world:sleep(600)
  local runs = world:run_all { {}, {}, {}, {} }
  local probes = 0
  for _, run in ipairs(runs) do
    test.equal(run.status, 200)
    if run.keys[1] == "k1" then probes = probes + 1 end
  end
  test.equal(probes, 1)
end)

test("402 and a spent quota: an hour, or until the reset that is named", function()
  local quota = "{\"error\":{\"code\":\"insufficient_quota\"}}"
  test.equal(verdict_on { status = 402 }, { "resting", 3600 })
  test.equal(verdict_on(limited(nil, quota)), { "resting", 3600 })
  test.equal(verdict_on(limited({ ["retry-after"] = "90" }, quota)), { "resting", 90 })
  test.equal(verdict_on(limited(nil, "{\"quotaId\":\"GenerateRequestsPerDayPerProject\"}")),
    { "resting", 3600 })
end)

test("403: the key rests for that model alone, 10 minutes", function()
  local world = two_keys(nil, nil, { targets = { "a/m", "a/n" }, upstream = {
    ["a/m"] = { k1 = { status = 403 }, k2 = OK }, ["a/n"] = OK } })
  world:run()
  test.equal({ world:key("a", "k1", "m").state, world:key("a", "k1", "m").remaining },
    { "resting", 600 })
  test.equal(world:key("a", "k1", "n").state, "ready")
  test.equal(world:run().keys, { "k2" })
end)

-- ------------------------------------------------------------------------------------
-- What says nothing about a key

for name, answer in pairs {
  ["500"] = { status = 500 }, ["529"] = { status = 529 }, ["404"] = { status = 404 },
  ["connect"] = { failure = "connect" }, ["timeout"] = { failure = "timeout" },
  ["reset"] = { failure = "reset" }, ["empty"] = { text = "" },
} do
  test(name .. " says nothing about the key, and no other is tried for it", function()
    local state, run = verdict_on(answer, { settings = { max_failures = 1 } })
    test.equal(state, { "ready", nil })
    test.equal(run.keys, { "k1" })
  end)
end

test("a keyword says nothing about the key", function()
  local world = test.world {
    policies = { "priority_failover", { "key_rotation", { max_failures = 1 } },
      { "keyword_retry", { keywords = { "busy" } } } },
    targets = { "a/m" }, upstream = { ["a/m"] = { text = "too busy" } },
  }
  test.equal(world:run().failure, "keyword")
  test.equal(world:key("a", "k1").state, "ready")
end)

test("a refusal of neap's own says nothing about the key", function()
  local world = test.world {
    policies = { "key_rotation", { "rate_limit", { requests_per_minute = 1 } } },
    targets = { "a/m" }, upstream = { ["a/m"] = OK },
  }
  world:run()
  test.equal(world:run().status, 429)
  test.equal(world:key("a", "k1").state, "ready")
end)

-- ------------------------------------------------------------------------------------
-- Settings

test("tries bounds the keys for one target", function()
  local world = test.world {
    policies = { "priority_failover", { "key_rotation", { tries = 2 } } },
    targets = { "a/m", "b/m" }, keys = { a = { "k1", "k2", "k3" } },
    upstream = { ["a/m"] = limited(), ["b/m"] = OK },
  }
  test.equal(world:run().keys, { "k1", "k2", "k1" })
end)

test("max_failures disables after so many refusals in a row; a success resets", function()
  local options = { settings = { tries = 1, max_failures = 2 }, random = 0.5 }
  local world = test.world {
    policies = { { "key_rotation", options.settings } }, targets = { "a/m" },
    upstream = { ["a/m"] = { limited(), OK, limited(), limited() } },
  }
  local states = {}
  for index = 1, 4 do
    world:run()
    world:sleep(30)
    states[index] = world:key("a", "k1").state
  end
  test.equal(states, { "ready", "ready", "ready", "disabled" })
  test.equal(world:key("a", "k1").why, "refused 2 times in a row")
end)

test("402 does not count as a refusal", function()
  local state = verdict_on({ status = 402 }, { settings = { max_failures = 1 } })
  test.equal(state[1], "resting")
end)

test("all resting: 429 with the shortest wait, and nobody is asked", function()
  local world = two_keys(limited { ["retry-after"] = "30" }, limited { ["retry-after"] = "20" })
  world:run()
  world:sleep(5)
  local run = world:run()
  test.equal({ run.status, run.headers["retry-after"] }, { 429, "15" })
  test.equal(run.tried, {})
  test.equal(run.notes, { "all 2 keys rest", "a/m: 429" })
end)

test("all resting at one target: the next target is tried", function()
  local world = test.world {
    policies = POLICIES, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = limited { ["retry-after"] = "30" }, ["b/m"] = OK },
  }
  world:run()
  test.equal(world:run().tried, { "b/m 200" })
end)

test("all resting with last_resort: the one that wakes first", function()
  local world = two_keys({ limited { ["retry-after"] = "30" } },
    { limited { ["retry-after"] = "20" }, OK }, { settings = { last_resort = true } })
  world:run()
  local run = world:run()
  test.equal({ run.status, run.keys }, { 200, { "k2" } })
  test.equal(world:key("a", "k2").state, "ready")
end)

test("all resting with last_resort: a resting key rather than a disabled one", function()
  local world = two_keys({ { status = 401 }, OK }, { limited { ["retry-after"] = "900" }, OK },
    { settings = { last_resort = true } })
  world:run()
  test.equal(world:run().keys, { "k2" })
end)

test("all disabled: 503, since no wait will help", function()
  local world = two_keys({ status = 401 }, { status = 401 })
  world:run()
  world:sleep(10)
  local run = world:run()
  test.equal({ run.status, run.headers["retry-after"], run.tried }, { 503, "590", {} })
  test.equal(run.notes, { "all 2 keys are disabled", "a/m: 503" })
end)

test("a spent budget ends the keys' loop, too", function()
  local world = two_keys(limited { ["retry-after"] = "3" }, OK, { limits = { attempts = 1 } })
  local run = world:run()
  test.equal({ run.tried, run.status, run.failure }, { { "a/m 429" }, 429, "exhausted" })
end)

test("of keys that are limited in one request, the shortest wait is told", function()
  local world = two_keys(limited { ["retry-after"] = "20" }, limited { ["retry-after"] = "50" })
  local run = world:run()
  test.equal(run.keys, { "k1", "k2" })
  test.equal({ run.status, run.headers["retry-after"] }, { 429, "20" })
end)
