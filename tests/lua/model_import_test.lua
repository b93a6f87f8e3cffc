local json = require "neap.json"
local model_filter = require "neap.model_filter"
local model_import = require "neap.model_import"
local price = require "neap.price"
local price_table = require "neap.price_table"
local test = require "neap.tap"

local function listed(...)
  local list = {}
  for index, id in ipairs { ... } do list[index] = { id = id } end
  return list
end

--- A stored provider "p" with these models, and the list that it gives.
local function source(models, ids, groups)
  local row = { dialect = "openai", url = "https://p.test/v1", version = 7 }
  return { provider = { name = "p", row = row, version = 7, models = models or {} },
    groups = groups or {}, listed = listed(unpack(ids)) }
end

local function actions(plan)
  local lines = {}
  for index, item in ipairs(plan.items) do
    local name = item.name and " as " .. item.name or ""
    lines[index] = ("%s %s%s"):format(item.action, item.model, name)
  end
  return lines
end

--- The written rows by key, as they would be stored.
local function written(writes)
  local rows = {}
  for _, write in ipairs(writes) do rows[write.key] = json.decode(json.encode(write.value)) end
  return rows
end

-- ------------------------------------------------------------------------------------
-- What is wanted

test("words and patterns", function()
  local function wants(filter)
    local wanted = {}
    for _, id in ipairs { "gpt-4o", "GPT-4o-mini", "claude-3", "org/Llama-3" } do
      if model_filter.wants(id, filter) then wanted[#wanted + 1] = id end
    end
    return wanted
  end
  test.equal(#wants(nil), 4)
  test.equal(#wants { include = {}, exclude = {} }, 4)
  test.equal(wants { include = { "gPT" } }, { "gpt-4o", "GPT-4o-mini" })
  test.equal(wants { include = { "gpt", "llama" }, exclude = { "MINI" } },
    { "gpt-4o", "org/Llama-3" })
  test.equal(wants { include_patterns = { "gpt-4?", "*/llama-*" } }, { "gpt-4o", "org/Llama-3" })
  test.equal(wants { include = { "claude" }, include_patterns = { "*mini" } },
    { "GPT-4o-mini", "claude-3" })
  test.equal(wants { exclude_patterns = { "*" } }, {})
  test.equal(wants { include = { "%w", "." } }, {})
end)

test("patterns", function()
  for _, case in ipairs {
    { "abc", "abc", true }, { "abc", "ab", false }, { "abc", "a*", true }, { "abc", "*c", true },
    { "abc", "*b*", true }, { "abc", "a?c", true }, { "abc", "a?", false }, { "abc", "", false },
    { "", "", true }, { "", "*", true }, { "", "?", false }, { "abc", "***", true },
    { "aXbXc", "a*b*c", true }, { "abcabd", "*abd", true }, { "a.c", "a.c", true },
    { "abc", "a.c", false }, { "abc", "abc*", true }, { "abc", "abcd*", false },
  } do
    test.equal(model_filter.fits(case[1], case[2]), case[3], case[1] .. " " .. case[2])
  end
  -- One that a matcher that goes back would need years for.
  test.equal(model_filter.fits(("a"):rep(256), ("a*"):rep(60) .. "b"), false)
end)

-- ------------------------------------------------------------------------------------
-- Prices

local FIELDS = { input = true, cached = true, cache_write = true, cache_write_1h = true,
  output = true, audio_input = true, call = true, image = true, second = true, tiers = true }

local function check_prices(name, prices)
  for field, value in pairs(prices) do
    test.ok(FIELDS[field] or field == "above", name .. "." .. field)
    test.ok(field == "tiers" or (type(value) == "number" and value > 0), name .. "." .. field)
  end
  if prices.cached then test.ok(prices.cached < prices.input, name) end
  if prices.output then test.ok(prices.output > prices.input, name) end
end

test("every price of the table is one that router.lua takes", function()
  test.ok(#price_table.names() > 40)
  for _, name in ipairs(price_table.names()) do
    local prices = price_table.find(name)
    check_prices(name, prices)
    test.ok(price.compile(prices), name)
    for _, tier in ipairs(prices.tiers or {}) do
      check_prices(name, tier)
      test.ok(tier.above > 0 and tier.input > prices.input, name)
    end
  end
  test.match(price_table.AS_OF, "^%d%d%d%d%-%d%d$")
end)

test("a model's versions, and makers' names before it", function()
  for _, pair in ipairs { { "gpt-4o-2024-08-06", "gpt-4o" }, { "openai/gpt-4o", "gpt-4o" },
    { "claude-sonnet-4-5-20250929", "claude-sonnet-4-5" },
    { "claude-sonnet-4-5@20250929", "claude-sonnet-4-5" },
    { "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5" },
    { "claude-3-5-haiku-latest", "claude-3-5-haiku" }, { "models/gemini-2.0-flash-001",
      "gemini-2.0-flash" }, { "google/gemini-2.5-pro", "gemini-2.5-pro" } } do
    local prices = price_table.find(pair[1])
    test.ok(prices, pair[1])
    test.equal(prices, price_table.find(pair[2]), pair[1])
  end
  test.equal(price_table.find("gpt-4o-2024-05-13").input, 5)
end)

test("what only begins like a known model is another one", function()
  for _, name in ipairs { "gpt-4o-audio-preview", "gpt-4o-mini-tts", "gpt-5-codex-x", "my-gpt-4o",
    "deepseek-ai/DeepSeek-V3", "deepseek/deepseek-chat", "other/gpt-4o", "claude", "",
    "a/b/gpt-4o" } do
    test.equal(price_table.find(name), nil, name)
  end
end)

test("prices are copies", function()
  price_table.find("gpt-4o").input = 0
  test.equal(price_table.find("gpt-4o").input, 2.5)
  price_table.find("gemini-2.5-pro").tiers[1].input = 0
  test.equal(price_table.find("gemini-2.5-pro").tiers[1].input, 2.5)
end)

-- ------------------------------------------------------------------------------------
-- The preview and its rows

test("models are added with the prices that are known; the rest of the row stays", function()
  local plan = model_import.preview(source({ old = { input = 9 } }, { "gpt-4o", "x/y", "old" }), {})
  test.equal(actions(plan), { "add gpt-4o", "add x/y", "keep old" })
  test.equal(plan.counts, { add = 2, change = 0, keep = 1, skip = 0 })
  test.equal(plan.items[1].prices.input, 2.5)
  test.equal(plan.items[2].prices, nil)
  local writes = model_import.apply(plan)
  test.equal(#writes, 1)
  test.equal({ writes[1].key, writes[1].version }, { "provider/p", 7 })
  local row = written(writes)["provider/p"]
  test.equal(row, { dialect = "openai", url = "https://p.test/v1", version = 7,
    models = { old = { input = 9 }, ["gpt-4o"] = { input = 2.5, cached = 1.25, output = 10 },
      ["x/y"] = {} } })
  test.match(json.encode(writes[1].value), '"x/y":{}')
end)

test("without prices, if so wished", function()
  local plan = model_import.preview(source({}, { "gpt-4o" }), { prices = false })
  test.equal(plan.items[1].prices, nil)
end)

test("nothing new, nothing written", function()
  local plan = model_import.preview(source({ a = {} }, { "a" }), {})
  test.equal(actions(plan), { "keep a" })
  test.equal(model_import.apply(plan), {})
end)

test("what the filter hides, and what is listed no more, stays", function()
  local models = { ["gpt-4"] = { input = 1 }, claude = { input = 2 }, ["gpt-gone"] = { input = 3 } }
  local plan = model_import.preview(source(models, { "gpt-4", "gpt-new", "claude" }),
    { filter = { include = { "gpt" } } })
  test.equal(actions(plan), { "keep gpt-4", "add gpt-new", "skip claude" })
  test.equal(plan.items[3].why, "the filter does not include it")
  test.equal(plan.absent, { "gpt-gone" })
  local row = written(model_import.apply(plan))["provider/p"]
  test.equal(row.models, { ["gpt-4"] = { input = 1 }, claude = { input = 2 },
    ["gpt-gone"] = { input = 3 }, ["gpt-new"] = {} })
end)

test("prices that somebody set are replaced only if asked for; missing ones come", function()
  local models = { ["gpt-4o"] = { input = 1 }, ["gpt-4.1"] = {} }
  local plan = model_import.preview(source(models, { "gpt-4o", "gpt-4.1" }), {})
  test.equal(actions(plan), { "keep gpt-4o", "change gpt-4.1" })
  local row = written(model_import.apply(plan))["provider/p"]
  test.equal(row.models["gpt-4o"], { input = 1 })
  test.equal(row.models["gpt-4.1"], { input = 2, cached = 0.5, output = 8 })
  plan = model_import.preview(source(models, { "gpt-4o" }), { on_conflict = "replace" })
  test.equal(actions(plan), { "change gpt-4o" })
  row = written(model_import.apply(plan))["provider/p"]
  test.equal(row.models["gpt-4o"].input, 2.5)
end)

test("an alias makes a group for each model", function()
  local plan = model_import.preview(source({}, { "org/a", "b" }), { alias = { prefix = "my-" } })
  test.equal(actions(plan), { "add org/a as my-org/a", "add b as my-b" })
  local rows = written(model_import.apply(plan))
  test.equal(rows["group/my-b"], { targets = { { provider = "p", model = "b" } } })
  test.equal(rows["group/my-org/a"], { targets = { { provider = "p", model = "org/a" } } })
  for template, name in pairs { ["{last}"] = "a", ["{flat}"] = "org.a", ["{id}!"] = "org/a!",
    ["{provider}:{last}"] = "p:a" } do
    plan = model_import.preview(source({}, { "org/a" }), { alias = { template = template } })
    test.equal(plan.items[1].name, name)
  end
end)

test("templates that cannot work are refused", function()
  local alike = "names every model alike"
  for template, problem in pairs { ["{x}"] = "the template has {x}", plain = alike,
    ["{provider}"] = alike } do
    local plan, why = model_import.preview(source({}, { "a" }), { alias = { template = template } })
    test.equal(plan, nil)
    test.ok(why:find(problem, 1, true), why)
  end
  local _, why = model_import.preview(source({}, {}), { alias = {} })
  test.match(why, "needs a prefix")
  _, why = model_import.preview(source({}, {}), { on_conflict = "ask" })
  test.match(why, "on_conflict")
end)

local function with_group()
  return { a = { version = 3,
    row = { targets = { { provider = "q", model = "z" } }, policies = { "order" } } } }
end

test("a name that is taken: skip", function()
  local plan = model_import.preview(source({}, { "org/a", "b" }, with_group()),
    { alias = { template = "{last}" } })
  test.equal(actions(plan), { "skip org/a", "add b as b" })
  test.equal(plan.items[1].why, "there is a group a")
  local rows = written(model_import.apply(plan))
  test.equal(rows["provider/p"].models, { b = {} })
  test.equal(rows["group/a"], nil)
end)

test("a name that is taken: rename", function()
  local groups = with_group()
  groups["a-2"] = { row = { targets = {} } }
  local plan = model_import.preview(source({}, { "org/a" }, groups),
    { alias = { template = "{last}" }, on_conflict = "rename" })
  test.equal(actions(plan), { "add org/a as a-3" })
  local writes = model_import.apply(plan)
  test.equal({ writes[2].key, writes[2].version }, { "group/a-3", nil })
end)

test("a name that is taken: replace, the rest of the group stays", function()
  local plan = model_import.preview(source({}, { "org/a" }, with_group()),
    { alias = { template = "{last}" }, on_conflict = "replace" })
  test.equal(actions(plan), { "change org/a as a" })
  local writes = model_import.apply(plan)
  test.equal({ writes[2].key, writes[2].version }, { "group/a", 3 })
  test.equal(written(writes)["group/a"],
    { policies = { "order" }, targets = { { provider = "p", model = "org/a" } } })
end)

test("a group of router.lua is not replaced", function()
  local plan = model_import.preview(source({}, { "a" }, { a = {} }),
    { alias = { prefix = "" }, on_conflict = "replace" })
  test.equal(actions(plan), { "skip a" })
  test.equal(plan.items[1].why, "there is a group a in router.lua")
end)

test("two models of one name: the second is told of the first", function()
  local alias = { template = "{last}" }
  for _, rule in ipairs { "skip", "replace" } do
    local plan = model_import.preview(source({}, { "x/a", "y/a" }),
      { alias = alias, on_conflict = rule })
    test.equal(actions(plan), { "add x/a as a", "skip y/a" })
    test.equal(plan.items[2].why, "x/a has the name a in this import")
  end
  local plan = model_import.preview(source({}, { "x/a", "y/a" }),
    { alias = alias, on_conflict = "rename" })
  test.equal(actions(plan), { "add x/a as a", "add y/a as a-2" })
end)

test("importing twice changes nothing the second time", function()
  local rules = { alias = { template = "{last}" }, on_conflict = "rename",
    group = { name = "all" } }
  local first = source({}, { "org/a", "b" })
  local rows = written(model_import.apply(model_import.preview(first, rules)))
  local groups = { a = { row = rows["group/a"] }, b = { row = rows["group/b"] },
    all = { row = rows["group/all"] } }
  local second = source(rows["provider/p"].models, { "org/a", "b" }, groups)
  local plan = model_import.preview(second, rules)
  test.equal(plan.counts, { add = 0, change = 0, keep = 2, skip = 0 })
  test.equal(model_import.apply(plan), {})
end)

test("all of them into a group, with those that it has", function()
  local groups = { pool = { version = 5, row = { limits = { attempts = 3 },
    targets = { { provider = "q", model = "z" }, { "p", "a" } } } } }
  local plan = model_import.preview(source({ a = {} }, { "a", "b" }, groups),
    { group = { name = "pool", priority = 2 } })
  test.equal(actions(plan), { "keep a", "add b" })
  local writes = model_import.apply(plan)
  test.equal({ writes[2].key, writes[2].version }, { "group/pool", 5 })
  test.equal(written(writes)["group/pool"], { limits = { attempts = 3 }, targets = {
    { provider = "q", model = "z" }, { "p", "a" },
    { provider = "p", model = "b", priority = 2 } } })
  local _, why = model_import.preview(source({}, { "a" }, { pool = {} }),
    { group = { name = "pool" } })
  test.match(why, "the group pool stands in router.lua")
end)

test("a provider of router.lua: groups only", function()
  local given = source({}, { "gpt-4o" })
  given.provider.row, given.provider.version = nil, nil
  local _, why = model_import.preview(given, {})
  test.match(why, "the provider p stands in router.lua")
  local plan = model_import.preview(given, { group = { name = "pool" } })
  test.equal(written(model_import.apply(plan)),
    { ["group/pool"] = { targets = { { provider = "p", model = "gpt-4o" } } } })
end)

test("only those of the preview that are chosen", function()
  local plan = model_import.preview(source({}, { "a", "b", "c" }), { group = { name = "pool" } })
  local rows = written(model_import.apply(plan, { "b", "unknown" }))
  test.equal(rows["provider/p"].models, { b = {} })
  test.equal(#rows["group/pool"].targets, 1)
  test.equal(model_import.apply(plan, {}), {})
end)

test("names that no group can have", function()
  local plan = model_import.preview(source({}, { "a", ("x"):rep(250) }),
    { alias = { prefix = " " } })
  test.equal(plan.counts.skip, 2)
  test.match(plan.items[1].why, "no name may")
  test.match(plan.items[2].why, "too long")
end)

test("5,000 models, with pauses", function()
  local ids, pauses = {}, 0
  for index = 1, 5000 do ids[index] = "gpt-4o-" .. index end
  local plan = model_import.preview(source({}, ids), { group = { name = "pool" },
    filter = { include = { "gpt" }, exclude = { "none" } } },
    function() pauses = pauses + 1 end)
  test.equal({ plan.counts.add, pauses }, { 5000, 25 })
  local rows = written(model_import.apply(plan))
  test.equal(#rows["group/pool"].targets, 5000)
end)

return test.finish()
