--- neap.price: what an answer costs, in whole millionths of a USD (micros).
---
--- A model's prices are turned into whole rates when the configuration is loaded: millionths of a
--- micro for each token, call, image or millisecond. A cost is a sum of whole products, rounded
--- once at the end, half up. All of it stays exact: a rate is split in micros and their millionths,
--- a count is at most 1e8 tokens (neap.usage) or 1e9 ms, a price at most MAX; so the sum of micros
--- is below 2e15, that of the millionths below 2e15, and a number holds 9e15.

local host = require "neap.host"

local cost_of = host.cost

local price = {}

-- What a price may be at most: USD per million tokens; USD for a call or an image; for a second.
price.MAX = { token = 1e5, each = 1e4, second = 100 }

-- The counts that are paid by the token, in the order in which a row has what they cost.
local KINDS = { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h", "in_audio",
  "out_text", "reasoning", "out_audio" }

local PER_TOKEN = 1e6   -- USD per million tokens to millionths of a micro per token
local PER_ONE = 1e12    -- USD each
local PER_MS = 1e9      -- USD per second

-- Of the price of fresh input, where a dialect has no factors of its own.
local FACTORS = { read = 1, write = 1, write_1h = 1 }

local function rate_of(value, scale) return math.floor((value or 0) * scale + 0.5) end

--- A rate as whole micros and the millionths that are left.
local function split(rate)
  local rest = rate % 1e6
  return (rate - rest) / 1e6, rest
end

--- The row of prices for prompts above so many tokens. given: with all that the row inherits.
local function compile_row(above, given, factors)
  local input, output = given.input or 0, given.output or 0
  local written = given.cache_write or input * factors.write
  local values = {
    in_fresh = input, cache_read = given.cached or input * factors.read, cache_write_5m = written,
    cache_write_1h = given.cache_write_1h
      or (given.cache_write and factors.write == factors.write_1h and written)
      or input * factors.write_1h,
    in_audio = given.audio_input or input, out_text = output,
    reasoning = given.reasoning or output, out_audio = given.audio_output or output,
  }
  local row = { above = above, micros = {}, rest = {} }
  for index, kind in ipairs(KINDS) do
    row.micros[index], row.rest[index] = split(rate_of(values[kind], PER_TOKEN))
  end
  return row
end

local function merge(base, tier)
  local merged = {}
  for name, value in pairs(base) do merged[name] = value end
  for name, value in pairs(tier) do merged[name] = value end
  return merged
end

--- The tiers in the order of their lengths, each with what it inherits from the one below it.
local function tiers_of(given)
  local sorted, whole, below = {}, {}, given
  for index, tier in ipairs(given.tiers or {}) do sorted[index] = tier end
  table.sort(sorted, function(a, b) return a.above < b.above end)
  for index, tier in ipairs(sorted) do
    below = merge(below, tier)
    whole[index] = below
  end
  return whole
end

--- A number for the content of a table of prices: other prices have another, the same the same, in
--- every process.
local function version_of(self)
  local parts = { self.call, self.image, self.ms }
  for _, row in ipairs(self.rows) do
    parts[#parts + 1] = row.above
    for index = 1, #KINDS do
      parts[#parts + 1] = row.micros[index] * 1e6 + row.rest[index]
    end
  end
  for index, value in ipairs(parts) do parts[index] = ("%.0f"):format(value) end
  -- 0 stands for a cost that the provider reported.
  return math.max(1, host.hash(table.concat(parts, " ")) % 2 ^ 32)
end

--- The prices of a model as they stand in router.lua, made ready; nil where there is none.
--- factors: of the dialect, { read, write, write_1h }: what the cache costs, as a share of `input`,
--- where the prices do not say.
---@param given table<string, any>?
---@param factors table<string, number>?
function price.compile(given, factors)
  if type(given) ~= "table" or next(given) == nil then return nil end
  factors = factors or FACTORS
  local self = {
    call = rate_of(given.call, PER_ONE), image = rate_of(given.image, PER_ONE),
    ms = rate_of(given.second, PER_MS), rows = { compile_row(-1, given, factors) },
  }
  for _, tier in ipairs(tiers_of(given)) do
    self.rows[#self.rows + 1] = compile_row(tier.above, tier, factors)
  end
  self.version = version_of(self)
  return self
end

-- The host's form of prices, by their tables: these stay plain, so that a record can carry them.
local rates_of = setmetatable({}, { __mode = "k" })

--- What a usage costs: whole micros.
---@return number
function price.cost(self, used)
  local rates = rates_of[self]
  if not rates then
    rates = host.rates(self)
    rates_of[self] = rates
  end
  return cost_of(rates, used)
end

return price
