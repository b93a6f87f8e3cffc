--- admin.api.compat.niceapi_more: the /api paths of NiceAPI for logs, charts, moving providers from
--- afar, and imports of models.
---
--- A log is a request with all its attempts, not an attempt, and its id is a text. What was open to
--- anybody who had a client's key needs a login; the key only narrows what is shown. An import
--- switches nothing off.

local auth = require "admin.api.auth"
local catalog = require "neap.catalog"
local draft = require "admin.api.compat.draft"
local host = require "neap.host"
local ids = require "admin.api.compat.ids"
local journal = require "admin.api.compat.journal"
local json = require "neap.json"
local model_filter = require "neap.model_filter"
local niceapi = require "admin.api.compat.niceapi"
local niceapi_groups = require "admin.api.compat.niceapi_groups"
local problem = require "admin.api.problem"
local provider_models = require "neap.provider_models"
local reply = require "admin.api.reply"
local router = require "neap.router"
local schema = require "admin.api.schema"
local settings = require "admin.api.settings"
local targets = require "admin.api.compat.targets"

local DAYS = 7
local TOP = 20 -- models and endpoints of a chart

-- ------------------------------------------------------------------------------------
-- Logs

--- Of a record that was carried over, what the old log said of its failure, which is among the
--- details. Waits.
local function with_error(record)
  if record.origin ~= "import" or not record.details then return record end
  return record.error ~= nil and record or journal.record(record.id) or record
end

local function error_of(record)
  if record.origin == "import" and type(record.error) == "string" then return record.error end
  for index = #record.attempts, 1, -1 do
    local failure = record.attempts[index].failure
    if failure ~= json.null then return failure end
  end
  return record.outcome ~= "ok" and record.outcome or json.null
end

local function view_maker()
  local views, token_ids = {}, ids.of("token", {})
  for _, one in ipairs(niceapi.providers()) do views[one.target.name] = one.view end
  return function(record)
    local has_target = record.provider ~= json.null and record.target_model ~= json.null
    local provider = has_target and views[targets.name(record.provider, record.target_model)]
    local token = token_ids[record.token]
    local start, usage = record.start_us / 1e6, record.usage
    return json.object { id = record.id, provider_id = provider and provider.id or json.null,
      provider = provider or json.null, api_key_id = token and token.id or json.null,
      api_key = token and json.object { id = token.id, name = record.token } or json.null,
      request_timestamp = host.time_text(start),
      response_timestamp = host.time_text(start + record.ms / 1e3),
      is_success = record.outcome == "ok", status_code = record.status,
      response_time_ms = record.ms, error_message = error_of(record),
      prompt_tokens = journal.tokens_in(usage), completion_tokens = journal.tokens_out(usage),
      total_tokens = journal.tokens(usage),
      cost = record.cost_micros ~= json.null and record.cost_micros / 1e6 or json.null }
  end
end

local function list_logs(of)
  local wanted, filter = of.query.filter_success, {}
  if wanted == true then filter.outcome = "ok" end
  local passes = wanted == false and function(record) return record.outcome ~= "ok" end or nil
  local records, total = journal.slice(filter, of.query.skip, of.query.limit,
    { is_counted = true, passes = passes })
  local items, view = json.array {}, view_maker()
  for index, record in ipairs(records) do
    items[index] = view(with_error(record))
  end
  return 200, json.object { items = items, total = total }
end

local function show_log(of)
  local record = journal.record(of.params.log)
  if not record then problem.not_found("log with this id") end
  local view = view_maker()(with_error(record))
  for _, part in ipairs { "request", "response" } do
    view[part .. "_body"] = journal.body(of, of.params.log, part) or json.null
  end
  return 200, view
end

-- ------------------------------------------------------------------------------------
-- Charts

local function round(value, digits)
  local factor = 10 ^ digits
  return math.floor(value * factor + 0.5) / factor
end

local function or_zero(value) return value ~= json.null and value or 0 end

local function host_of(provider)
  return provider and provider.url:match("^%a[%w+.-]*://([^/]+)") or "?"
end

