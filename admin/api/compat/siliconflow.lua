--- admin.api.compat.siliconflow: the paths of SiliconFlow API Proxy, whose clients manage one pool
--- of keys.
---
--- The pool is the keys of the provider "siliconflow", or of the first one at SiliconFlow's own
--- address; the first import makes one. Keys are never shown whole but by /export_keys, nothing is
--- removed because a check failed, and all of it needs a login.

local account = require "admin.api.account"
local auth = require "admin.api.auth"
local balance_refresh = require "neap.jobs.balance_refresh"
local change = require "admin.api.change"
local key_import = require "neap.key_import"
local host = require "neap.host"
local job = require "admin.api.job"
local journal = require "admin.api.compat.journal"
local json = require "neap.json"
local keys = require "admin.api.compat.keys"
local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local settings = require "admin.api.settings"

local NAME, URL = "siliconflow", "https://api.siliconflow.cn/v1"
local PAGE_SIZE = 10
local TOP = 10              -- models of a chart
local CHUNK = 1000          -- keys that one transaction stores
local CLEARED = "compat/siliconflow/cleared"

-- ------------------------------------------------------------------------------------
-- The pool

local function is_own_host(url)
  local name = url:match("^%a[%w+.-]*://([^/:]+)")
  return name == "api.siliconflow.cn" or name == "api.siliconflow.com"
end

--- The pool's provider, and the catalog's; nil where there is none.
local function find_provider()
  local provider, known = keys.provider(NAME)
  if provider then return provider, known end
  local configuration = router.loaded()
  for _, one in ipairs(configuration and configuration.providers or {}) do
    if is_own_host(one.url) then return keys.provider(one.name) end
  end
end

local function pool()
  local provider, known = find_provider()
  return provider and keys.of(provider.name) or {}, provider, known
end

local function sum_of(list)
  local total = 0
  for _, key in ipairs(list) do total = total + math.max(0, key.balance or 0) end
  return total
end

local function is_enabled(key) return not key.is_off and key.health:state() ~= "disabled" end

local function view(key)
  return json.object { id = key.id, key = key.shown, add_time = math.floor(key.added),
    balance = key.balance or 0, usage_count = key.health:view().uses,
    enabled = is_enabled(key) and 1 or 0 }
end

local SORTS = {
  add_time = function(key) return key.added end,
  balance = function(key) return key.balance or 0 end,
  usage_count = function(key) return key.health:view().uses end,
}

