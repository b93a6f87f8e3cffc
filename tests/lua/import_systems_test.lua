-- What each of the replaced systems' files becomes, before anything is known of what is stored.
local json = require "neap.json"
local new_plan = require("admin.import.plan").new
local old_files = require "admin.test.old_files"
local one_api = require "admin.import.one_api"
local source = require "admin.import.source"
local test = require "neap.tap"

local SYSTEMS = {}
for _, system in ipairs { require "admin.import.niceapi", require "admin.import.nexusai",
  require "admin.import.siliconflow", require "admin.import.gemini_balance", one_api[1], one_api[2],
  require "admin.import.litellm" } do
  SYSTEMS[system.name] = system
end

--- The plan of one file, and its system's name.
local function plan_of(content, variables)
  local file = source.open("f", old_files.given { f = content })
  local plan, found = new_plan(), nil
  for name, system in pairs(SYSTEMS) do
    if system.is_own(file) then
      test.equal(found, nil, "one system alone knows the file")
      found = name
    end
  end
  SYSTEMS[found].fill(file, plan, variables)
  return plan, found
end

local function left_of(plan)
  local lines = {}
  for index, one in ipairs(plan.left) do lines[index] = one.what .. ": " .. one.why end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function problem_of(...)
  local is_done, raised = pcall(plan_of, ...)
  return not is_done and (source.problem(raised) or tostring(raised)) or nil
end

local function pick(list, ...)
  local result = {}
  for index, one in ipairs(list) do
    result[index] = {}
    for place, name in ipairs { ... } do result[index][place] = one[name] end
  end
  return result
end

-- ------------------------------------------------------------------------------------
-- NiceAPI

local function nice(more)
  local tables = {
    api_providers = { columns = { "model", "type", "is_active", "price_per_million_tokens" },
      { id = 1, name = "A", api_endpoint = "https://a.test/v1/chat/completions", api_key = "k-1",
        model = "m", price_per_million_tokens = 2, type = "per_token", is_active = 1 },
      { id = 2, name = "B", api_endpoint = "https://a.test/v1/chat/completions", api_key = "k-1",
        model = "n", price_per_million_tokens = 3, type = "per_call", is_active = 0 },
      { id = 3, name = "C", api_endpoint = "https://a.test", api_key = " k-2 ", model = "m" } },
    groups = { { id = 7, name = "g" } },
    provider_group_association = { { provider_id = 1, group_id = 7, priority = -1 },
      { provider_id = 2, group_id = 7, priority = 4 }, { provider_id = 9, group_id = 7 } },
    api_keys = { { id = 5, key = "sk-client" }, { id = 6, key = "sk-nobody" } },
    api_key_group_association = { { api_key_id = 5, group_id = 7 } },
  }
  for name, rows in pairs(more or {}) do tables[name] = rows end
  return tables
end

test("NiceAPI, first era: address and key are a provider, its priorities are kept in order",
  function()
    local plan, name = plan_of(nice())
    test.equal(name, "niceapi")
    test.equal(pick(plan.providers, "url"), { { "https://a.test/v1" }, { "https://a.test" } })
    test.equal(plan.providers[1].models, { m = { input = 2, output = 2 } })
    test.equal(plan.providers[2].keys[1].secret, "k-2")
    local group = plan.groups[1]
    test.equal(pick(group.targets, "model", "priority"), { { "m", 0 } }, "none is below 0")
    test.equal(plan.numbers[3].off, { prices = { call = 3 }, groups = { g = 5 } })
    test.equal(pick(plan.tokens, "wish", "secret", "groups"), { { "key-5", "sk-client", { "g" } } })
    test.match(left_of(plan), "API key 6 %(…%): it belongs to no group")
    test.match(left_of(plan), "members of groups: 1: ")
  end)

test("NiceAPI: rows that are the same target, and rows that can be none", function()
  local providers = { { id = 1, name = "A", api_endpoint = "https://a.test", api_key = "k",
    model = "m" }, { id = 2, name = "A", api_endpoint = "https://a.test", api_key = "k",
    model = "m" }, { id = 3, name = "no model", api_endpoint = "https://a.test", api_key = "k" },
    { id = 4, name = "no key", api_endpoint = "https://a.test", api_key = " ", model = "m" } }
  local plan = plan_of(nice { api_providers = providers, provider_group_association = {
    { provider_id = 2, group_id = 7, priority = 1 }, { provider_id = 1, group_id = 7,
    priority = 2 } } })
  test.equal(pick(plan.groups[1].targets, "model", "priority"), { { "m", 1 } })
  test.match(left_of(plan), "provider 2 %(A%): it is the same endpoint, key and model as "
    .. "provider 1, ")
  test.match(left_of(plan), "provider 3 %(no model%): it names no model")
  test.match(left_of(plan), "provider 4 %(no key%): it has no key")
end)

