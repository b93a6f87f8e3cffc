-- Prices: rows, tiers, rounding, bounds.
local price = require "neap.price"
local test = require "neap.tap"
local usage = require "neap.usage"

local function cost(prices, counts, factors)
  return price.cost(price.compile(prices, factors), usage.new(counts))
end

test("each kind of token has its price", function()
  local prices = { input = 2, cached = 0.5, cache_write = 3, cache_write_1h = 4, audio_input = 40,
    output = 8, reasoning = 6, audio_output = 80 }
  test.equal(cost(prices, { in_fresh = 1000, requests = 0 }), 2000)
  test.equal(cost(prices, { cache_read = 1000 }), 500)
  test.equal(cost(prices, { cache_write_5m = 1000 }), 3000)
  test.equal(cost(prices, { cache_write_1h = 1000 }), 4000)
  test.equal(cost(prices, { in_audio = 1000 }), 40000)
  test.equal(cost(prices, { out_total = 1000 }), 8000)
  test.equal(cost(prices, { out_total = 1000, reasoning = 400, out_audio = 100 }),
    500 * 8 + 400 * 6 + 100 * 80)
  test.equal(cost(prices, { in_fresh = 1, cache_read = 2, cache_write_5m = 4, cache_write_1h = 1,
    in_audio = 1, out_total = 3 }), 2 + 1 + 12 + 4 + 40 + 24)
end)

test("what has no price of its own costs as the input or the output does", function()
  test.equal(cost({ input = 2, output = 8 }, { in_fresh = 1000, cache_read = 1000,
    cache_write_5m = 1000, cache_write_1h = 1000, in_audio = 1000, out_total = 2000,
    reasoning = 500, out_audio = 500 }), 5 * 2000 + 2 * 8000)
  test.equal(cost({ input = 2, cache_write = 3 }, { cache_write_1h = 1000 }), 3000)
end)

test("a dialect's factors stand in for prices that are not given", function()
  local factors = { read = 0.1, write = 1.25, write_1h = 2 }
  local all = { cache_read = 1000, cache_write_5m = 1000, cache_write_1h = 1000 }
  test.equal(cost({ input = 3, output = 15 }, all, factors), 300 + 3750 + 6000)
  test.equal(cost({ input = 3, cached = 1, cache_write = 2 }, all, factors), 1000 + 2000 + 6000)
end)

test("calls, images and seconds", function()
  test.equal(cost({ call = 0.005 }, { in_fresh = 500 }), 5000)
  test.equal(cost({ call = 0.005 }, { requests = 3 }), 15000)
  test.equal(cost({ image = 0.04 }, { images = 2 }), 80000)
  test.equal(cost({ second = 0.0001 }, { seconds = 61.5 }), 6150)
end)

test("the length of the prompt chooses the row", function()
  local prices = { input = 1.25, cached = 0.125, output = 10, tiers = {
    { above = 1000000, input = 5, cached = 0.5, output = 30 },
    { above = 200000, input = 2.5, output = 15 },
  } }
  test.equal(cost(prices, { in_fresh = 200000, out_total = 100 }), 250000 + 1000)
  test.equal(cost(prices, { in_fresh = 200001, out_total = 100 }), 500003 + 1500)
  test.equal(cost(prices, { in_fresh = 1, cache_read = 200000, out_total = 100 }),
    25000 + 1500 + 3, "all of the prompt counts; what the tier does not name is as above it")
  test.equal(cost(prices, { in_fresh = 1000001 }), 5000005)
end)

test("a tier has what it does not name from the shorter one, in any order", function()
  local short, long = { above = 1000, input = 4, output = 16 }, { above = 2000, input = 6 }
  for _, tiers in ipairs { { short, long }, { long, short } } do
    local prices = { input = 2, cached = 0.5, output = 8, tiers = tiers }
    test.equal(cost(prices, { in_fresh = 2001, out_total = 10 }), 12006 + 160)
    test.equal(cost(prices, { in_fresh = 1, cache_read = 2000 }), 6 + 1000)
  end
end)

test("a sum is rounded once, at its end, half up", function()
  test.equal(cost({ input = 0.5 }, { in_fresh = 1 }), 1)
  test.equal(cost({ input = 0.499999 }, { in_fresh = 1 }), 0)
  test.equal(cost({ input = 0.4, output = 0.4 }, { in_fresh = 1, out_total = 1 }), 1)
  test.equal(cost({ input = 0.1 }, { in_fresh = 3, cache_read = 2 }), 1)
  test.equal(cost({ input = 0.15, output = 0.6 }, { in_fresh = 7, out_total = 9 }), 6)
end)

