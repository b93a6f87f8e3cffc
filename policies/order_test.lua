local test = require "neap.test"

local function world(by, spec)
  spec.policies = { { "order", type(by) == "table" and by or { by = by } },
    "priority_failover" }
  return test.world(spec)
end

--- All targets fail, so that a run tries them in their order.
local function order_of(spec)
  local down, by = { status = 500 }, spec.by
  spec.upstream, spec.by = { ["a/m"] = down, ["b/m"] = down, ["c/m"] = down }, nil
  local tried = world(by, spec):run(spec.request).tried
  for index, one in ipairs(tried) do tried[index] = one:match("^%S+") end
  return tried
end

-- ------------------------------------------------------------------------------------
-- By weight

--- How often each target came in which place, of so many requests.
local function places(weights, count)
  local down, counts = { status = 500 }, { {}, {}, {} }
  local given = world("weight", {
    targets = { { "a/m", weight = weights[1] }, { "b/m", weight = weights[2] },
      { "c/m", weight = weights[3] } },
    upstream = { ["a/m"] = down, ["b/m"] = down, ["c/m"] = down },
  })
  for _ = 1, count do
    for place, one in ipairs(given:run().tried) do
      local name = one:sub(1, 1)
      counts[place][name] = (counts[place][name] or 0) + 1
    end
  end
  return counts
end

local function is_near(got, share, count)
  local deviation = math.sqrt(count * share * (1 - share))
  test.ok(math.abs(got - count * share) < 4 * deviation,
    ("%d of %d, and %.3f of them are right"):format(got, count, share))
end

test("weight: drawn first in proportion to the weights, whatever the priority", function()
  local first = places({ 6, 3, 1 }, 2000)[1]
  is_near(first.a, 0.6, 2000)
  is_near(first.b, 0.3, 2000)
  is_near(first.c, 0.1, 2000)
end)

test("weight: the second is drawn among those that are left", function()
  -- b is second after a with 3/4 of 0.6, after c with 3/9 of 0.1.
  is_near(places({ 6, 3, 1 }, 2000)[2].b, 0.6 * 3 / 4 + 0.1 * 3 / 9, 2000)
end)

test("weight: 0 is only taken when the others failed", function()
  local counts = places({ 1, 1, 0 }, 50)
  test.equal({ counts[1].c, counts[2].c, counts[3].c }, { nil, nil, 50 })
end)

test("weight: the same chance gives the same order", function()
  local one, other = places({ 2, 1, 1 }, 20), places({ 2, 1, 1 }, 20)
  test.equal(one, other)
end)

-- ------------------------------------------------------------------------------------
-- By load

test("in_flight: the one that is least busy", function()
  local busy = { text = "hi", after = 10 }
  local given = world("in_flight", { targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = busy, ["b/m"] = busy } })
  local tried = {}
  for index, run in ipairs(given:run_all { {}, {}, {}, {} }) do tried[index] = run.tried[1] end
  test.equal(tried, { "a/m 200", "b/m 200", "a/m 200", "b/m 200" })
end)

-- ------------------------------------------------------------------------------------
-- By latency

local function timed(a, b)
  return world("latency", { targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    upstream = { ["a/m"] = { text = "hi", after = a }, ["b/m"] = { text = "hi", after = b } } })
end

local function tries(given, count)
  local tried = {}
  for index = 1, count do tried[index] = given:run().tried[1]:sub(1, 1) end
  return table.concat(tried)
end

test("latency: those without one are explored, then the fastest is taken", function()
  test.equal(tries(timed(3, 1), 6), "abbbbb")
  test.equal(tries(timed(1, 3), 6), "abaaaa")
end)

test("latency: the time to the first event, not to the end", function()
  local given = world("latency", { targets = { "a/m", "b/m" }, upstream = {
    ["a/m"] = { stream = { "he", { "llo", at = 100 } } }, ["b/m"] = { text = "hi", after = 1 } } })
  for _ = 1, 2 do given:run { stream = true } end
  test.equal(given:run({ stream = true }).tried, { "a/m 200" })
end)

