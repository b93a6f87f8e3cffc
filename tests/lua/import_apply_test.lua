-- What `neap import` makes of files on top of what is stored: rows that are right, once.
local import = require "admin.import.init"
local host = require "neap.host"
local import_journal = require "admin.test.import_journal"
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local old_files = require "admin.test.old_files"
local router = require "neap.router"
local test = require "neap.tap"

local WRITTEN = [[
provider "filed" { dialect = "openai", url = "https://filed.test/v1", keys = { "sk-of-the-file" } }
group "filed" { targets = { { "filed", "m" } } }
token "filed" { secret = "the-secret-of-the-file" }
]]

local router_loaded = router.loaded

local function nice(more)
  local tables = {
    api_providers = { { id = 4, name = "A", api_endpoint = "https://a.test/v1/chat/completions",
      api_key = "sk-key-of-a-provider", model = "m", price_per_million_tokens = 2 } },
    groups = { { id = 7, name = "g" } },
    provider_group_association = { { provider_id = 4, group_id = 7, priority = 3 } },
    api_keys = { { id = 5, key = "sk-client-of-niceapi", name = "Anna" } },
    api_key_group_association = { { api_key_id = 5, group_id = 7 } },
    error_maintenance = { { id = 2, keyword = "Over" } },
  }
  for name, rows in pairs(more or {}) do tables[name] = rows end
  return tables
end

