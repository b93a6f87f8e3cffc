-- The paths of NiceAPI for logs, charts, moving providers and imports.
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local test = require "neap.tap"
local web = require "neap.test.web"

local WRITTEN = [[
provider "own" { dialect = "openai", url = "https://own.test/v1", keys = { "sk-of-the-file-0001" },
  models = { ["m"] = { input = 1, output = 2 }, ["n"] = {} } }
]]

local function call(world, method, path, body)
  local got = world:request { path = path, method = method, as = "session", body = body }
  test.equal(world.raised, nil)
  return got
end

local function ok(world, method, path, body)
  local got = call(world, method, path, body)
  test.equal(got.status, 200, path .. " " .. got.answer)
  test.equal(world:fault_of(world.routes:find(path:match("^[^?]*"))[method], got), nil, path)
  return got.json
end

local function id_of(world, model)
  return ok(world, "GET", "/api/providers/?name_filter=" .. model).items[1].id
end

test("logs are requests, with what they cost and came to", function()
  local world = loaded.new(WRITTEN)
  local failed = loaded.record("id-2", { outcome = "failed", status = 502, usage = json.null,
    cost_micros = json.null, attempts = json.array {
      json.object { provider = "own", failure = "timeout" } } })
  local records = { loaded.record("id-1"), failed }
  local asked = loaded.journal { page = function(filter)
    if filter.outcome then return { records[1] } end
    return records
  end, records = { ["id-1"] = records[1] }, bodies = { ["id-1 request"] = "{}" } }
  local got = ok(world, "GET", "/api/logs/?skip=0&limit=100")
  test.equal({ got.total, #got.items }, { 2, 2 })
  local one, other = got.items[1], got.items[2]
  test.equal({ one.is_success, one.prompt_tokens, one.completion_tokens, one.total_tokens,
    one.cost, one.response_time_ms, one.provider.model, one.error_message },
    { true, 110, 40, 150, 0.0015, 120, "m", json.null })
  test.equal({ other.is_success, other.status_code, other.error_message, other.cost },
    { false, 502, "timeout", json.null })
  test.equal(ok(world, "GET", "/api/logs/?filter_success=false").total, 1)
  ok(world, "GET", "/api/logs/?filter_success=true")
  test.equal(asked.pages[#asked.pages].outcome, "ok")
  got = ok(world, "GET", "/api/logs/id-1")
  test.equal({ got.request_body, got.response_body }, { "{}", json.null })
  got = world:request { path = "/api/logs/id-1", as = "read" }.json
  test.equal({ got.id, got.request_body }, { "id-1", json.null }, "without the scope bodies")
  test.equal(call(world, "GET", "/api/logs/id-9").status, 404)
end)

test("charts are sums of the journal", function()
  local world = loaded.new(WRITTEN)
  loaded.journal { stats = function(spec)
    if spec.edges then
      local span = loaded.sums(4, 0, 0)
      span.from, span["until"] = spec.edges[7], spec.edges[8]
      return json.object { spans = json.array { span } }
    end
    local sums = loaded.sums(8, 100, 50, { ok = 6, success_rate = 0.75, cost_micros = 12345,
      value = spec.by == "provider" and "own" or "m" })
    return spec.by and json.object { values = json.array { sums } } or sums
  end }
  local got = ok(world, "GET", "/api/dashboard/stats?zone=UTC")
  test.equal(got.summary, { total_calls = 8, success_rate = 75, total_tokens = 150, api_keys = 0,
    total_cost = 0.0123 })
  test.equal(got.model_distribution, { { name = "m", value = 8 } })
  test.equal({ #got.daily_calls.dates, got.daily_calls.dates[7], got.daily_calls.values },
    { 7, "2026-01-01", { 0, 0, 0, 0, 0, 0, 4 } })
  test.equal(got.endpoint_stats, { names = { "own.test" }, success_rates = { 75 },
    avg_times = { 100 }, total_calls = { 8 } })
  test.equal(got.cost_stats, { names = { "m" }, values = { 0.0123 } })
end)

test("providers are moved within a group, and none comes in that way", function()
  local world = loaded.new(WRITTEN)
  local m, n = id_of(world, "m"), id_of(world, "n")
  local group = ok(world, "POST", "/api/groups/", { name = "fast" }).id
  ok(world, "POST", ("/api/groups/%d/providers/%d"):format(group, m))
  ok(world, "POST", ("/api/groups/%d/providers/%d"):format(group, n), { priority = 2 })
  local key = ok(world, "POST", "/api/keys/", { group_ids = json.array { group } }).key
  local other = ok(world, "POST", "/api/groups/", { name = "other" }).id
  local function order(path, body)
    local ids = {}
    for index, one in ipairs(ok(world, "POST", path, body).providers) do
      test.equal(one.priority, index)
      ids[index] = one.id
    end
    return ids
  end
  local query = ("?group_id=%d&api_key=%s"):format(group, key)
  test.equal(order("/api/remote/move-to-top" .. query .. "&provider_id=" .. n), { n, m })
  test.equal(order("/remote/update-order" .. query, json.array { m, n }), { m, n })
  test.equal(call(world, "POST", ("/remote/move-to-top?group_id=%d&provider_id=%d")
    :format(other, m)).status, 422)
  test.equal(call(world, "POST", ("/remote/move-to-top?group_id=%d&provider_id=%d&api_key=%s")
    :format(other, m, key)).status, 403)
  test.equal(#ok(world, "GET", "/remote/status?api_key=" .. key), 1)
  test.equal(#ok(world, "GET", "/api/remote/status"), 2)
  test.equal(world:request { path = "/remote/status?api_key=" .. key }.status, 401)
end)

test("an import adds what passes the filter, and touches nothing else", function()
  local world = loaded.new(WRITTEN)
  local list = '{"data":[{"id":"org/gpt-a"},{"id":"org/gpt-b"},{"id":"embed"}]}'
  local asked = web.use { ["GET https://far.test/v1/models"] = { body = list },
    ["GET https://gone.test/v1/models"] = { status = 500, body = "{}" } }
  local body = { base_url = "https://far.test/v1/", api_key = "sk-far-away-key-0001",
    filter_mode = "Include", filter_keyword = "GPT" }
  local got = call(world, "POST", "/api/import-models/", body)
  test.equal(got.headers["content-type"], "text/event-stream")
  test.equal(got.answer, "data: TOTAL=2\n\ndata: PROGRESS=1\n\ndata: PROGRESS=2\n\n"
    .. "data: DONE=2 imported, 0 skipped\n\n")
  test.equal(web.had(asked[1], "Authorization: Bearer sk-far-away-key-0001"), true)
  body.filter_mode = "Exclude"
  got = ok(world, "POST", "/api/providers/sync", body)
  test.equal({ got.added, got.skipped }, { 1, 0 })
  local models = json.decode(world.store.config["provider/far.test"]).models
  test.equal({ models["org/gpt-a"] ~= nil, models.embed ~= nil }, { true, true })
  body.base_url = " https://far.test/ "
  test.equal(ok(world, "POST", "/api/providers/sync", body).skipped, 1)
  body.base_url = "nothing at all"
  test.equal(call(world, "POST", "/api/providers/sync", body).json.error.field, "/base_url")
  body.base_url = "https://gone.test"
  test.match(call(world, "POST", "/api/import-models/", body).answer, "^data: ERROR=")
  test.equal(world.store.config["provider/gone.test"], nil)
end)

test("a search for what is rare looks at a bounded part of the journal", function()
  local world = loaded.new(WRITTEN)
  local records = {}
  for index = 1, 1000 do records[index] = loaded.record("id-" .. index) end
  local asked = loaded.journal { page = function() return records, "more" end }
  test.equal(ok(world, "GET", "/api/logs/?filter_success=false").total, 0)
  test.equal(#asked.pages, 20)
  asked = loaded.journal { page = function() return {}, "more" end }
  test.equal(ok(world, "GET", "/api/logs/").total, 0)
  test.equal(#asked.pages, 200)
end)

test("the status tells of each provider what it answers right now", function()
  local world = loaded.new(WRITTEN)
  local m = id_of(world, "m")
  local group = ok(world, "POST", "/api/groups/", { name = "fast" }).id
  ok(world, "POST", ("/api/groups/%d/providers/%d"):format(group, m))
  local got = ok(world, "GET", "/api/status")
  test.equal(got.Groups, { { id = group, name = "fast" } })
  test.equal({ #got.Models, got.Models[1] }, { 2, { id = m, provider = "m", model = "m",
    api_endpoint = "https://own.test/v1/chat/completions" } })
  test.equal(got.Association, { { provider_id = m, group_id = group, active_calls = 0 } })
  local stranger = world:request { path = "/api/status" }
  test.equal({ stranger.status, stranger.json.detail }, { 401, stranger.json.error.message })
end)

test("an import names what it adds, and has it paid by the call, where it is told to", function()
  local world = loaded.new("")
  web.use { ["GET https://far.test/v1/models"] = { body = '{"data":[{"id":"org/gpt-a"}]}' } }
  ok(world, "POST", "/api/providers/sync", { base_url = "https://far.test", alias = "mine",
    api_key = "sk-far-away-key-0001", default_type = "per_call" })
  local one = ok(world, "GET", "/api/providers/").items[1]
  test.equal({ one.name, one.model, one.type, one.price_per_million_tokens },
    { "mine.gpt-a", "org/gpt-a", "per_call", 0 })
end)
