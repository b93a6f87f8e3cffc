-- What the rows of other routers' logs become, and that each becomes it once.
local host = require "neap.host"
local import_journal = require "admin.test.import_journal"
local logs = require "admin.import.logs"
local new_plan = require("admin.import.plan").new
local old_files = require "admin.test.old_files"
local one_api = require "admin.import.one_api"
local source = require "admin.import.source"
local test = require "neap.tap"

local SYSTEMS = { niceapi = require "admin.import.niceapi",
  nexusai = require "admin.import.nexusai", siliconflow = require "admin.import.siliconflow",
  ["one-api"] = one_api[1], ["new-api"] = one_api[2] }

local EAST = 8 * 3600
local NOON = 1767268800 -- 2026-01-01 12:00 UTC

--- The plan of a database, as if it had been applied: providers and tokens have their wishes as
--- names, keys are "k1", "k2", …
local function applied(system, content)
  local file = source.open("f", old_files.given { f = content })
  local plan = new_plan()
  SYSTEMS[system].fill(file, plan, {})
  local done = { carried = {}, there = {}, keys = {}, groups = {}, record_age = 90 * 86400,
    zone = "+02:00", provider_of = function(id) return id == 4 and "hub" or nil end }
  for _, one in ipairs(plan.providers) do
    one.name = one.wish:gsub("%W+", "-")
    done.keys[one.name] = {}
    for place, key in ipairs(one.keys) do done.keys[one.name][key.secret] = "k" .. place end
  end
  for _, one in ipairs(plan.tokens) do one.name = one.wish end
  for _, one in ipairs(plan.groups) do done.groups[one.name] = true end
  return plan, done
end

local function carry(system, content, journal)
  journal = journal or import_journal.new()
  local plan, done = applied(system, content)
  logs.carry(plan, done, journal)
  return journal.records, plan, done
end

local function pick(record, ...)
  local values = {}
  for place, name in ipairs { ... } do values[place] = record[name] end
  return values
end

local function left_of(plan)
  local lines = {}
  for place, one in ipairs(plan.left) do lines[place] = one.what .. ": " .. one.why end
  return table.concat(lines, "\n")
end

local function nice(calls)
  return {
    api_providers = { columns = { "model" },
      { id = 1, name = "A", api_endpoint = "https://a.test/v1", api_key = "s", model = "m" } },
    groups = { { id = 7, name = "g" }, { id = 8, name = "h" } },
    provider_group_association = { { provider_id = 1, group_id = 7, priority = 1 } },
    api_keys = { { id = 5, key = "sk-client", name = "Anna" } },
    api_key_group_association = { { api_key_id = 5, group_id = 7 } },
    call_logs = calls,
  }
end

-- ------------------------------------------------------------------------------------
-- Numbers and times

test("tokens: a total helps where a part is missing; what is no number is none", function()
  test.equal(logs.usage(3, 4, 9), { in_fresh = 3, out_total = 4 })
  test.equal(logs.usage(nil, nil, 9), { in_fresh = 9, out_total = 0 })
  test.equal(logs.usage(3, nil, 9), { in_fresh = 3, out_total = 6 })
  test.equal(logs.usage(nil, 4, 9), { in_fresh = 5, out_total = 4 })
  test.equal(logs.usage("12", "x", -1), { in_fresh = 12, out_total = 0 })
  test.equal(logs.usage(nil, "x", nil), nil)
end)

test("dollars become millionths, and nothing that is none", function()
  test.equal({ logs.micros(0.0000015), logs.micros("2"), logs.micros(0) }, { 2, 2000000, 0 })
  for _, value in ipairs { -1, 1e300, "much" } do test.equal(logs.micros(value), nil) end
end)

