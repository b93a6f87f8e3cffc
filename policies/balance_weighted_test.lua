local test = require "neap.test"

local OK = { text = "hi" }
local LIMITED = { status = 429, headers = { ["retry-after"] = "1" } }

--- One provider with these keys; each answer is the same. settings: of the policy.
local function world(keys, settings, spec)
  local given = { targets = { "a/m" }, keys = { a = keys }, upstream = { ["a/m"] = OK },
    policies = { "priority_failover", { "balance_weighted", settings or {} },
      { "key_rotation", { tries = 10 } } } }
  for name, value in pairs(spec or {}) do given[name] = value end
  return test.world(given)
end

local function key(id, balance) return { id = id, balance = balance } end

--- How often each key came first in so many requests.
local function counts(given, requests)
  local seen = {}
  for _ = 1, requests do
    local id = given:run().keys[1]
    seen[id] = (seen[id] or 0) + 1
  end
  return seen
end

--- The sum over the keys of (seen - expected)² / expected: how far chance went astray.
local function chi_square(seen, shares, requests)
  local sum = 0
  for id, share in pairs(shares) do
    local expected = share * requests
    sum = sum + ((seen[id] or 0) - expected) ^ 2 / expected
  end
  return sum
end

-- Chance alone passes these bounds once in a thousand; the harness' chance is always the same.
local BOUND_OF_TWO, BOUND_OF_FOUR = 10.83, 16.27

test("keys are drawn in proportion to their balances", function()
  local given = world { key("k1", 40), key("k2", 30), key("k3", 20), key("k4", 10) }
  local seen = counts(given, 4000)
  local shares = { k1 = 0.4, k2 = 0.3, k3 = 0.2, k4 = 0.1 }
  test.ok(chi_square(seen, shares, 4000) < BOUND_OF_FOUR)
  local even = { k1 = 0.25, k2 = 0.25, k3 = 0.25, k4 = 0.25 }
  test.ok(chi_square(seen, even, 4000) > 10 * BOUND_OF_FOUR, "and not evenly")
end)

test("the second is drawn among those that are left", function()
  local given = world({ key("k1", 60), key("k2", 30), key("k3", 10) }, nil,
    { upstream = { ["a/m"] = { k1 = LIMITED, k2 = OK, k3 = OK } } })
  local seen, requests = {}, 0
  for _ = 1, 3000 do
    local keys = given:run().keys
    if keys[1] == "k1" then
      seen[keys[2]], requests = (seen[keys[2]] or 0) + 1, requests + 1
    end
    given:sleep(1)
  end
  test.ok(requests > 1500)
  test.ok(chi_square(seen, { k2 = 0.75, k3 = 0.25 }, requests) < BOUND_OF_TWO)
end)

test("each key is drawn once", function()
  local given = world({ key("k1", 5), key("k2", 3), key("k3", 1) }, nil,
    { upstream = { ["a/m"] = LIMITED } })
  local keys = given:run().keys
  table.sort(keys)
  test.equal(keys, { "k1", "k2", "k3" })
end)

test("uses in flight count against a key", function()
  local given = world({ key("k1", 20), key("k2", 10) }, nil,
    { upstream = { ["a/m"] = { text = "hi", after = 10 } }, random = 0.5 })
  local seen = { k1 = 0, k2 = 0 }
  for _, run in ipairs(given:run_all { {}, {}, {}, {}, {}, {} }) do
    seen[run.keys[1]] = seen[run.keys[1]] + 1
  end
  test.equal(seen, { k1 = 4, k2 = 2 })
end)

test("the same chance draws the same keys", function()
  local keys = { key("k1", 2), key("k2", 1) }
  test.equal(counts(world(keys), 100), counts(world(keys), 100))
  test.equal(world(keys, nil, { random = 0.5 }):run().keys, { "k1" })
end)

test("highest: sorted, whatever chance says, and equals in turn", function()
  local given = world({ key("k1", 1), key("k2", 9), key("k3", 5) }, { strategy = "highest" },
    { upstream = { ["a/m"] = LIMITED } })
  test.equal(given:run().keys, { "k2", "k3", "k1" })
  local equals = world({ key("k1", 5), key("k2", 5) }, { strategy = "highest" })
  test.equal(counts(equals, 10), { k1 = 5, k2 = 5 })
end)

-- ------------------------------------------------------------------------------------
-- Balances that nobody knows

test("an unknown balance is taken for the mean of the known ones", function()
  local seen = counts(world { key("k1", 30), key("k2", 10), "k3" }, 3000)
  test.ok(chi_square(seen, { k1 = 3 / 6, k2 = 1 / 6, k3 = 2 / 6 }, 3000) < BOUND_OF_FOUR)
end)

test("all unknown: all the same", function()
  local seen = counts(world { "k1", "k2" }, 2000)
  test.ok(chi_square(seen, { k1 = 0.5, k2 = 0.5 }, 2000) < BOUND_OF_TWO)
end)

test("an unknown balance is at no floor", function()
  test.equal(counts(world({ key("k1", 3), "k2" }, { floor = 5 }), 20), { k2 = 20 })
end)

-- ------------------------------------------------------------------------------------
-- The floor

test("a key at or below the floor is left out", function()
  local given = world({ key("k1", 5), key("k2", 5.01), key("k3", -2), key("k4", 0) }, { floor = 5 })
  test.equal(counts(given, 20), { k2 = 20 })
end)

test("without a floor, a key with nothing left is left out", function()
  test.equal(counts(world { key("k1", 0), key("k2", 0.01) }, 20), { k2 = 20 })
end)

test("a negative floor allows an overdraft, which is drawn last", function()
  local given = world({ key("k1", -3), key("k2", 1) }, { floor = -5 },
    { upstream = { ["a/m"] = LIMITED } })
  for _ = 1, 20 do
    test.equal(given:run().keys, { "k2", "k1" })
    given:sleep(1)
  end
end)

test("all at the floor: no key is spent, and the client is told", function()
  local run = world { key("k1", 0), key("k2", -1) }:run()
  test.equal({ run.status, run.tried }, { 503, {} })
  test.match(run.body, "no key of the provider has enough left")
  test.equal(run.notes, { "all 2 keys are at their floor", "a/m: 503" })
end)

test("all at the floor at one target: the next target answers", function()
  local given = world({ key("k1", 0) }, nil, { targets = { { "a/m", priority = 1 }, "b/m" },
    upstream = { ["b/m"] = OK } })
  test.equal(given:run().tried, { "b/m 200" })
end)

test("a provider without keys is asked without one", function()
  test.equal(world({}):run().tried, { "a/m 200" })
end)

-- ------------------------------------------------------------------------------------
-- With the rotation inside of it

test("the rotation walks the keys as they are drawn, and skips those that rest", function()
  local given = world({ key("k1", 9), key("k2", 1) }, { strategy = "highest" })
  given:key("a", "k1"):rest(60, "for the test")
  test.equal(given:run().keys, { "k2" })
end)