local function list_keys(of)
  local list, value_of = pool(), SORTS[of.query.sort_field]
  local is_descending, values = of.query.sort_order == "desc", {}
  for _, key in ipairs(list) do values[key] = value_of(key) end
  table.sort(list, function(a, b)
    local x, y = values[a], values[b]
    if x == y then return a.id < b.id end
    if is_descending then return x > y end
    return x < y
  end)
  local items, first = json.array {}, (of.query.page - 1) * PAGE_SIZE
  for index = first + 1, math.min(#list, first + PAGE_SIZE) do
    items[#items + 1] = view(list[index])
  end
  return 200, json.object { keys = items, total = #list, page = of.query.page,
    page_size = PAGE_SIZE }
end

local function require_key(text)
  local list, provider, known = pool()
  local key = keys.find(list, text)
  if not key then problem.not_found("key like this in the pool") end
  return key, provider, known
end

local function show_key(of)
  local shown = view(require_key(of.query.key))
  return 200, json.object { id = shown.id, key = shown.key, balance = shown.balance,
    usage_count = shown.usage_count, add_time = shown.add_time }
end

-- ------------------------------------------------------------------------------------
-- Import and export

--- The paste, read beside what the pool has.
local function read_paste(of, list)
  local known = {}
  for _, key in ipairs(list) do known[key.secret] = key.id end
  local import, why = key_import.read(of.body.keys, {
    known = function(secret) return known[secret] end,
    pause = function() host.sleep(0) end })
  if not import then problem.raise(400, "invalid", why, { field = "/keys" }) end
  return import
end

--- Adds to ops the provider of a first import.
local function add_provider(ops)
  local now = host.wall()
  ops[#ops + 1] = { "expect", "config", "provider/" .. NAME, nil }
  ops[#ops + 1] = { "put", "config", "provider/" .. NAME, json.object { version = 1,
    created = now, updated = now, dialect = "openai", url = URL, models = json.object {} } }
end

--- Stores the keys that passed, in transactions of a bounded size, and has them in force.
local function store_keys(of, name, ops, good)
  local entry = { action = "import", object = "provider/" .. name, after = json.object {
    count = #good } }
  for index, one in ipairs(good) do
    keys.add(ops, name, one.secret)
    if index % CHUNK == 0 and index < #good then
      change.commit(of, ops, entry)
      ops = {}
    end
  end
  change.configure(of, ops, entry)
end

local function note_balances(name, good, verdicts)
  for _, one in ipairs(good) do
    if verdicts[one] and verdicts[one].balance then
      host.health("key\0" .. name .. "\0" .. host.digest(one.secret))
        :set_balance(verdicts[one].balance)
    end
  end
end

--- A key that its provider refuses, or on which nothing is left, is none of the pool's; one about
--- which nothing could be learnt comes in.
local function is_worthless(verdict) return verdict.state == "refused" or verdict.is_spent end

local function import_keys(of)
  local list, provider, known = pool()
  local import, ops = read_paste(of, list), {}
  local name = provider and provider.name or NAME
  if not provider then
    auth.check_scope(of.who, "write")
    add_provider(ops)
  end
  local good, verdicts, bad = {}, {}, import.counts.malformed or 0
  keys.ask(known or { name = NAME, url = URL, dialect = "openai" }, import.fresh,
    function(one, verdict) verdicts[one] = verdict end)
  for _, one in ipairs(import.fresh) do
    if is_worthless(verdicts[one]) then bad = bad + 1 else good[#good + 1] = one end
  end
  if good[1] then store_keys(of, name, ops, good) end
  note_balances(name, good, verdicts)
  local repeated = (import.counts.repeated or 0) + (import.counts.known or 0)
  return 200, json.object { message = ("导入成功 %d 个，有重复 %d 个，无效 %d 个")
    :format(#good, repeated, bad) }
end

--- Keys leave whole for a person only, who enters his password again.
local function export_keys(of)
  local password = of.handle:header("x-neap-password")
  if not password then
    problem.raise(400, "password_needed", "enter the password again, in X-Neap-Password",
      { field = "X-Neap-Password" })
  end
  account.check_again(of, password)
  local list, lines = pool(), {}
  for index, key in ipairs(list) do lines[index] = key.secret .. "\n" end
  change.commit(of, {}, { action = "export", object = "keys", after = json.object {
    count = #list } })
  return 200, reply.raw("text/plain; charset=utf-8", table.concat(lines)),
    { "content-disposition", 'attachment; filename="keys.txt"' }
end

-- ------------------------------------------------------------------------------------
-- Refresh

local function refuse_without_provider(known)
  if not known then
    problem.raise(409, "no_provider", "there is no provider of a pool: import keys first")
  end
end

local function refresh(of)
  local list, _, known = pool()
  if not list[1] then return 200, json.object { message = "没有可用的KEY" } end
  refuse_without_provider(known)
  local counts = keys.refresh(known, list)
  change.commit(of, {}, { action = "refresh", object = "provider/" .. known.name })
  return 200, json.object { message = ("刷新完成，共检查 %d 个，有效 %d 个，停用 %d 个，移除 0 个")
    :format(#list, counts.good or 0, counts.refused or 0) }
end

local function refresh_key(of)
  local key, provider, known = require_key(of.body.key)
  refuse_without_provider(known)
  local _, verdicts = keys.refresh(known, { key })
  change.commit(of, {}, { action = "refresh", object = ("key/%s/%s"):format(provider.name,
    key.id) })
  local verdict = verdicts[1]
  if verdict.state ~= "good" then
    problem.raise(400, "not_good", "the key stays in the pool: " .. verdict.why)
  end
  return 200, json.object { message = "刷新成功", balance = verdict.balance or key.balance or 0 }
end

--- The pool's job: its state is the process's, so that this one knows what another has begun.
local function job_of(known)
  if not known then return nil end
  local jobs, name = job.jobs(), balance_refresh.name_of(known.name)
  return jobs, jobs:view(name), name
end

local function restart(of)
  local _, known = find_provider()
  local jobs, view_of_job, name = job_of(known)
  if not view_of_job then return 200, json.object { message = "自动刷新未启用", success = false } end
  local is_begun = jobs:run(name)
  change.commit(of, {}, { action = "run", object = "job/" .. name })
  return 200, json.object { success = true,
    message = is_begun and "自动刷新任务已重启" or "自动刷新任务正在运行" }
end

-- ------------------------------------------------------------------------------------
-- Logs

local function text_or(value, instead) return value ~= json.null and value or instead end

--- How keys are shown, by their ids.
local function shown_keys()
  local shown = {}
  for _, key in ipairs((pool())) do shown[key.id] = key.shown end
  return shown
end

local function log_view(record, shown)
  local id = text_or(record.key, "")
  return json.object { api_key = shown[id] or id,
    model = text_or(record.target_model, nil) or text_or(record.model, ""),
    call_time = record.start_us / 1e6, input_tokens = journal.tokens_in(record.usage),
    output_tokens = journal.tokens_out(record.usage), total_tokens = journal.tokens(record.usage) }
end

local function names_model(part)
  local folded = host.fold(part)
  return function(record)
    for _, name in ipairs { text_or(record.model, ""), text_or(record.target_model, "") } do
      if host.fold(name):find(folded, 1, true) then return true end
    end
    return false
  end
end

local function list_logs(of)
  local cleared = rows.get("objects", CLEARED)
  local filter, part = { from = cleared and cleared.at }, of.query.model
  if part == "" then part = nil end
  filter.text = part
  local records, total = journal.slice(filter, (of.query.page - 1) * PAGE_SIZE, PAGE_SIZE,
    { is_counted = true, passes = part and names_model(part) })
  local logs, shown = json.array {}, shown_keys()
  for index, record in ipairs(records) do logs[index] = log_view(record, shown) end
  return 200, json.object { logs = logs, total = total, page = of.query.page,
    page_size = PAGE_SIZE }
end

--- What is recorded goes by its own age; this list begins anew.
local function clear_logs(of)
  change.commit(of, { { "put", "objects", CLEARED, json.object { at = host.wall() } } },
    { action = "clear", object = "logs" })
  return 200, json.object { message = "日志已清空" }
end

-- ------------------------------------------------------------------------------------
-- Statistics

local function overview()
  local list, sums = pool(), journal.sums()
  return 200, json.object { key_count = #list, total_balance = sum_of(list),
    total_calls = sums.requests, total_tokens = sums.usage.total }
end

--- The sums of the spans between the edges, as the charts want them.
local function chart(edges, labels)
  local series, charts = journal.series(edges), json.object { labels = json.array(labels),
    calls = json.array {}, input_tokens = json.array {}, output_tokens = json.array {},
    model_labels = json.array {}, model_tokens = json.array {} }
  for index = 1, #labels do
    local sums = series[index]
    charts.calls[index] = sums and sums.requests or 0
    charts.input_tokens[index] = sums and journal.tokens_in(sums.usage) or 0
    charts.output_tokens[index] = sums and journal.tokens_out(sums.usage) or 0
  end
  for _, one in ipairs(journal.breakdown("model", { from = edges[1], till = edges[#edges],
    order = "tokens", top = TOP })) do
    if one.usage.total > 0 then
      charts.model_labels[#charts.model_labels + 1] = one.value
      charts.model_tokens[#charts.model_tokens + 1] = one.usage.total
    end
  end
  return 200, charts
end

local function daily(of)
  local labels = {}
  for hour = 0, 23 do labels[hour + 1] = tostring(hour) end
  return chart(journal.hours((settings.zone(of)), host.wall()), labels)
end

local function monthly(of)
  local edges, labels = journal.days_of_month((settings.zone(of)), host.wall()), {}
  for day = 1, #edges - 1 do labels[day] = tostring(day) end
  return chart(edges, labels)
end

-- ------------------------------------------------------------------------------------
-- Health

local siliconflow = {}

--- What the refreshes came to, as it counts them; none ever removes a key.
local function batch_view(figures)
  return json.object { processed = figures.processed, updated = figures.updated, removed = 0,
    errors = figures.failed, processing_time = figures.seconds, timestamp = figures.ended }
end

local function performance_view(figures)
  local good = figures.processed - figures.failed
  return json.object { total_keys_processed = figures.processed,
    total_keys_updated = figures.updated, total_keys_removed = 0,
    average_processing_time = figures.seconds,
    success_rate = figures.processed > 0 and good / figures.processed * 100 or 0 }
end

local NOTHING = { processed = 0, updated = 0, failed = 0, seconds = 0 }

local function refresh_view(known)
  local _, one = job_of(known)
  local last, figures = one and one.last, known and balance_refresh.figures(known.name)
  return json.object { enabled = one ~= nil and one.every > 0, running = one ~= nil and one.running,
    last_run_time = last and last.started or 0, run_count = one and one.runs or 0,
    error_count = one and one.failures or 0,
    last_error = last and last.outcome ~= "ok" and last.text or json.null,
    performance = performance_view(figures or NOTHING),
    last_batch = figures and batch_view(figures.last) or json.null,
    time_since_last_run = last and host.wall() - last.started or json.null,
    next_run_in = one and one.next and math.max(0, one.next - host.wall()) or json.null }
end

--- Adds to what /health says: to strangers whether there is any key, to others what of it.
function siliconflow.add_health(of, document)
  local provider, known = find_provider()
  document.api_keys = provider and provider.keys[1] and "available" or "unavailable"
  if not auth.find(of) then return end
  document.api_keys_count = provider and #provider.keys or 0
  document.auto_refresh = refresh_view(known)
end

local count = { type = "integer", minimum = 0 }
local number = { type = "number" }
local maybe = { type = { "number", "null" } }

siliconflow.health_properties = {
  api_keys = { enum = { "available", "unavailable" } },
  api_keys_count = { type = "integer", minimum = 0, description = "After a login only." },
  auto_refresh = schema.object({ enabled = { type = "boolean" }, running = { type = "boolean" },
    last_run_time = number, run_count = count, error_count = count,
    last_error = { type = { "string", "null" } }, time_since_last_run = maybe,
    performance = schema.object({ total_keys_processed = count, total_keys_updated = count,
      total_keys_removed = count, average_processing_time = number, success_rate = number }),
    last_batch = schema.nullable(schema.object({ processed = count, updated = count,
      removed = count, errors = count, processing_time = number, timestamp = number })),
    next_run_in = maybe }, { "enabled", "running", "run_count" }),
}

-- ------------------------------------------------------------------------------------

local message = schema.object({ message = { type = "string" } }, { "message" })
local page = { type = "integer", minimum = 1, maximum = 1000000, default = 1 }
local shown = { id = { type = "string" }, key = { type = "string", description = "Masked." },
  add_time = { type = "integer" }, balance = number, usage_count = count }
local listed = { enabled = { enum = { 0, 1 } } }
for name, one in pairs(shown) do listed[name] = one end
local counts = { type = "array", items = count }
local texts = { type = "array", items = { type = "string" } }
local charts = schema.named("Charts", schema.object({ labels = texts, calls = counts,
  input_tokens = counts, output_tokens = counts, model_labels = texts, model_tokens = counts },
  { "labels", "calls", "input_tokens", "output_tokens", "model_labels", "model_tokens" }))
local one_key = { type = "string", minLength = 1, maxLength = 600,
  description = "The key, or as it is shown, or its id." }

local function op(given)
  given.tag, given.is_compat = "compat", true
  return given
end

siliconflow.operations = {
  op { id = "siliconflow_import_keys", method = "POST", path = "/import_keys", scope = "keys",
    summary = "Import keys, one per line (the first: and scope write)", errors = { 409 },
    run = import_keys,
    body = schema.object({ keys = { type = "string" } }, { "keys" }),
    responses = { { 200, "How many came in.", message } } },
  op { id = "siliconflow_refresh", method = "POST", path = "/refresh", scope = "write",
    summary = "Ask about all keys of the pool", errors = { 409 }, run = refresh,
    responses = { { 200, "What came of it; none is removed.", message } } },
  op { id = "siliconflow_export_keys", method = "GET", path = "/export_keys", scope = "session",
    summary = "All keys of the pool, one per line", has_effect = true, errors = { 429, 507 },
    description = "The password again in the header X-Neap-Password.",
    run = export_keys,
    responses = { { 200, "The keys.", { type = "string" }, "text/plain; charset=utf-8" } } },
  op { id = "siliconflow_list_keys", method = "GET", path = "/api/keys", scope = "read",
    summary = "The pool's keys, masked, in pages of 10", run = list_keys,
    query = { page = page,
      sort_field = { enum = { "add_time", "balance", "usage_count" }, type = "string",
        default = "add_time" },
      sort_order = { enum = { "desc", "asc" }, type = "string", default = "desc" } },
    responses = { { 200, "A page.", schema.object({ keys = { type = "array",
      items = schema.object(listed, { "id", "key", "add_time", "balance", "usage_count",
        "enabled" }) }, total = count, page = count, page_size = count },
      { "keys", "total", "page", "page_size" }) } } },
  op { id = "siliconflow_refresh_key", method = "POST", path = "/api/refresh_key",
    scope = "write", summary = "Ask about one key", errors = { 404, 409 }, run = refresh_key,
    body = schema.object({ key = one_key }, { "key" }),
    responses = { { 200, "It is good.", schema.object({ message = { type = "string" },
      balance = number }, { "message", "balance" }) } } },
  op { id = "siliconflow_get_key", method = "GET", path = "/api/key_info", scope = "read",
    summary = "One key", errors = { 404, 409 }, run = show_key,
    query = { key = { type = "string", minLength = 1, maxLength = 600, is_required = true,
      description = one_key.description } },
    responses = { { 200, "The key, masked.", schema.object(shown, { "key", "balance",
      "usage_count", "add_time" }) } } },
  op { id = "siliconflow_restart_refresh", method = "POST", path = "/admin/restart_auto_refresh",
    scope = "write", summary = "Run the refresh now", run = restart,
    responses = { { 200, "Whether it runs.", schema.object({ message = { type = "string" },
      success = { type = "boolean" } }, { "message", "success" }) } } },
  op { id = "siliconflow_list_logs", method = "GET", path = "/logs", scope = "read",
    summary = "Requests, the newest first, in pages of 10", run = list_logs,
    query = { page = page, model = { type = "string", maxLength = 200,
      description = "A part of the model's name." } },
    responses = { { 200, "A page.", schema.object({ logs = { type = "array",
      items = schema.object({ api_key = { type = "string", description = "Masked; of another "
          .. "provider its id." },
        model = { type = "string" }, call_time = number, input_tokens = count,
        output_tokens = count, total_tokens = count }, { "api_key", "model", "call_time",
        "input_tokens", "output_tokens", "total_tokens" }) },
      total = count, page = count, page_size = count },
      { "logs", "total", "page", "page_size" }) } } },
  op { id = "siliconflow_clear_logs", method = "POST", path = "/clear_logs", scope = "write",
    summary = "Begin the list of /logs anew", run = clear_logs,
    responses = { { 200, "It begins anew; what is recorded stays.", message } } },
  op { id = "siliconflow_overview", method = "GET", path = "/api/stats/overview", scope = "read",
    summary = "Keys, balance, calls and tokens", run = overview,
    responses = { { 200, "The sums.", schema.object({ key_count = count, total_balance = number,
      total_calls = count, total_tokens = count },
      { "key_count", "total_balance", "total_calls", "total_tokens" }) } } },
  op { id = "siliconflow_daily", method = "GET", path = "/api/stats/daily", scope = "read",
    summary = "Today by hours", query = { zone = settings.zone_query }, run = daily,
    responses = { { 200, "24 hours of the local day.", charts } } },
  op { id = "siliconflow_monthly", method = "GET", path = "/api/stats/monthly", scope = "read",
    summary = "This month by days", query = { zone = settings.zone_query }, run = monthly,
    responses = { { 200, "The days of the local month.", charts } } },
}

return siliconflow