--- The sum of products of whole numbers below 2^53 in limbs of six digits, rounded to micros.
local function exact(products)
  local limbs = {}
  for _, product in ipairs(products) do
    local parts = { {}, {} }
    for side = 1, 2 do
      local value = product[side]
      repeat
        local low = value % 1e6
        parts[side][#parts[side] + 1] = low
        value = (value - low) / 1e6
      until value == 0
    end
    for i, a in ipairs(parts[1]) do
      for j, b in ipairs(parts[2]) do limbs[i + j - 1] = (limbs[i + j - 1] or 0) + a * b end
    end
  end
  limbs[1] = (limbs[1] or 0) + 5e5
  local value, carry, scale = 0, 0, 1
  for index = 1, math.max(#limbs, 2) + 2 do
    local sum = (limbs[index] or 0) + carry
    local low = sum % 1e6
    carry = (sum - low) / 1e6
    if index > 1 then value, scale = value + low * scale, scale * 1e6 end
  end
  return value
end

local seed = 7
local function draw(most)
  seed = (seed * 16807) % 2147483647
  return math.floor(seed / 2147483647 * (most + 1))
end

test("every sum is exact, up to the greatest prices and counts", function()
  local names = { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h", "in_audio" }
  local fields = { "input", "cached", "cache_write", "cache_write_1h", "audio_input" }
  for round = 1, 400 do
    local scale = round % 4 == 0 and 1 or 10 ^ -draw(6)
    local prices, counts, products = {}, {}, {}
    for index, field in ipairs(fields) do
      local rate = math.floor(draw(1e6) * draw(1e5) * scale)
      local count = round % 7 == 0 and usage.COUNT_MAX or math.floor(draw(1e8) * scale)
      prices[field], counts[names[index]] = rate / 1e6, count
      products[index] = { rate, count }
    end
    test.equal(cost(prices, counts), exact(products), "round " .. round)
  end
end)

test("the greatest cost of all is a whole number that a double holds", function()
  local prices, counts = {}, {}
  for _, name in ipairs { "input", "cached", "cache_write", "cache_write_1h", "audio_input",
    "output", "reasoning", "audio_output" } do
    prices[name] = price.MAX.token
  end
  for _, name in ipairs { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h", "in_audio",
    "out_total" } do
    counts[name] = usage.COUNT_MAX
  end
  prices.call, prices.image, prices.second = price.MAX.each, price.MAX.each, price.MAX.second
  counts.requests, counts.images, counts.seconds = 1e4, 1e4, usage.SECONDS_MAX
  local most = 6 * 1e8 * 1e5 + 2 * 1e4 * 1e10 + 1e6 * 1e8
  test.equal(cost(prices, counts), most)
  test.ok(most < 2 ^ 53)
end)

test("what is added up costs what its parts cost, to one micro each", function()
  local prices = price.compile { input = 0.15, cached = 0.075, output = 0.6 }
  for _ = 1, 200 do
    local a = { in_fresh = draw(5000), cache_read = draw(5000), out_total = draw(2000) }
    local b = { in_fresh = draw(5000), cache_read = draw(5000), out_total = draw(2000) }
    local both = {}
    for name in pairs(a) do both[name] = a[name] + b[name] end
    local parts = price.cost(prices, usage.new(a)) + price.cost(prices, usage.new(b))
    local whole = price.cost(prices, usage.new(both))
    test.ok(math.abs(parts - whole) <= 1 and whole % 1 == 0, parts .. " " .. whole)
  end
end)

test("a version stands for the content", function()
  local function version(prices, factors) return price.compile(prices, factors).version end
  local one = version { input = 1, output = 2 }
  test.equal(one, version { output = 2, input = 1.0 })
  test.equal(one, version { input = 1, output = 2, cached = 1 }, "the default written out")
  test.ok(one ~= version { input = 1, output = 2.000001 })
  test.ok(one ~= version { input = 1, output = 2, call = 0.001 })
  test.ok(one ~= version { input = 1, output = 2, tiers = { { above = 5, input = 1 } } })
  test.ok(one ~= version({ input = 1, output = 2 }, { read = 0.1, write = 1, write_1h = 1 }))
  test.ok(one >= 1 and one < 2 ^ 32 and one % 1 == 0, one)
end)

test("no prices are none; free is 0", function()
  test.equal(price.compile {}, nil)
  test.equal(price.compile(nil), nil)
  test.equal(cost({ input = 0, output = 0 }, { in_fresh = 5, out_total = 5 }), 0)
end)