test("what is said of a failure has no secret", function()
  local said = logs.error_text("Incorrect key: sk-abcdefghijklmnop1234. (own_secret-1) "
    .. "AIzaSyAbcdefghijk9",
    { ["own_secret-1"] = true })
  test.equal(said, "Incorrect key: sk-…1234. (…) …ijk9")
  test.equal(#logs.error_text(("x "):rep(5000), {}), 4096)
  test.equal({ logs.error_text("", {}), logs.error_text(5, {}) }, { nil, nil })
end)

test("a moment: with a fraction, of a clock that is known or named", function()
  test.equal(source.moment("2026-01-01 20:00:00.250000", EAST), NOON + 0.25)
  test.equal(source.moment("2026-01-01T12:00:00Z", EAST), NOON)
  test.equal(source.moment("2026-01-01T14:30:00+02:30", EAST), NOON)
  test.equal(source.moment("2026-01-01T09:00:00-0300", EAST), NOON)
  test.equal(source.moment("2026-01-01T13:00:00", function() return 3600 end), NOON)
  for _, value in ipairs { "never", "2026-01-01", 5, "2026-01-01 12:00:00 UTC+8" } do
    test.equal(source.moment(value, EAST), nil)
  end
end)

-- ------------------------------------------------------------------------------------
-- Systems

test("NiceAPI: an attempt with its provider, its key, its only group, and its end", function()
  local records = carry("niceapi", nice { { id = 1, provider_id = 1, api_key_id = 5,
    request_timestamp = "2026-01-01 20:00:00", is_success = 1, status_code = 200,
    response_time_ms = 1500, prompt_tokens = 3, completion_tokens = 4, total_tokens = 7,
    cost = 0.25 } })
  local one = records[1]
  test.equal(pick(one, "wall", "seconds", "provider", "target_model", "key", "group", "token",
    "status", "outcome", "cost_micros", "endpoint"), { NOON - 1.5, 1.5, "https-a-test-v1", "m",
    "k1", "g", "Anna", 200, "ok", 250000, "chat" })
  test.equal(one.attempts, { { target_name = "https-a-test-v1/m", key_id = "k1", status = 200,
    seconds = 1.5 } })
end)

test("NiceAPI: what failed or was streamed, what has no provider or no time", function()
  local records, plan = carry("niceapi", nice {
    { id = 1, provider_id = 1, request_timestamp = "2026-01-01 20:00:00", is_success = 0,
      error_message = "no" },
    { id = 2, provider_id = 1, request_timestamp = "2026-01-01 20:00:01", is_success = 1,
      error_message = "Usage data not available for streaming responses." },
    { id = 3, provider_id = 9, request_timestamp = "2026-01-01 20:00:02", is_success = 0,
      status_code = 401, prompt_tokens = "x\0y" },
    { id = 4, provider_id = 1, is_success = 1 } })
  test.equal(#records, 3)
  test.equal(pick(records[1], "status", "outcome", "error", "stream"),
    { 503, "failed", "no", false })
  test.equal(records[1].attempts[1].failure, "status")
  test.equal(pick(records[2], "status", "outcome", "stream"), { 200, "ok", true })
  test.equal(records[2].error, nil)
  test.equal({ records[3].provider, records[3].usage, records[3].status, records[3].attempts },
    { nil, nil, 401, {} })
  test.match(left_of(plan), "rows of call_logs without a time: 1: ")
end)

test("NexusAI Hub: a prompt and what answers it are one round", function()
  local function row(id, talk, is_prompt, tokens_count, second)
    return { id = id, conversation_id = talk, is_prompt = is_prompt, tokens_count = tokens_count,
      timestamp = ("2026-01-01T14:00:%02d"):format(second), provider_id = 4, model_name = "m" }
  end
  local records = carry("nexusai", { chat_stats = { row(1, "a", 1, 10, 0), row(2, "b", 1, 20, 1),
    row(3, "a", 0, 11, 4), row(4, "b", 1, 21, 5), row(5, "b", 0, 22, 6), row(6, "c", 0, 33, 7) } })
  local rounds = {}
  for place, one in ipairs(records) do
    rounds[place] = { one.conversation, one.usage.in_fresh, one.usage.out_total, one.seconds,
      one.wall - NOON }
  end
  test.equal(rounds, { { "a", 10, 11, 4, 0 }, { "b", 20, 0, 0, 1 }, { "b", 21, 22, 1, 5 },
    { "c", 0, 33, 0, 7 } })
  test.equal(pick(records[1], "provider", "model", "target_model", "status"),
    { "hub", "m", "m", 200 })
  test.equal(records[1].usage.is_estimate, true)
end)

test("SiliconFlow API Proxy: the key by its secret, the model as its group", function()
  local records = carry("siliconflow", { api_keys = { { key = "sk-one", balance = 1,
    usage_count = 0 }, { key = "sk-two", balance = 1, usage_count = 0 } }, logs = {
    { id = 1, used_key = "sk-two", model = "m", call_time = NOON, input_tokens = 3,
      output_tokens = 4, total_tokens = 7 },
    { id = 2, used_key = "sk-gone", model = "m", call_time = "2026-01-01 20:00:01" } } })
  test.equal(pick(records[1], "wall", "provider", "key", "model", "group", "usage"),
    { NOON, "siliconflow", "k2", "m", "m", { in_fresh = 3, out_total = 4 } })
  test.equal({ records[2].wall, records[2].key, records[2].usage }, { NOON + 1, nil, nil })
end)

local function api(more)
  local call = { id = 1, user_id = 1, type = 2, created_at = NOON, token_name = "t",
    model_name = "alias", quota = 500, prompt_tokens = 3, completion_tokens = 4, channel_id = 1 }
  for name, value in pairs(more.call) do call[name] = value end
  return { channels = { columns = more.columns, { id = 1, name = "low", key = "s", type = 1,
    base_url = "https://a.test", models = "m,alias", model_mapping = '{"alias":"real"}',
    status = 1 } }, abilities = {}, users = { { id = 1 } },
    options = { columns = { "key", "value" } },
    tokens = { { id = 9, user_id = 1, name = "t", key = "k", status = 1, unlimited_quota = 1 } },
    logs = { call, { id = 2, type = 1, created_at = NOON, quota = 9 } } }
end

test("one-api and new-api: quota is money, times are of their own, payments no calls", function()
  local records, plan = carry("one-api", api { call = { elapsed_time = 2500 } })
  test.equal(#records, 1)
  test.equal(pick(records[1], "wall", "seconds", "provider", "target_model", "model", "group",
    "token", "key", "cost_micros"), { NOON - 2.5, 2.5, "low", "real", "alias", "alias", "t", "k1",
    1000 })
  test.match(left_of(plan), "rows of logs that are no calls: 1")
  records = carry("new-api", api { columns = { "auto_ban" }, call = { use_time = 3, token_id = 9,
    token_name = "renamed", channel_id = 5, is_stream = 1, group = "" } })
  test.equal(pick(records[1], "seconds", "target_model", "token", "stream"),
    { 3, "alias", "t", true })
  test.equal(records[1].provider, nil)
end)

-- ------------------------------------------------------------------------------------
-- Once

local function calls(count)
  local list = {}
  for id = 1, count do
    list[id] = { id = id, provider_id = 1, is_success = 1,
      request_timestamp = host.time_text(NOON + id) }
  end
  return list
end

test("a second time goes on behind the mark of the first; a mark of another database is none",
  function()
    local journal = import_journal.new()
    local function run(list)
      local before = #journal.records
      local _, _, done = carry("niceapi", nice(list), journal)
      return { #journal.records - before, done.there[1], journal.there }
    end
    test.equal(run(calls(5)), { 5, nil, 0 })
    test.equal(journal.marks_there["import/niceapi/5"], journal.records[5].uuid)
    test.equal(run(calls(5)), { 0, "5 rows of call_logs, of an earlier import", 0 })
    test.equal(run(calls(7)), { 2, "5 rows of call_logs, of an earlier import", 0 })
    test.equal(journal.marks_there, { ["import/niceapi/7"] = journal.records[7].uuid })
    local other = calls(9)
    for _, one in ipairs(other) do one.request_timestamp = host.time_text(NOON - one.id) end
    test.equal(run(other), { 9, nil, 0 })
    test.equal(run(calls(7)), { 0, "7 rows of call_logs, of an earlier import", 0 })
    -- Without a mark each row is looked for by its id.
    journal.marks_there = {}
    test.equal(run(calls(7)), { 0, "7 rows of call_logs, of an earlier import", 7 })
  end)

test("no mark stands behind a row that is too young", function()
  local journal = import_journal.new(NOON + 3)
  local list = calls(5)
  list[5].request_timestamp = host.time_text(NOON)
  local records, plan = carry("niceapi", nice(list), journal)
  test.equal(#records, 3)
  test.match(left_of(plan), "of the last minute, or of the future: 2: import again later")
  test.equal(journal.marks_there, { ["import/niceapi/2"] = records[2].uuid })
end)

test("a journal that fails ends the import, and says that it is to be run again", function()
  local journal = import_journal.new()
  journal.failure = "the disk is full"
  local is_done, raised = pcall(carry, "niceapi", nice(calls(1)), journal)
  test.equal(is_done, false)
  test.match(source.problem(raised), "the disk is full; run it again")
end)