--- Imports into a world; the rows are written where it succeeds.
local function run(world, content, more)
  router.loaded = router_loaded
  local given = old_files.given({ f = content, ["/world/router.lua"] = world.config }, {
    config = "/world/router.lua", files = { "f" },
    objects = function(prefix)
      local found = {}
      for name, text in pairs(world.store.objects) do
        if name:sub(1, #prefix) == prefix then found[name] = text end
      end
      return found
    end })
  for name, value in pairs(more or {}) do given[name] = value end
  local status, text, ops = import.run(given)
  if status == 0 then status, text = import.finish(import_journal.new()) end
  local count = 0
  for _, op in ipairs(ops or {}) do
    if op[1] == "expect" then test.equal(world.store[op[2]][op[3]], op[4], op[3]) end
  end
  for _, op in ipairs(ops or {}) do
    if op[1] == "put" then
      world.store[op[2]][op[3]] = op[4]
      count = count + 1
    end
  end
  return status, text, count
end

local function new(text) return loaded.new(text or WRITTEN) end
local function stored(world, name) return json.decode(world.store.config[name] or "null") end

test("rows as the admin API makes them; a second import writes none", function()
  local world = new()
  local status, text, count = run(world, nice())
  test.equal(status, 0, text)
  local provider = stored(world, "provider/a.test")
  test.equal({ provider.version, provider.url, provider.models.m },
    { 1, "https://a.test/v1", { input = 2, output = 2 } })
  test.equal(stored(world, "group/g").targets,
    { { provider = "a.test", model = "m", priority = 3 } })
  local token = stored(world, "token/Anna")
  test.equal({ token.groups, token.prefix, token.last4, #token.digest },
    { { "g" }, "sk-", "eapi", 64 })
  local key = json.decode(world.store.keys["a.test/imported-00001"])
  test.equal(host.unseal("keys/a.test/imported-00001", "secret", key.sealed.secret),
    "sk-key-of-a-provider")
  test.equal(json.decode(world.store.objects["compat/name/group/000000000007"]).name, "g")
  test.equal(json.decode(world.store.objects["compat/id/target/a.test/m"]),
    { id = 4, label = "A" })
  test.equal(json.decode(world.store.objects["compat/next/target"]).id, 5)
  test.equal(count > 8, true)
  status, text, count = run(world, nice())
  test.equal({ status, count }, { 0, 0 }, text)
  test.match(text, "carried over:\n  nothing\nthere already:\n  provider a%.test, with 1 key of 1")
end)

test("what the API gives out again can be taken in again", function()
  local world = new()
  run(world, nice { api_keys = { { id = 5, key = "sk-client-of-niceapi", name = "Anna" } } })
  local got = world:request { path = "/api/v1/configuration/export", as = "session" }
  test.equal(got.status, 200, got.answer)
  got = world:request { path = "/api/v1/configuration/import?dry_run=true", as = "session",
    body = got.json }
  test.equal(got.status, 200, got.answer)
  test.equal({ got.json.problems, got.json.counts.change }, { {}, nil }, got.answer)
end)

test("router.lua wins: its group, its token and its names are left alone", function()
  local world = new()
  local status, text = run(world, nice {
    groups = { { id = 7, name = "filed" } },
    api_keys = { { id = 5, key = "the-secret-of-the-file", name = "x" },
      { id = 6, key = "sk-another-client-key", name = "filed" } },
    api_key_group_association = { { api_key_id = 5, group_id = 7 },
      { api_key_id = 6, group_id = 7 } } })
  test.equal(status, 0, text)
  test.match(text, "group filed: router%.lua has one of this name")
  test.match(text, "there already:\n  token filed ")
  test.equal(stored(world, "group/filed"), json.null)
  test.equal(stored(world, "token/filed-2").groups, { "filed" })
end)

test("numbers that something else has are not taken from it", function()
  local world = new()
  world.store.objects["compat/name/group/000000000007"] = '{"name":"other"}'
  world.store.objects["compat/id/group/other"] = '{"id":7}'
  world.store.objects["compat/next/group"] = '{"id":12}'
  local status, text = run(world, nice())
  test.equal(status, 0, text)
  test.equal(json.decode(world.store.objects["compat/id/group/g"]).id, 12)
  test.equal(json.decode(world.store.objects["compat/next/group"]).id, 13)
  test.match(text, "numbers: 1: something else has them already")
end)

test("new models and keys come to the provider that is there; the rest of it stays", function()
  local world = new()
  run(world, nice())
  local before = stored(world, "provider/a.test")
  before.models.m.input, before.note = 9, "mine"
  world.store.config["provider/a.test"] = json.encode(before)
  local rows = nice()
  rows.api_providers[2] = { id = 6, name = "B", model = "n", api_key = "sk-key-of-a-provider",
    api_endpoint = "https://a.test/v1/chat/completions" }
  local status, text = run(world, rows)
  test.equal(status, 0, text)
  local provider = stored(world, "provider/a.test")
  test.equal({ provider.version, provider.models.m.input, provider.models.n, provider.note },
    { 2, 9, {}, "mine" })
  test.match(text, "to provider a%.test: 0 keys, 1 model")
end)

test("NexusAI Hub: two of its providers at one address with one key stay two", function()
  local function row(id, name, personal)
    return { id = id, name = name, server_url = "https://one.test/v1?key=hidden-in-the-url#",
      server_key = "sk-shared-server-key", personalized_key = personal }
  end
  local tables = { service_providers = { row(1, "twin", "personal-key-of-one-01"),
    row(2, "twin", "personal-key-of-two-02") }, provider_models = {
    { id = 1, provider_id = 1, model_name = "a" }, { id = 2, provider_id = 2, model_name = "b" } } }
  local world = new()
  local status, text = run(world, tables)
  test.equal(status, 0, text)
  test.equal({ stored(world, "provider/twin").models, stored(world, "provider/twin-2").models },
    { { a = {} }, { b = {} } })
  test.equal({ stored(world, "token/twin").providers, stored(world, "token/twin-2").providers },
    { { "twin" }, { "twin-2" } })
  test.equal(text:find("hidden", 1, true), nil, text)
  local _, again, count = run(world, tables)
  test.equal(count, 0, again)
end)

local POOL = { api_keys = { { key = "sk-of-the-pool-01", add_time = 1, balance = 1,
  usage_count = 0 } }, logs = { { model = "m" } } }
local POOL_ENV = "ADMIN_USERNAME=a\nAPI_KEY=the-key-of-the-clients\n"

test("a token that has a model by its provider keeps it when a group gets the model's name",
  function()
    for _, order in ipairs { { POOL, POOL_ENV }, { POOL_ENV, POOL } } do
      local world = new()
      for _, content in ipairs(order) do
        local status, text = run(world, content)
        test.equal(status, 0, text)
      end
      local token = stored(world, "token/siliconflow")
      test.equal({ token.providers, token.groups }, { { "siliconflow" }, { "m" } })
    end
  end)

test("a group that leads elsewhere, too, is given to no token; it is told", function()
  local world = new()
  run(world, { service_providers = { { id = 1, name = "one", server_url = "https://one.test",
    server_key = "sk-server-key-of-one", personalized_key = "personal-key-of-one-01" } },
    provider_models = { { id = 1, provider_id = 1, model_name = "g" } } })
  local status, text = run(world, nice())
  test.equal(status, 0, text)
  test.match(text, "\n  g for token one: a group of this name leads to other providers, too")
  test.equal(stored(world, "token/one").groups, nil)
end)

local CHANNEL = { id = 1, name = "c", type = 1, key = "sk-of-a-channel-01\nsk-of-a-channel-02",
  status = 1, models = "m,n", base_url = "https://c.test", group = "default", priority = 1 }
local TOKEN = { id = 1, key = "0123456789abcdef0123", name = "t", expired_time = 1800000000 }
local LITELLM = json.encode { model_list = { { model_name = "chat", litellm_params = {
  model = "openai/gpt", api_key = "sk-of-litellm-0001", api_base = "https://l.test/v1" } } },
  general_settings = { master_key = "sk-master-of-litellm" } }

test("no system's files change anything the second time", function()
  for name, content in pairs { siliconflow = POOL, its_variables = POOL_ENV,
    gemini = 'API_KEYS=["AIza-some-gemini-key"]\nALLOWED_TOKENS=["a-token-of-a-client"]\n',
    one_api = { channels = { CHANNEL }, tokens = { TOKEN } }, litellm = LITELLM } do
    local world = new()
    local status, text, count = run(world, content)
    test.equal({ status, count > 3 }, { 0, true }, name .. ": " .. text)
    status, text, count = run(world, content)
    test.equal({ status, count }, { 0, 0 }, name .. ": " .. text)
  end
end)

test("a token without anything that it may use would be one for all: it is left out", function()
  local world = new()
  local status, text = run(world, nice { groups = { { id = 7, name = ("x"):rep(300) } } })
  test.equal(status, 0, text)
  test.equal(stored(world, "token/Anna"), json.null)
  test.match(text, "token Anna %(sk%-…eapi%): nothing that it may use is carried over")
end)

test("what cannot be in force is refused as a whole", function()
  local world = new()
  local status, text, count = run(world, nice { api_providers = { { id = 4, name = "A",
    api_endpoint = "http://10.0.0.1/v1/chat/completions", api_key = "sk-key-of-a-provider",
    model = "m" } } })
  test.equal({ status, count }, { 1, 0 })
  test.match(text, "^nothing is imported:\n.*\n  provider/10%.0%.0%.1: its URL is at a private ")
end)

test("errors of what is stored already keep nothing from being imported", function()
  local world = new()
  world.store.config["group/broken"] = '{"version":1,"targets":[{"provider":"none","model":"m"}]}'
  local status, text = run(world, nice())
  test.equal(status, 0, text)
end)

test("a dry run seals nothing and has no ops", function()
  local world = new()
  local seal = host.seal
  host.seal = function() error "sealed" end
  local status, text, count = run(world, nice(), { is_dry = true })
  host.seal = seal
  test.equal({ status, count }, { 0, 0 }, text)
  test.match(text, "would be carried over:\n  provider a%.test")
end)

test("weak tokens and the first token are told", function()
  local world = new('provider "filed" { dialect = "openai", url = "https://filed.test/v1" }\n')
  local _, text = run(world, 'API_KEYS=["AIza-some-gemini-key"]\nALLOWED_TOKENS=["123456"]\n')
  test.match(text, "The token gemini%-1 is shorter than 16 characters")
  test.match(text, "From now on every client needs a token")
  test.equal(stored(world, "token/gemini-1").last4, "")
end)

test("a failure keyword that cannot be one is left, and the rest comes", function()
  local world = new()
  local status, text = run(world, nice { error_maintenance = {
    { id = 2, keyword = ("long "):rep(300) }, { id = 3, keyword = "two\nlines" },
    { id = 4, keyword = "Over" }, { id = 5, keyword = "told", description = ("x"):rep(2001) } } })
  test.equal(status, 0, text)
  test.match(text, "\n  failure keyword \"Over\"\n")
  test.match(text, "\n  failure keyword \"long long [^\n]*: its text must have at most 1000")
  test.match(text, "\n  failure keyword \"two lines\": its text must be a text of one line")
  test.match(text, "\n  failure keyword \"told\": its note must have at most 2000")
end)

test("a wrong system, and a configuration that cannot be loaded", function()
  local world = new()
  local status, text = run(world, nice(), { from = "other" })
  test.equal(status, 2)
  test.match(text, "there is no system \"other\": niceapi, ")
  status, text = run(world, nice(), { from = "litellm" })
  test.equal(status, 1)
  test.match(text, "f is not LiteLLM's")
  status, text = run(world, "KEY=sk-some-variable\n", { from = "litellm" })
  test.equal(status, 1)
  test.match(text, "no system that neap knows has these variables")
  status, text = run(world, "API_KEY=the-key-of-a-client\nOTHER=1\n", { from = "siliconflow" })
  test.equal(status, 0, text)
  test.match(text, "\n  OTHER: neap has nothing that is set like this")
  status = run(new(), nice(), { config = "/nowhere/router.lua" })
  test.equal(status, 78)
end)

return test.finish()