test("latency: one slow answer is a peak, and it passes", function()
  local a = {}
  for index = 1, 50 do a[index] = { text = "hi", after = index == 3 and 20 or 1 } end
  local given = world("latency", { targets = { { "a/m", priority = 1 }, "b/m" },
    upstream = { ["a/m"] = a, ["b/m"] = { text = "hi", after = 2 } } })
  test.equal(tries(given, 5), "abaab", "a, b; a is faster; its third is slow; then b")
  given:sleep(1800)
  test.equal(tries(given, 2), "ba", "in half an hour without a request a's peak is forgotten")
end)

-- ------------------------------------------------------------------------------------
-- By price

local PRICES = {
  ["a/m"] = { input = 1, output = 40 },
  ["b/m"] = { input = 10, output = 1 },
}

test("price: for this request: a short question goes where answers are cheap", function()
  test.equal(order_of { by = "price", targets = { "a/m", "b/m" }, prices = PRICES,
    request = { messages = "hi" } }, { "b/m", "a/m" })
end)

test("price: a long question goes where questions are cheap", function()
  test.equal(order_of { by = "price", targets = { "a/m", "b/m" }, prices = PRICES,
    request = { messages = ("long "):rep(10000) } }, { "a/m", "b/m" })
end)

test("price: how long the answer will be is a setting", function()
  test.equal(order_of { by = { by = "price", answer_tokens = 0 }, targets = { "a/m", "b/m" },
    prices = PRICES, request = { messages = "hi" } }, { "a/m", "b/m" })
end)

test("price: an unknown one comes last", function()
  test.equal(order_of { by = "price", targets = { { "c/m", priority = 1 }, "a/m", "b/m" },
    prices = PRICES }, { "b/m", "a/m", "c/m" })
end)

-- ------------------------------------------------------------------------------------
-- Within a priority

test("keep_priority: only targets of one priority are put in order", function()
  local targets = { { "a/m", priority = 2, weight = 9 }, { "b/m", priority = 1, weight = 0 },
    { "c/m", priority = 1, weight = 1 } }
  for _ = 1, 20 do
    test.equal(order_of { by = { by = "weight", keep_priority = true }, targets = targets },
      { "c/m", "b/m", "a/m" })
  end
  test.equal(order_of { by = { by = "price", keep_priority = true }, prices = PRICES,
    targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 }, { "c/m", priority = 2 } },
    request = { messages = "hi" } }, { "a/m", "b/m", "c/m" })
end)

-- ------------------------------------------------------------------------------------
-- Whatever the order

test("resting targets stay last, in the order in which they wake", function()
  local ok = { text = "hi" }
  for _, by in ipairs { "weight", "in_flight", "latency", "price" } do
    local given = world(by, { targets = { "a/m", "b/m", { "c/m", priority = 2 } }, prices = PRICES,
      upstream = { ["a/m"] = { status = 500 }, ["b/m"] = ok, ["c/m"] = { status = 500 } } })
    given:target("a/m"):rest(60, "for the test")
    given:target("b/m"):rest(90, "for the test")
    test.equal(given:run().tried, { "c/m 500", "a/m 500", "b/m 200" }, by)
  end
end)

test("equals keep the host's order", function()
  test.equal(order_of { by = "in_flight", targets = { "a/m", { "b/m", priority = 0 }, "c/m" } },
    { "b/m", "a/m", "c/m" })
end)

test("the breaker stands inside of it, and leaves out what rests", function()
  local given = test.world {
    policies = { { "order", { by = "price" } }, "circuit_breaker", "priority_failover" },
    targets = { "a/m", "b/m" }, prices = PRICES, upstream = { ["a/m"] = { text = "hi" } },
  }
  given:target("b/m"):rest(60, "for the test")
  test.equal(given:run().tried, { "a/m 200" })
end)

test("by knows its four words", function()
  test.raises(function() world("speed", {}) end,
    "by must be one of \"weight\", \"in_flight\", \"latency\", \"price\"")
end)
