-- policies/lib/quantile.lua: what 95 % of some times stay below.
local test = require "neap.test"

local quantile = test.lib "quantile"

-- The shared values of a policy, without one.
local function values()
  local known = {}
  return {
    get = function(_, name) return known[name] end,
    add = function(_, name, step) known[name] = (known[name] or 0) + step end,
    swap = function(_, name, old, new)
      if known[name] == old then known[name] = new end
    end,
  }
end

local function estimate(count, draw)
  local shared = values()
  for index = 1, count do quantile.learn(shared, "t", draw(index), false) end
  return (quantile.get(shared, "t"))
end

local function is_about(got, want)
  test.ok(got > want * 0.75 and got < want * 1.33, ("%.3f is not about %.3f"):format(got, want))
end

test("nothing is known at first", function()
  local seconds, times = quantile.get(values(), "t")
  test.equal({ seconds, times }, { nil, 0 })
end)

test("the first time is the first estimate", function()
  local shared = values()
  quantile.learn(shared, "t", 2, false)
  local seconds, times = quantile.get(shared, "t")
  test.equal({ seconds, times }, { 2, 1 })
end)

test("it comes near, from below and from above", function()
  local seed = 7
  local function random()
    seed = seed * 16807 % 2147483647
    return seed / 2147483647
  end
  is_about(estimate(1000, function(index) return index == 1 and 0.01 or random() end), 0.95)
  is_about(estimate(1000, function(index) return index == 1 and 9 or random() end), 0.95)
  -- A long tail: one in ten takes ten times as long.
  is_about(estimate(2000, function() return random() < 0.1 and 10 + random() or random() end), 10.5)
end)

test("what was broken off counts where it is longer already, else not", function()
  local shared = values()
  quantile.learn(shared, "t", 5, true)
  test.equal(quantile.get(shared, "t"), nil)
  quantile.learn(shared, "t", 1, false)
  quantile.learn(shared, "t", 0.5, true)
  test.equal(quantile.get(shared, "t"), 1)
  quantile.learn(shared, "t", 1.5, true)
  test.ok(quantile.get(shared, "t") > 1.09)
end)

test("an answer in no time is a time", function()
  local shared = values()
  quantile.learn(shared, "t", 0, false)
  test.equal(math.floor(quantile.get(shared, "t") * 1e6 + 0.5), 1000)
end)
