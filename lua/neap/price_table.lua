--- neap.price_table: list prices of widely known models, as their makers asked them themselves.
---
--- A help for whoever imports models, nothing more: prices change, and resellers have their own.
--- The fields are those of a model's prices in router.lua: USD per million tokens, `second` per
--- second, `tiers` for longer prompts. Only models that their maker sells under one name are here;
--- models with open weights have as many prices as sellers.

local price_table = {}

--- When the facts below were so.
price_table.AS_OF = "2025-11"

-- Rows of one maker's that are alike are made by functions.

--- Anthropic's cache costs by its input: reads a tenth, writes for 5 minutes 1.25 times, for an
--- hour twice as much.
local function claude(input, output)
  return { input = input, cached = input / 10, cache_write = input * 1.25,
    cache_write_1h = input * 2, output = output }
end

local function claude_long(input, output)
  local prices, long = claude(input, output), claude(input * 2, output * 1.5)
  long.above = 200000
  prices.tiers = { long }
  return prices
end

local function plain(input, cached, output)
  return { input = input, cached = cached, output = output }
end

--- Above so many tokens the second three hold.
local function tiered(above, short, long)
  long.above = above
  short.tiers = { long }
  return short
end

local function with_audio(prices, audio_input)
  prices.audio_input = audio_input
  return prices
end

local OPENAI = {
  ["gpt-5.1"] = plain(1.25, 0.125, 10), ["gpt-5"] = plain(1.25, 0.125, 10),
  ["gpt-5-mini"] = plain(0.25, 0.025, 2), ["gpt-5-nano"] = plain(0.05, 0.005, 0.4),
  ["gpt-5-pro"] = plain(15, nil, 120),
  ["gpt-4.1"] = plain(2, 0.5, 8), ["gpt-4.1-mini"] = plain(0.4, 0.1, 1.6),
  ["gpt-4.1-nano"] = plain(0.1, 0.025, 0.4),
  ["gpt-4o"] = plain(2.5, 1.25, 10), ["gpt-4o-2024-05-13"] = plain(5, nil, 15),
  ["gpt-4o-mini"] = plain(0.15, 0.075, 0.6),
  ["o1"] = plain(15, 7.5, 60), ["o1-mini"] = plain(1.1, 0.55, 4.4),
  ["o1-pro"] = plain(150, nil, 600),
  ["o3"] = plain(2, 0.5, 8), ["o3-mini"] = plain(1.1, 0.55, 4.4), ["o3-pro"] = plain(20, nil, 80),
  ["o4-mini"] = plain(1.1, 0.275, 4.4),
  ["gpt-4-turbo"] = plain(10, nil, 30), ["gpt-4"] = plain(30, nil, 60),
  ["gpt-3.5-turbo"] = plain(0.5, nil, 1.5),
  ["text-embedding-3-small"] = { input = 0.02 }, ["text-embedding-3-large"] = { input = 0.13 },
  ["text-embedding-ada-002"] = { input = 0.1 },
  ["whisper-1"] = { second = 0.0001 },
}

local ANTHROPIC = {
  ["claude-opus-4-5"] = claude(5, 25),
  ["claude-opus-4-1"] = claude(15, 75), ["claude-opus-4-0"] = claude(15, 75),
  ["claude-opus-4"] = claude(15, 75),
  ["claude-sonnet-4-5"] = claude_long(3, 15), ["claude-sonnet-4-0"] = claude_long(3, 15),
  ["claude-sonnet-4"] = claude_long(3, 15),
  ["claude-haiku-4-5"] = claude(1, 5),
  ["claude-3-7-sonnet"] = claude(3, 15), ["claude-3-5-sonnet"] = claude(3, 15),
  ["claude-3-5-haiku"] = claude(0.8, 4), ["claude-3-opus"] = claude(15, 75),
  ["claude-3-haiku"] = { input = 0.25, cached = 0.03, cache_write = 0.3, cache_write_1h = 0.5,
    output = 1.25 },
}

local GOOGLE = {
  ["gemini-3-pro-preview"] = tiered(200000, plain(2, 0.2, 12), plain(4, 0.4, 18)),
  ["gemini-2.5-pro"] = tiered(200000, plain(1.25, 0.125, 10), plain(2.5, 0.25, 15)),
  ["gemini-2.5-flash"] = with_audio(plain(0.3, 0.03, 2.5), 1),
  ["gemini-2.5-flash-lite"] = with_audio(plain(0.1, 0.01, 0.4), 0.3),
  ["gemini-2.0-flash"] = with_audio(plain(0.1, 0.025, 0.4), 0.7),
  ["gemini-2.0-flash-lite"] = plain(0.075, nil, 0.3),
  ["gemini-embedding-001"] = { input = 0.15 },
}

local XAI = {
  ["grok-4"] = tiered(128000, plain(3, 0.75, 15), plain(6, 0.75, 30)),
  ["grok-3"] = plain(3, 0.75, 15), ["grok-3-mini"] = plain(0.3, 0.075, 0.5),
  ["grok-code-fast-1"] = plain(0.2, 0.02, 1.5),
}

local DEEPSEEK = {
  ["deepseek-chat"] = plain(0.28, 0.028, 0.42), ["deepseek-reasoner"] = plain(0.28, 0.028, 0.42),
}

local MISTRAL = {
  ["mistral-large-latest"] = plain(2, nil, 6), ["mistral-medium-latest"] = plain(0.4, nil, 2),
  ["mistral-small-latest"] = plain(0.1, nil, 0.3), ["codestral-latest"] = plain(0.3, nil, 0.9),
}

local MODELS = {}
for _, models in ipairs { OPENAI, ANTHROPIC, GOOGLE, XAI, DEEPSEEK, MISTRAL } do
  for name, prices in pairs(models) do MODELS[name] = prices end
end

--- Makers as services that pass their models on, at their prices, write them before a "/".
local MAKERS = { openai = OPENAI, anthropic = ANTHROPIC, google = GOOGLE, ["x-ai"] = XAI }

--- The endings of one model's versions, without which it has the same price.
local VERSIONS = { "%-%d%d%d%d%-%d%d%-%d%d$", "[-@]20%d%d%d%d%d%d$", "%-latest$", "%-00%d$",
  "%-%d%d%d%d$" }

local function look_up(models, name)
  if models[name] then return models[name] end
  for _, ending in ipairs(VERSIONS) do
    local base = name:gsub(ending, "")
    if base ~= name and models[base] then return models[base] end
  end
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for name, element in pairs(value) do result[name] = copy(element) end
  return result
end

--- The prices of a model by the name that a provider lists, or nil: a name that only begins like a
--- known one is another model.
---@param id string
---@return table? prices a copy
function price_table.find(id)
  local name, models = id:lower():gsub("^models/", ""), MODELS
  local maker, rest = name:match("^([^/]+)/([^/]+)$")
  if maker then
    if not MAKERS[maker] then return nil end
    name, models = rest, MAKERS[maker]
  end
  local prices = look_up(models, name)
  -- Some write Claude's versions with a dot.
  if not prices and name:find("^claude%-") then prices = look_up(models, (name:gsub("%.", "-"))) end
  return copy(prices)
end

--- All names that have prices, in order.
---@return string[]
function price_table.names()
  local names = {}
  for name in pairs(MODELS) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return price_table