--- Sums of providers by the host of their address.
local function endpoints()
  local order, by_host, providers = {}, {}, {}
  for _, provider in ipairs(draft.in_force("provider")) do providers[provider.name] = provider end
  for _, one in ipairs(journal.breakdown("provider")) do
    local name = providers[one.value] and host_of(providers[one.value]) or one.value
    local sum = by_host[name]
    if not sum then
      sum = { name = name, requests = 0, ok = 0, ms = 0 }
      by_host[name], order[#order + 1] = sum, sum
    end
    sum.requests, sum.ok = sum.requests + one.requests, sum.ok + one.ok
    sum.ms = sum.ms + or_zero(one.ms.average) * one.requests
  end
  return order
end

local function endpoint_chart()
  local chart = json.object { names = json.array {}, success_rates = json.array {},
    avg_times = json.array {}, total_calls = json.array {} }
  for index, one in ipairs(endpoints()) do
    if index > TOP then break end
    local count = math.max(one.requests, 1)
    chart.names[index], chart.total_calls[index] = one.name, one.requests
    chart.success_rates[index] = round(one.ok / count * 100, 0)
    chart.avg_times[index] = round(one.ms / count, 0)
  end
  return chart
end

local function day_chart(of)
  local edges, dates = journal.last_days((settings.zone(of)), host.wall(), DAYS)
  local series, values = journal.series(edges), json.array {}
  for day = 1, DAYS do values[day] = series[day] and series[day].requests or 0 end
  return json.object { dates = json.array(dates), values = values }
end

local function show_charts(of)
  local sums, models = journal.sums(), json.array {}
  local times = json.object { names = json.array {}, avg_times = json.array {} }
  local costs = json.object { names = json.array {}, values = json.array {} }
  for index, one in ipairs(journal.breakdown("model", { top = TOP })) do
    models[index] = json.object { name = one.value, value = one.requests }
    times.names[index], times.avg_times[index] = one.value, round(or_zero(one.ms.average), 0)
    if one.cost_micros > 0 then
      costs.names[#costs.names + 1] = one.value
      costs.values[#costs.values + 1] = round(one.cost_micros / 1e6, 4)
    end
  end
  return 200, json.object {
    summary = json.object { total_calls = sums.requests, total_tokens = sums.usage.total,
      success_rate = round(or_zero(sums.success_rate) * 100, 1),
      api_keys = #draft.in_force("token"), total_cost = round(sums.cost_micros / 1e6, 4) },
    model_distribution = models, daily_calls = day_chart(of), endpoint_stats = endpoint_chart(),
    model_stats = times, cost_stats = costs,
  }
end

-- ------------------------------------------------------------------------------------
-- What goes on

--- How many requests a provider answers right now.
local function in_flight(target)
  return host.health(catalog.target_health(target.provider.name, target.model)):in_flight()
end

local function show_status()
  local groups, models, links, calls = json.array {}, json.array {}, json.array {}, {}
  for index, one in ipairs(niceapi.providers()) do
    calls[one.view.id] = in_flight(one.target)
    models[index] = json.object { id = one.view.id, provider = one.view.name,
      model = one.view.model, api_endpoint = one.view.api_endpoint }
  end
  for index, group in ipairs(niceapi_groups.all()) do
    groups[index] = json.object { id = group.id, name = group.name }
    for _, member in ipairs(group.providers) do
      links[#links + 1] = json.object { provider_id = member.id, group_id = group.id,
        active_calls = calls[member.id] }
    end
  end
  return 200, json.object { Groups = groups, Models = models, Association = links }
end

-- ------------------------------------------------------------------------------------
-- Moving providers

--- The groups that a client's key may use, as a set; nil without a key, and where it may use all.
local function groups_of_key(secret)
  if not secret then return nil end
  local _, known = router.loaded()
  local token = known and known.tokens[host.digest(secret)]
  if not token then problem.not_found("key like this") end
  if not token.groups and not token.providers then return nil end
  return token.groups or {}
end

local function show_remote(of)
  local allowed, list = groups_of_key(of.query.api_key), json.array {}
  for _, group in ipairs(niceapi_groups.all()) do
    if not allowed or allowed[group.name] then list[#list + 1] = group end
  end
  return 200, list
end

--- The group of the query; 403 where the key that came with it may not use it.
local function group_of_query(of)
  local allowed = groups_of_key(of.query.api_key)
  local group = niceapi_groups.one(of.query.group_id)
  if allowed and not allowed[group.name] then
    problem.raise(403, "forbidden", "the key may not use this group")
  end
  return group
end

--- Gives the group's providers the priorities 1, 2, 3 … in this order. None comes in: those that
--- are not named follow.
local function reorder(of, group, first)
  local is_member, is_named, members = {}, {}, {}
  for _, one in ipairs(group.providers) do is_member[one.id] = true end
  local function add(id)
    if is_named[id] then return end
    is_named[id] = true
    members[#members + 1] = { id = id, priority = #members + 1 }
  end
  for _, id in ipairs(first) do
    if not is_member[id] then
      problem.raise(422, "invalid", ("the provider %d is not in the group"):format(id))
    end
    add(id)
  end
  for _, one in ipairs(group.providers) do add(one.id) end
  niceapi_groups.replace_members(of, group, members)
  return niceapi_groups.answer(group.id)
end

local function move_to_top(of)
  return reorder(of, group_of_query(of), { of.query.provider_id })
end

local function update_order(of) return reorder(of, group_of_query(of), of.body) end

-- ------------------------------------------------------------------------------------
-- Imports

local function base_of(url) return (url:gsub("%s", ""):gsub("/+$", ""):gsub("/v1$", "")) end

--- The base of the URL that was given; raises 422 where that is none.
local function checked_base(url)
  local base = base_of(url)
  local _, trouble = schema.check({ type = "string", format = "uri" }, base)
  if not trouble then return base end
  problem.raise(422, "invalid", "/base_url " .. trouble, { field = "/base_url" })
end

local function filter_of(body)
  local keyword = niceapi.given(body.filter_keyword)
  local mode = niceapi.given(body.filter_mode)
  if not keyword or keyword == "" or not mode or mode == "None" then return nil end
  return { [mode == "Include" and "include" or "exclude"] = { keyword } }
end

--- The names of those that an import adds, where it gives them one: the alias, and the last part of
--- the model's. Waits.
local function note_labels(made, provider, models, alias)
  local names = {}
  for index, model in ipairs(models) do names[index] = targets.name(provider, model) end
  local noted = ids.of("target", names)
  for index, model in ipairs(models) do
    local one = noted[names[index]]
    one.label = ("%s.%s"):format(alias, model:match("[^/]*$"))
    ids.note(made.ops, "target", names[index], one)
  end
end

--- Asks for the models, and adds those that are new: how many there were, and were added.
local function import(of)
  auth.check_scope(of.who, "keys")
  local body, made = of.body, draft.new()
  local prices = body.default_type == "per_call" and { call = 0 } or {}
  local base, configuration = checked_base(body.base_url), router.loaded()
  local source = { dialect = "openai", url = base .. "/v1",
    options = { private = configuration ~= nil and configuration.private_upstreams == true } }
  local listed, answer = provider_models.list(source, body.api_key)
  if not listed then
    problem.raise(422, "no_models", "the models cannot be listed: " .. tostring(answer.why),
      { field = "/base_url" })
  end
  local provider, known = targets.provider_for(made, base .. "/v1", body.api_key), {}
  for _, one in ipairs(niceapi.providers()) do known[one.target.name] = true end
  local filter, total, added = filter_of(body), 0, {}
  for _, model in ipairs(listed) do
    if model_filter.wants(model.id, filter) then
      total = total + 1
      if not known[targets.name(provider, model.id)] then
        targets.put_model(made, provider, model.id, prices)
        added[#added + 1] = model.id
      end
    end
  end
  local alias = niceapi.given(body.alias)
  if alias and alias ~= "" then note_labels(made, provider, added, alias) end
  if added[1] then
    made:commit(of, { action = "import", object = "provider/" .. provider,
      after = json.object { count = #added } })
  end
  return total, #added
end

local function import_models(of)
  local is_done, total, added = pcall(import, of)
  if not is_done then
    local refusal = problem.of(total)
    if not refusal or refusal.status ~= 422 then error(total, 0) end
    return 200, reply.raw("text/event-stream", ("data: ERROR=%s\n\n"):format(refusal.message))
  end
  local lines = { ("data: TOTAL=%d\n\n"):format(total) }
  for index = 1, total do lines[#lines + 1] = ("data: PROGRESS=%d\n\n"):format(index) end
  lines[#lines + 1] = ("data: DONE=%d imported, %d skipped\n\n"):format(added, total - added)
  return 200, reply.raw("text/event-stream", table.concat(lines))
end

local function sync(of)
  local total, added = import(of)
  return 200, json.object { detail = ("%d imported, %d skipped"):format(added, total - added),
    added = added, skipped = total - added }
end

-- ------------------------------------------------------------------------------------
-- Operations

local op, id = niceapi.op, niceapi.id
local number, count = { type = "number" }, { type = "integer", minimum = 0 }
local maybe_text = { type = { "string", "null" } }
local maybe_id = schema.nullable(id)
local names = { type = "array", items = { type = "string" } }
local numbers = { type = "array", items = number }

local log = {
  id = { type = "string" }, provider_id = maybe_id, api_key_id = maybe_id,
  provider = schema.nullable(niceapi.provider_schema),
  api_key = schema.nullable(schema.object({ id = id, name = { type = "string" } })),
  request_timestamp = { type = "string", format = "date-time" },
  response_timestamp = { type = "string", format = "date-time" },
  is_success = { type = "boolean" }, status_code = { type = { "integer", "null" } },
  response_time_ms = count, error_message = maybe_text, prompt_tokens = count,
  completion_tokens = count, total_tokens = count, cost = { type = { "number", "null" } },
}
local LOG = { "id", "is_success", "status_code", "response_time_ms", "total_tokens" }
local detailed = { request_body = maybe_text, response_body = maybe_text }
for name, one in pairs(log) do detailed[name] = one end

local charts = schema.object({
  summary = schema.object({ total_calls = count, success_rate = number, total_tokens = count,
    api_keys = count, total_cost = number }),
  model_distribution = { type = "array", items = schema.object({ name = { type = "string" },
    value = count }) },
  daily_calls = schema.object({ dates = names, values = numbers }),
  endpoint_stats = schema.object({ names = names, success_rates = numbers, avg_times = numbers,
    total_calls = numbers }),
  model_stats = schema.object({ names = names, avg_times = numbers }),
  cost_stats = schema.object({ names = names, values = numbers }),
}, { "summary", "model_distribution", "daily_calls", "endpoint_stats", "model_stats",
  "cost_stats" })

local needed_id = { type = "integer", minimum = 1, maximum = 1e12, is_required = true }
local client_key = { type = "string", minLength = 1, maxLength = 600,
  description = "A client's key: only its groups." }
local text = { type = "string", minLength = 1, maxLength = 600, format = "line" }
local import_body = schema.object({
  base_url = { type = "string", minLength = 1, maxLength = 2000,
    description = "A URL; spaces around it are left out." },
  api_key = text, alias = maybe_text, default_type = { enum = { "per_token", "per_call" } },
  filter_mode = { enum = { "None", "Include", "Exclude", json.null } },
  filter_keyword = maybe_text }, { "base_url", "api_key" })

local operations = {
  op("list_logs", "GET", "/api/logs/", "read", "Requests, the newest first",
    niceapi.items(schema.object(log, LOG)), list_logs,
    { query = niceapi.paging { filter_success = { type = "boolean" } } }),
  op("get_log", "GET", "/api/logs/{log}", "read", "One request, with what is kept of its bodies",
    schema.object(detailed, LOG), show_log,
    { params = { log = { type = "string", format = "id", maxLength = 40 } } }),
  op("dashboard", "GET", "/api/dashboard/stats", "read", "Sums and charts", charts, show_charts,
    { query = { zone = settings.zone_query } }),
  op("status", "GET", "/api/status", "read", "Groups, models, and how many requests each answers",
    schema.object({ Groups = { type = "array", items = schema.object({ id = id, name = text }) },
      Models = { type = "array", items = schema.object({ id = id, provider = text, model = text,
        api_endpoint = text }) },
      Association = { type = "array", items = schema.object({ provider_id = id, group_id = id,
        active_calls = count }) } }, { "Groups", "Models", "Association" }), show_status),
  op("import_models", "POST", "/api/import-models/", "write",
    "Import models, told as events (and scope keys)", { type = "string" }, import_models,
    { body = import_body,
      responses = { { 200, "What was done.", { type = "string" }, "text/event-stream" } } }),
  op("sync", "POST", "/api/providers/sync", "write", "Import models (and scope keys)",
    schema.object({ detail = { type = "string" }, added = count, skipped = count }), sync,
    { body = import_body }),
}

-- Its pages asked with and without the prefix.
for index, front in ipairs { "/api/remote/", "/remote/" } do
  local suffix = index == 1 and "" or "_page"
  operations[#operations + 1] = op("remote_status" .. suffix, "GET", front .. "status", "read",
    "Groups with their providers by priority", { type = "array", items = niceapi_groups.schema },
    show_remote, { errors = { 404 }, query = { api_key = client_key } })
  operations[#operations + 1] = op("move_to_top" .. suffix, "POST", front .. "move-to-top",
    "write", "Make a provider the first of a group", niceapi_groups.schema, move_to_top,
    { errors = { 404, 409, 422 },
      query = { api_key = client_key, group_id = needed_id, provider_id = needed_id } })
  operations[#operations + 1] = op("update_order" .. suffix, "POST", front .. "update-order",
    "write", "Order the providers of a group", niceapi_groups.schema, update_order,
    { errors = { 404, 409 }, query = { api_key = client_key, group_id = needed_id },
      body = { type = "array", items = id, maxItems = 1000 } })
end

return operations
