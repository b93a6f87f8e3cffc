-- The paths of SiliconFlow API Proxy: its shapes, without what it did wrong.
local host = require "neap.host"
local journal = require "admin.api.compat.journal"
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local schema = require "admin.api.schema"
local test = require "neap.tap"
local web = require "neap.test.web"
local zone = require "neap.zone"

local INFO = "https://api.siliconflow.cn/v1/user/info"
local A, B, C = "sk-aaaaaaaaaaaaaaaaaaaa0001", "sk-bbbbbbbbbbbbbbbbbbbb0002",
  "sk-cccccccccccccccccccc0003"

--- A web in which each key has this balance, or answers with this status.
local function accounts(by_key)
  return web.use(function(given)
    test.equal(given.url, INFO)
    for _, line in ipairs(given.headers) do
      local got = by_key[line:match("^Authorization: Bearer (.+)$") or ""]
      if type(got) == "string" then
        return { body = '{"code":20000,"data":{"balance":"0","totalBalance":"' .. got .. '"}}' }
      elseif got then
        return { status = got, body = '{"message":"no"}' }
      end
    end
    return { status = 401, body = "{}" }
  end)
end

local function call(world, path, body, as, headers)
  local got = world:request { path = path, method = body and "POST" or "GET", body = body,
    as = as or "session", headers = headers }
  test.equal(world.raised, nil)
  return got
end

local function names(value)
  local list = {}
  for name in pairs(value) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

local function import(world, text)
  local got = call(world, "/import_keys", { keys = text })
  test.equal(got.status, 200, got.answer)
  return got.json.message
end

test("an import into nothing makes the provider, and says what came in", function()
  local world = loaded.new("")
  accounts { [A] = "10.5", [B] = "0", [C] = 401 }
  test.equal(import(world, A .. "\n\n  " .. A .. "\n" .. B .. "\r\n" .. C .. "\n"),
    "导入成功 1 个，有重复 1 个，无效 2 个")
  local got = call(world, "/api/keys").json
  test.equal(names(got), "keys page page_size total")
  test.equal({ got.total, got.page, got.page_size }, { 1, 1, 10 })
  local key = got.keys[1]
  test.equal(names(key), "add_time balance enabled id key usage_count")
  test.equal({ key.key, key.balance, key.usage_count, key.enabled }, { "sk-…0001", 10.5, 0, 1 })
  test.equal(import(world, A), "导入成功 0 个，有重复 1 个，无效 0 个")
  test.equal(call(world, "/import_keys", { keys = " \n" }).status, 400)
end)

test("an outage brings keys in and removes none", function()
  local world = loaded.new("")
  accounts { [A] = 503, [B] = 503 }
  test.equal(import(world, A .. "\n" .. B), "导入成功 2 个，有重复 0 个，无效 0 个")
  test.match(call(world, "/refresh", json.object {}).json.message, "移除 0 个")
  test.equal(call(world, "/api/keys").json.total, 2)
  accounts { [A] = "3", [B] = 401 }
  test.match(call(world, "/refresh", json.object {}).json.message, "有效 1 个，停用 1 个")
  local by_key = {}
  for _, one in ipairs(call(world, "/api/keys").json.keys) do by_key[one.key] = one.enabled end
  test.equal(by_key, { ["sk-…0001"] = 1, ["sk-…0002"] = 0 })
end)