test("NiceAPI: where equal priorities had another order by price, that is told", function()
  local function row(id, price)
    return { id = id, name = "p" .. id, api_endpoint = "https://a.test", api_key = "k" .. id,
      model = "m", price_per_million_tokens = price }
  end
  local function hints(prices, priorities)
    local rows, members = { columns = { "price_per_million_tokens" } }, {}
    for index = 1, 2 do
      rows[index] = row(index, prices[index])
      members[index] = { provider_id = index, group_id = 7, priority = priorities[index] }
    end
    local plan = plan_of(nice { api_providers = rows, provider_group_association = members })
    return table.concat(plan.hints, "\n")
  end
  test.match(hints({ nil, 2 }, { 1, 1 }), "Group g: of equal priorities")
  for _, case in ipairs { { { 1, 2 }, { 1, 1 } }, { { nil, 2 }, { 1, 2 } }, { {}, { 1, 1 } } } do
    test.equal(hints(case[1], case[2]):find("Group g", 1, true), nil)
  end
end)

-- ------------------------------------------------------------------------------------
-- NexusAI Hub, SiliconFlow API Proxy, gemini-balance

test("NexusAI Hub: providers under one personal key are one token", function()
  local plan, name = plan_of { service_providers = {
    { id = 1, name = "A", server_url = "https://a.test/", server_key = "s1",
      personalized_key = "p", description = "x" },
    { id = 2, name = "B", server_url = "https://b.test#", server_key = " ",
      personalized_key = "p" } },
    provider_models = { { id = 1, provider_id = 1, model_name = "m" },
      { id = 2, provider_id = 2, model_name = "m" } }, chat_stats = { { id = 1 } } }
  test.equal(name, "nexusai")
  test.equal(#plan.tokens, 1)
  test.equal(plan.tokens[1].providers, plan.providers)
  test.equal({ plan.providers[2].fields.keyless, plan.providers[2].keys }, { true, {} })
  test.match(plan.hints[1], "finds m at several providers")
  test.match(left_of(plan), "rows of chat_stats: 1: ")
end)

test("SiliconFlow API Proxy: keys with balances, models of the log, drawn by balance", function()
  local plan, name = plan_of { api_keys = { { key = " k1 ", add_time = 5, balance = 1.5,
    usage_count = 2, enabled = 0 } }, logs = { { model = "m" }, { model = "m" } },
    sessions = {} }
  test.equal(name, "siliconflow")
  test.equal(plan.providers[1].keys, { { secret = "k1", balance = 1.5, created = 5, off = true } })
  test.equal(plan.groups[1].name, "m")
  test.equal(plan.groups[1].fields.policies[3], "balance_weighted")
  test.match(left_of(plan), "counted uses of keys: 2")
end)

test("SiliconFlow API Proxy: the interval is a setting, by default an hour, 0 for none", function()
  local plan = plan_of "ADMIN_USERNAME=a\nAPI_KEY=secret-of-clients\nAUTO_REFRESH_INTERVAL=0\n"
  test.equal(plan.settings.refresh_every.value, 0)
  test.equal(plan.tokens[1].secret, "secret-of-clients")
  plan = plan_of "ADMIN_USERNAME=a\nAPI_KEY=None\n"
  test.equal({ plan.settings.refresh_every.value, #plan.tokens }, { 3600, 0 })
  test.match(left_of(plan), "API_KEY: it is not set")
  test.match(problem_of "AUTO_REFRESH_INTERVAL=soon\n", "AUTO_REFRESH_INTERVAL must be a number")
end)

test("gemini-balance: lists as JSON and with commas; who may list keys is said", function()
  local text = 'API_KEYS=["k1","k2"]\nALLOWED_TOKENS=t1, t2\nSHOW_SEARCH_LINK=true\n'
  local plan = plan_of(text)
  test.equal(pick(plan.tokens, "fields"), { { {} }, { {} } })
  test.match(left_of(plan), "AUTH_TOKEN: it is not set")
  local name
  plan, name = plan_of(text .. "AUTH_TOKEN=t1\n")
  test.equal(name, "gemini-balance")
  test.equal(pick(plan.providers[1].keys, "secret"), { { "k1" }, { "k2" } })
  test.equal(plan.providers[1].url,
    "https://generativelanguage.googleapis.com/v1beta/openai/")
  test.equal(plan.providers[1].models["gemini-2.5-flash"].output, 2.5)
  test.equal(pick(plan.tokens, "secret"), { { "t1" }, { "t2" } })
  test.equal(plan.tokens[1].fields.rights, { "keys" })
  test.equal(plan.tokens[2].fields.rights, nil)
  test.match(left_of(plan), "SHOW_SEARCH_LINK: ")
  test.match(problem_of 'API_KEYS=["k1"\n', "API_KEYS is no JSON list")
end)

-- ------------------------------------------------------------------------------------
-- one-api and new-api

local function channels(list, more)
  local tables = { channels = { columns = { "base_url", "models" }, unpack(list) },
    tokens = { columns = { "id", "key" } } }
  for name, rows in pairs(more or {}) do tables[name] = rows end
  return tables
end

local function channel(id, more)
  local row = { id = id, name = "c" .. id, type = 1, key = "key-" .. id, status = 1, models = "m",
    base_url = "", group = "default", priority = 0 }
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

test("one-api: the greatest priority is the first, and weights draw among equals", function()
  local plan, name = plan_of(channels { channel(1, { priority = 5, weight = 3 }),
    channel(2, { priority = 5, weight = 1 }), channel(3, { priority = -2 }) })
  test.equal(name, "one-api")
  local group = plan.groups[1]
  test.equal(pick(group.targets, "priority", "weight"), { { 1, 3 }, { 1, 1 }, { 2, 0 } })
  test.equal(group.fields.policies[2].settings.by, "weight")
  test.equal(plan.providers[1].url, "https://api.openai.com")
end)

test("one-api: models of user groups, the default one's under their own names", function()
  local plan = plan_of(channels({ channel(1), channel(2, { group = "vip" }),
    channel(3, { group = "default,vip", models = "both" }),
    channel(4, { group = "vip", models = "own" }) }, {
    tokens = { { id = 1, key = "a", name = "v", user_id = 2 },
      { id = 2, key = "b", name = "d", user_id = 1 } },
    users = { { id = 1, group = "default" }, { id = 2, group = "vip" } } }))
  test.equal(pick(plan.groups, "name"), { { "both" }, { "m" }, { "vip/m" }, { "own" } })
  test.equal(pick(plan.tokens, "secret", "groups"),
    { { "sk-a", { "both", "vip/m", "own" } }, { "sk-b", { "both", "m" } } })
end)

test("one-api and new-api number their channel types apart", function()
  local rows = { channel(1, { type = 43 }), channel(2, { type = 40 }), channel(3, { type = 3 }),
    channel(4, { type = 24 }), channel(5, { type = 14, base_url = "https://mine.test" }),
    channel(6, { type = 8, base_url = "https://all.test/x" }) }
  local urls = pick(plan_of(channels(rows)).providers, "url")
  test.equal(urls, { { "https://ark.cn-beijing.volces.com/api/v3/" },
    { "https://generativelanguage.googleapis.com/v1beta/openai/" }, { "https://all.test/x" } })
  for _, row in ipairs(rows) do row.auto_ban = 1 end
  local plan, name = plan_of(channels(rows))
  test.equal(name, "new-api")
  test.equal(pick(plan.providers, "url"), { { "https://api.deepseek.com" },
    { "https://api.siliconflow.cn" },
    { "https://generativelanguage.googleapis.com/v1beta/openai/" }, { "https://all.test/x#" } })
  test.match(left_of(plan), "channel 3 %(c3%): type 3 has a protocol of its own")
  test.match(left_of(plan), "channel 5 %(c5%): type 14 has a protocol")
end)

test("new-api: keys one per line, each with its state; headers, proxy, prices", function()
  local plan = plan_of(channels({ channel(1, { key = "a\n b \n\nc\n", models = "m,n", balance = 9,
    openai_organization = "org", setting = '{"proxy":"http://p:1"}',
    header_override = '{"X-A":"1","X-T":"{api_key}"}', param_override = '{"top_p":1}',
    channel_info = '{"multi_key_status_list":{"2":3}}', model_mapping = '{"m":"real"}' }) },
    { options = { { key = "ModelRatio", value = '{"m":0.5}' },
      { key = "CompletionRatio", value = '{"m":3}' }, { key = "CacheRatio", value = '{"m":0.1}' },
      { key = "ModelPrice", value = '{"n":0.02}' } } }))
  local provider = plan.providers[1]
  test.equal(pick(provider.keys, "secret", "off", "balance"), { { "a" }, { "b" }, { "c", true } })
  test.equal(provider.models, { real = { input = 1, output = 3, cached = 0.1 },
    n = { call = 0.02 } })
  test.equal(provider.fields.headers, { ["X-A"] = "1", ["OpenAI-Organization"] = "org" })
  test.equal(provider.fields.proxy, { "http://p:1" })
  test.match(left_of(plan), "channel 1 %(c1%): header X%-T")
  test.match(left_of(plan), "channel 1 %(c1%): param_override")
end)

test("one-api: what is JSON and is not is an error, with its place", function()
  test.match(problem_of(channels { channel(3, { model_mapping = "{" }) }),
    "f: channel 3: model_mapping is no JSON object")
  test.match(problem_of(channels({}, { options = { { key = "ModelRatio", value = "[1]" } } })),
    "f: option ModelRatio is no JSON object")
  test.match(problem_of(channels({}, { options = { { key = "ModelRatio",
    value = '{"m":"x"}' } } })), "f: option ModelRatio: m is no number")
end)

-- ------------------------------------------------------------------------------------
-- LiteLLM

local function litellm(document, variables) return plan_of(json.encode(document), variables) end

local function deployment(name, params) return { model_name = name, litellm_params = params } end

test("LiteLLM: services by their names, one provider for one address and key", function()
  local plan, name = litellm { model_list = {
    deployment("a", { model = "openai/x", api_key = "k" }),
    deployment("a", { model = "y", api_key = "k" }),
    deployment("b", { model = "ollama/z" }),
    deployment("c", { model = "groq/llama", api_key = "g", api_base = "https://own.test/openai/v1/",
      rpm = 5 }),
    deployment("d", { model = "azure/gpt", api_key = "k" }),
    deployment("*", { model = "openai/*", api_key = "k" }) } }
  test.equal(name, "litellm")
  test.equal(pick(plan.providers, "wish", "url"), { { "openai", "https://api.openai.com" },
    { "ollama", "http://localhost:11434" }, { "groq", "https://own.test/openai/v1" } })
  test.equal(plan.providers[2].fields.keyless, true)
  test.equal(pick(plan.groups, "name"), { { "a" }, { "b" }, { "c" } })
  test.equal(plan.groups[1].fields.policies[2].settings.by, "in_flight")
  test.match(left_of(plan), "deployment 5 %(d%): azure has a protocol")
  test.match(left_of(plan), "deployment 6 %(%*%): it stands for any model")
end)

test("LiteLLM: the environment comes from the document, a .env file, or is missed", function()
  local list = { deployment("a", { model = "openai/x", api_key = "os.environ/A" }),
    deployment("b", { model = "openai/x", api_key = "os.environ/B" }),
    deployment("c", { model = "openai/x", api_key = "os.environ/NOT_THERE" }) }
  local plan = litellm({ model_list = list, environment_variables = { A = "of the document" },
    general_settings = { master_key = "os.environ/NEITHER", database_url = "x" } },
    { B = "of the file" })
  test.equal(pick(plan.providers, "keys"), { { { { secret = "of the document" } } },
    { { { secret = "of the file" } } } })
  test.match(left_of(plan), "deployment 3 %(c%): the variable NOT_THERE is not set")
  test.match(left_of(plan), "general_settings%.master_key: the variable NEITHER is not set")
  test.match(left_of(plan), "general_settings%.database_url: the keys, teams and budgets")
end)

test("LiteLLM: fallbacks go behind, in rings too; retries, order and failures", function()
  local plan = litellm { model_list = {
    deployment("a", { model = "x", api_key = "k", order = 2 }),
    deployment("a", { model = "w", api_key = "k", order = 1 }),
    deployment("b", { model = "y", api_key = "k" }) },
    router_settings = { fallbacks = { { a = { "b" } }, { b = { "a", "none" } } }, num_retries = 4,
      allowed_fails = 0, routing_strategy = "least-busy" } }
  local a, b = plan.groups[1], plan.groups[2]
  test.equal(pick(a.targets, "model", "priority"), { { "x", 2 }, { "w", 1 }, { "y", 3 } })
  test.equal(pick(b.targets, "model", "priority"), { { "y" }, { "x", 3 }, { "w", 2 } })
  test.equal({ a.fields.limits.attempts, a.fields.policies[2].settings.by }, { 5, "in_flight" })
  test.equal({ plan.settings.failure_threshold.value, plan.settings.failure_window.value },
    { 1, 60 })
  test.match(left_of(plan), "fallback from b to none")
end)

return test.finish()