test("keys are sorted, paged, found by the key itself and never shown whole", function()
  local world = loaded.new("")
  local by_key, lines = {}, {}
  for index = 1, 12 do
    lines[index] = ("sk-dddddddddddddddddd%04d"):format(index)
    by_key[lines[index]] = tostring(index)
  end
  accounts(by_key)
  import(world, table.concat(lines, "\n"))
  local first = call(world, "/api/keys?sort_field=balance&sort_order=desc").json
  test.equal({ #first.keys, first.total, first.keys[1].balance }, { 10, 12, 12 })
  local second = call(world, "/api/keys?sort_field=balance&sort_order=asc&page=2")
  test.equal({ #second.json.keys, second.json.keys[2].balance }, { 2, 12 })
  test.equal(second.answer:find("sk-dddd", 1, true), nil)
  local info = call(world, "/api/key_info?key=" .. lines[7]).json
  test.equal({ info.key, info.balance }, { "sk-…0007", 7 })
  test.equal(call(world, "/api/key_info?key=" .. info.id).json.id, info.id)
  local none = call(world, "/api/key_info?key=sk-nobody")
  test.equal(none.status, 404)
  test.equal(none.json.detail, none.json.error.message)
  by_key[lines[7]] = "70"
  local got = call(world, "/api/refresh_key", { key = lines[7] })
  test.equal(names(got.json), "balance message")
  test.equal(got.json.balance, 70)
  by_key[lines[7]] = 401
  test.equal(call(world, "/api/refresh_key", { key = info.id }).status, 400)
  test.equal(call(world, "/api/keys").json.total, 12, "it stays")
end)

test("a pool of thousands is opened in runs of some hundred keys", function()
  local world, lines = loaded.new(""), {}
  accounts { [A] = "1" }
  import(world, A)
  for number = 1, 1200 do lines[number] = ("sk-of-a-large-pool-%06d"):format(number) end
  local got = call(world, "/api/v1/providers/siliconflow/keys/import",
    { text = table.concat(lines, "\n"), check = false })
  test.equal(got.json.added, 1200)
  local sleep, rests = host.sleep, 0
  host.sleep = function(seconds)
    rests = rests + 1
    sleep(seconds)
  end
  local total = call(world, "/api/keys").json.total
  host.sleep = sleep
  test.equal({ total, rests }, { 1201, 3 })
end)

test("keys leave whole for a person who enters the password again", function()
  local world = loaded.new("")
  accounts { [A] = "1", [B] = "1" }
  import(world, A .. "\n" .. B)
  test.equal(call(world, "/export_keys").status, 400)
  test.equal(call(world, "/export_keys", nil, nil, { ["x-neap-password"] = "wrong" }).status, 403)
  test.equal(call(world, "/export_keys", nil, "read keys").status, 403)
  local got = call(world, "/export_keys", nil, nil, { ["x-neap-password"] = "the password" })
  test.equal(got.status, 200)
  test.match(got.headers["content-disposition"], 'attachment; filename="keys.txt"')
  local lines = {}
  for line in got.answer:gmatch("[^\n]+") do lines[#lines + 1] = line end
  table.sort(lines)
  test.equal(lines, { A, B })
  local noted = world:request { path = "/api/v1/audit?action=export", as = "read" }.json.items
  test.equal(#noted, 1)
end)

test("without a journal lists and sums say so, and nothing else does", function()
  local world = loaded.new("")
  loaded.no_journal()
  for _, path in ipairs { "/logs", "/api/stats/overview", "/api/stats/daily" } do
    test.equal(call(world, path).json.error.code, "no_journal")
  end
  test.equal(call(world, "/clear_logs", json.object {}).status, 200)
end)

test("logs come in pages of ten, by a part of the model's name", function()
  local world = loaded.new("")
  local records = {}
  for index = 1, 25 do
    records[index] = loaded.record(("id-%d"):format(index),
      { target_model = index % 2 == 0 and "Qwen/Big" or "deep/seek" })
  end
  local asked = loaded.journal { page = function(filter)
    -- Ten at once: more must be asked for with the cursor.
    local from, list = tonumber(filter.cursor or "0"), {}
    for index = from + 1, math.min(#records, from + 10) do list[#list + 1] = records[index] end
    return list, from + 10 < #records and tostring(from + 10) or nil
  end }
  local got = call(world, "/logs?page=3").json
  test.equal({ #got.logs, got.total, got.page, got.page_size }, { 5, 25, 3, 10 })
  test.equal(names(got.logs[1]), "api_key call_time input_tokens model output_tokens total_tokens")
  test.equal({ got.logs[1].api_key, got.logs[1].call_time, got.logs[1].input_tokens,
    got.logs[1].output_tokens, got.logs[1].total_tokens }, { "k1", 1767225600, 110, 40, 150 })
  got = call(world, "/logs?model=qwen").json
  test.equal({ #got.logs, got.total, got.logs[1].model }, { 10, 12, "Qwen/Big" })
  test.equal(asked.pages[#asked.pages].text, "qwen")
  call(world, "/clear_logs", json.object {})
  call(world, "/logs")
  test.equal(asked.pages[#asked.pages].from, host.wall())
end)

test("statistics of all time, of today by local hours and of the month by local days", function()
  local world = loaded.new("")
  accounts { [A] = "2.5" }
  import(world, A)
  local asked = loaded.journal { stats = function(spec)
    if not spec.by and not spec.edges then return loaded.sums(7, 100, 50) end
    if spec.by then
      local one, other = loaded.sums(5, 90, 40), loaded.sums(2, 0, 0)
      one.value, other.value = "m", "free"
      return json.object { values = json.array { one, other } }
    end
    local span = loaded.sums(3, 30, 20)
    span.from, span["until"] = spec.edges[2], spec.edges[3]
    return json.object { spans = json.array { span } }
  end }
  test.equal(call(world, "/api/stats/overview").json, { key_count = 1, total_balance = 2.5,
    total_calls = 7, total_tokens = 150 })
  -- 2026-01-01 00:00 UTC is 8 o'clock in Shanghai.
  local got = call(world, "/api/stats/daily?zone=Asia/Shanghai").json
  test.equal(names(got), "calls input_tokens labels model_labels model_tokens output_tokens")
  test.equal({ #got.labels, got.labels[1], got.labels[24], #got.calls }, { 24, "0", "23", 24 })
  test.equal({ got.calls[1], got.calls[2], got.input_tokens[2], got.output_tokens[2] },
    { 0, 3, 30, 20 })
  test.equal({ got.model_labels, got.model_tokens }, { { "m" }, { 130 } })
  test.equal(asked.stats[#asked.stats].from, 1767225600 - 8 * 3600)
  got = call(world, "/api/stats/monthly?zone=Asia/Shanghai").json
  test.equal({ #got.labels, got.labels[1], got.labels[31], got.calls[2] }, { 31, "1", "31", 3 })
end)

test("hours of a day are those that clocks show, put forward or back as they are", function()
  local berlin, at = zone.find "Europe/Berlin", schema.moment
  -- Each span has as many calls as the hour that clocks show at its beginning.
  loaded.journal { stats = function(spec)
    local spans = json.array {}
    for index = 1, #spec.edges - 1 do
      local from = spec.edges[index]
      test.equal(from < spec.edges[index + 1], true)
      spans[index] = json.object { from = from, ["until"] = spec.edges[index + 1],
        hour = zone.calendar(berlin, from).hour }
    end
    return json.object { spans = spans }
  end }
  for _, day in ipairs { { "2026-03-29", -1 }, { "2026-10-25", 1 }, { "2026-11-21", 0 } } do
    local edges = journal.hours(berlin, at(day[1] .. "T12:00:00Z"))
    test.equal({ #edges, edges[25] - edges[1] }, { 25, (24 + day[2]) * 3600 })
    test.equal(edges[4] - edges[3], (1 + day[2]) * 3600, "from 2 to 3 on " .. day[1])
    for hour, one in pairs(journal.series(edges)) do test.equal(one.hour, hour - 1, day[1]) end
  end
end)

test("health says to strangers whether there is a key, and to others how many", function()
  local world = loaded.new("")
  test.equal(world:request { path = "/health" }.json.api_keys, "unavailable")
  accounts { [A] = "1" }
  import(world, A)
  local got = world:request { path = "/health" }.json
  test.equal({ got.status, got.database, got.api_keys }, { "healthy", "connected", "available" })
  test.equal({ got.api_keys_count, got.auto_refresh }, {})
  got = call(world, "/health").json
  test.equal(got.api_keys_count, 1)
  test.equal({ got.auto_refresh.enabled, got.auto_refresh.running }, { true, false })
  got = call(world, "/admin/restart_auto_refresh", json.object {}).json
  test.equal(names(got), "message success")
  test.equal(got.success, true)
  local refresh = call(world, "/health").json.auto_refresh
  test.equal(refresh.run_count, 1)
  test.equal(refresh.performance, { total_keys_processed = 1, total_keys_updated = 1,
    total_keys_removed = 0, average_processing_time = 0, success_rate = 100 })
  test.equal({ refresh.last_batch.processed, refresh.last_batch.removed,
    refresh.last_batch.timestamp }, { 1, 0, host.wall() })
end)

test("the timer is off where the setting says so", function()
  local world = loaded.new("")
  accounts { [A] = "1" }
  import(world, A)
  local got = world:request { path = "/api/v1/settings", method = "PATCH", as = "session",
    body = { refresh_every = 0 } }
  test.equal(got.status, 200, got.answer)
  test.equal(call(world, "/health").json.auto_refresh.enabled, false)
end)

test("an import that makes the provider takes the scope for that, too", function()
  local world = loaded.new("")
  local asked = accounts { [A] = "1" }
  local got = call(world, "/import_keys", { keys = A }, "keys")
  test.equal({ got.status, got.json.detail, #asked }, { 403, got.json.error.message, 0 })
  test.equal(world.store.config["provider/siliconflow"], nil)
  test.equal(call(world, "/import_keys", { keys = A }, "write keys").status, 200)
  test.equal(call(world, "/import_keys", { keys = A }, "keys").status, 200)
end)

test("lists of models are no calls", function()
  local world = loaded.new("")
  local asked = loaded.journal {
    page = function()
      return { loaded.record("id-1", { endpoint = "models" }), loaded.record("id-2") }
    end,
    stats = function() return loaded.sums(1, 10, 5) end,
  }
  test.equal(call(world, "/logs").json.total, 1)
  call(world, "/api/stats/overview")
  test.equal({ asked.stats[1].dimension, asked.stats[1].value }, { "endpoint", "chat" })
end)

test("logs show a key as the pool does", function()
  local world = loaded.new("")
  accounts { [A] = "1" }
  import(world, A)
  local id = call(world, "/api/keys").json.keys[1].id
  loaded.journal { page = function() return { loaded.record("id-1", { key = id }) } end }
  test.equal(call(world, "/logs").json.logs[1].api_key, "sk-…0001")
end)
