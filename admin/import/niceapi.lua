--- admin.import.niceapi: the database of NiceAPI (api_server.db), of both of its eras.
---
--- One of its providers is a model at an address with a key; address and key make a provider of
--- neap's. Its numbers are kept, so that scripts that name them go on.

local niceapi = { name = "niceapi", title = "NiceAPI", reads_variables = true }

local logs = require "admin.import.logs"
local source = require "admin.import.source"
local targets = require "admin.api.compat.targets"

local EAST = 8 * 3600 -- it writes the time of Taipei, without saying so

function niceapi.is_own(file)
  if file.kind == "env" then
    return file.variables.JWT_SECRET_KEY ~= nil or (file.variables.DATABASE_URL ~= nil
      and file.variables.ADMIN_USERNAME ~= nil)
  end
  return file.kind == "database" and file:has("api_providers", "api_endpoint", "api_key")
    and file:has("provider_group_association")
end

local STREAMED = "Usage data not available for streaming responses."

-- ------------------------------------------------------------------------------------
-- Providers

local function prices_of(row)
  local one = row.price_per_million_tokens
  if row.type == "per_call" then return { call = one } end
  return { input = row.input_price_per_million_tokens or one,
    output = row.output_price_per_million_tokens or one }
end

local function provider_for(plan, by_place, row)
  local url = targets.url(row.api_endpoint)
  local place = url .. "\n" .. row.api_key
  local provider = by_place[place]
  if not provider then
    provider = plan:provider { wish = url, url = url,
      keys = { { secret = row.api_key, created = nil } } }
    by_place[place] = provider
  end
  return provider
end

local function read_providers(file, plan)
  local by_id, by_place, seen = {}, {}, {}
  local rows = file:read("api_providers", { id = "integer!", name = "text!", api_endpoint = "text!",
    api_key = "text!", model = "text", type = "text", is_active = "flag",
    price_per_million_tokens = "number", input_price_per_million_tokens = "number",
    output_price_per_million_tokens = "number" }, "id")
  for _, row in ipairs(rows) do
    local what = ("provider %d (%s)"):format(row.id, source.shown(row.name))
    row.api_key = row.api_key:match("^%s*(.-)%s*$")
    row.api_endpoint = row.api_endpoint:match("^%s*(.-)%s*$")
    if not row.model or row.model == "" then
      plan:leave(what, "it names no model")
    elseif row.api_key == "" then
      plan:leave(what, "it has no key")
    else
      local provider = provider_for(plan, by_place, row)
      local name = provider.url .. "\n" .. row.api_key .. "\n" .. row.model
      local one = seen[name]
      if one then
        plan:leave(what, ("it is the same endpoint, key and model as provider %d, which stands for "
          .. "both"):format(one.id))
      else
        one = { id = row.id, label = row.name, provider = provider, model = row.model,
          prices = prices_of(row), is_on = row.is_active ~= false, groups = {},
          rank = row.price_per_million_tokens or -math.huge }
        seen[name] = one
        if one.is_on then provider.models[row.model] = one.prices end
      end
      by_id[row.id] = one
    end
  end
  return by_id
end

-- ------------------------------------------------------------------------------------
-- Groups

--- What makes all priorities 0 or more.
local function shift_of(rows)
  local least = 0
  for _, row in ipairs(rows) do least = math.min(least, row.priority or 1) end
  return -least
end

local function join(plan, one, group, priority)
  if one.is_on then
    plan:target(group, { provider = one.provider, model = one.model, priority = priority })
  else
    one.groups[group.name] = priority
  end
end

--- Among equal priorities it went by its one price, unknown ones first; neap goes by the prices of
--- tokens, unknown ones last.
local function price_here(one)
  local prices = one.prices
  if not prices.input and not prices.output then return math.huge end
  return (prices.input or 0) + (prices.output or 0)
end

--- Whether two neighbours of one priority change places.
local function is_reordered(members)
  for _, a in ipairs(members) do
    for _, b in ipairs(members) do
      local is_before = a.one.rank < b.one.rank and price_here(a.one) > price_here(b.one)
      if a.priority == b.priority and is_before then return true end
    end
  end
  return false
end

local function tell_order(plan, members)
  local groups = {}
  for group in pairs(members) do groups[#groups + 1] = group end
  table.sort(groups, function(a, b) return a.name < b.name end)
  for _, group in ipairs(groups) do
    if is_reordered(members[group]) then
      plan:hint(("Group %s: of equal priorities neap tries the cheapest first and those without a "
        .. "price last, which is another order than before: give them priorities."):format(
        group.name))
    end
  end
end

local function read_groups(file, plan, providers)
  local by_id = {}
  for _, row in ipairs(file:read("groups", { id = "integer!", name = "text!" }, "id")) do
    local group = plan:group(row.name)
    by_id[row.id] = group
    plan:number { kind = "group", id = row.id, of = group }
  end
  local rows = file:read("provider_group_association", { provider_id = "integer!",
    group_id = "integer!", priority = "integer" }, "group_id")
  -- The one of a group that goes first stays where two rows are one target.
  table.sort(rows, function(a, b)
    if a.group_id ~= b.group_id then return a.group_id < b.group_id end
    if (a.priority or 1) ~= (b.priority or 1) then return (a.priority or 1) < (b.priority or 1) end
    return a.provider_id < b.provider_id
  end)
  local shift, stray, members = shift_of(rows), 0, {}
  for _, row in ipairs(rows) do
    local one, group = providers[row.provider_id], by_id[row.group_id]
    if one and group then
      local priority = (row.priority or 1) + shift
      join(plan, one, group, priority)
      members[group] = members[group] or {}
      table.insert(members[group], { one = one, priority = priority })
    else
      stray = stray + 1
    end
  end
  plan:leave_count(stray, "members of groups",
    "their provider or group is not there, or not carried over")
  tell_order(plan, members)
  return by_id
end

local function number_providers(plan, providers)
  local noted = {}
  local ids = {}
  for id in pairs(providers) do ids[#ids + 1] = id end
  table.sort(ids)
  for _, id in ipairs(ids) do
    local one = providers[id]
    if not noted[one] then
      noted[one] = true
      plan:number { kind = "target", id = one.id, of = one.provider, model = one.model,
        label = one.label, off = not one.is_on and { prices = one.prices, groups = one.groups }
          or nil }
    end
  end
end

-- ------------------------------------------------------------------------------------
-- Keys of clients, keywords, settings

local function groups_of_keys(file, groups)
  local names = {}
  for _, row in ipairs(file:read("api_key_group_association", { api_key_id = "integer!",
    group_id = "integer!" }, "group_id")) do
    local group = groups[row.group_id]
    names[row.api_key_id] = names[row.api_key_id] or {}
    if group then table.insert(names[row.api_key_id], group.name) end
  end
  return names
end

local function read_keys(file, plan, groups)
  local tokens = {}
  local names = groups_of_keys(file, groups)
  local rows = file:read("api_keys", { id = "integer!", key = "text!", is_active = "flag",
    created_at = "text", name = "text" }, "id")
  for _, row in ipairs(rows) do
    local label = row.name ~= "" and row.name or nil
    if not (names[row.id] and names[row.id][1]) then
      plan:leave(("API key %d (%s)"):format(row.id, source.mask(row.key)),
        "it belongs to no group, so that it could use nothing")
    else
      local token = plan:token { wish = label or ("key-%d"):format(row.id), secret = row.key,
        groups = names[row.id], fields = { label = label,
          created = source.moment(row.created_at, EAST), off = row.is_active == false or nil } }
      plan:number { kind = "token", id = row.id, of = token }
      tokens[row.id] = token
    end
  end
  return tokens
end

local function read_keywords(file, plan)
  local rows = file:read("error_maintenance", { id = "integer!", keyword = "text!",
    description = "text", is_active = "flag" }, "id")
  for _, row in ipairs(rows) do
    if row.keyword == "" then
      plan:leave(("failure keyword %d"):format(row.id), "it is empty")
    else
      local keyword = plan:keyword { text = row.keyword, off = row.is_active == false or nil,
        note = row.description ~= "" and row.description or nil }
      plan:number { kind = "keyword", id = row.id, of = keyword }
    end
  end
end

local SETTINGS = {
  failover_threshold_count = { name = "failure_threshold", factor = 1 },
  failover_threshold_period_minutes = { name = "failure_window", factor = 60 },
}

local function read_settings(file, plan)
  for _, row in ipairs(file:read("settings", { key = "text!", value = "text" }, "key")) do
    local known = SETTINGS[row.key]
    if known then
      local value = source.typed(row.value, "integer!", file.path .. ": settings: " .. row.key)
      plan:set(known.name, value * known.factor, row.key)
    else
      plan:leave("setting " .. source.shown(row.key), "neap has none like it")
    end
  end
end

-- ------------------------------------------------------------------------------------
-- Calls

local CALL = { "provider_id", "api_key_id", "request_timestamp", "is_success", "status_code",
  "response_time_ms", "error_message", "prompt_tokens", "completion_tokens", "total_tokens",
  "cost" }

--- Groups by their providers' numbers: the one, or false where there are several.
local function groups_of_providers(file, groups)
  local of = {}
  for _, row in ipairs(file:read("provider_group_association", { provider_id = "integer!",
    group_id = "integer!" }, "group_id")) do
    local name = groups[row.group_id] and groups[row.group_id].name
    of[row.provider_id] = of[row.provider_id] == nil and name or false
  end
  return of
end

--- One of its rows is an attempt, and a record of its own. What it calls the moment of the request
--- is that of the row, which it writes at the end.
local function read_calls(file, plan, providers, groups, tokens)
  if not file:has("call_logs", "request_timestamp") then
    return plan:leave_count(file:count("call_logs"), "rows of call_logs", "they have no time")
  end
  local group_of, secrets = groups_of_providers(file, groups), {}
  for _, one in pairs(providers) do secrets[one.provider.keys[1].secret] = true end
  for _, token in pairs(tokens) do secrets[token.secret] = true end
  plan:log(logs.of_table(file, { system = "niceapi", name = "call_logs", columns = CALL,
    map = function(row, done)
      local ends = source.moment(row.request_timestamp, EAST)
      if not ends then return nil end
      local one, token = providers[row.provider_id], tokens[row.api_key_id]
      local name = one and one.provider.name
      local keys = name and done.keys[name]
      local group = group_of[row.provider_id]
      local is_ok = row.is_success == 1
      local record = logs.record { ends = ends, is_ok = is_ok,
        seconds = (logs.whole(row.response_time_ms) or 0) / 1e3, provider = name,
        model = one and one.model, key = keys and keys[one.provider.keys[1].secret],
        status = logs.whole(row.status_code) or (is_ok and 200 or 503) }
      record.group = group and done.groups[group] and group or nil
      record.token = token and token.name
      record.usage = logs.usage(row.prompt_tokens, row.completion_tokens, row.total_tokens)
      record.cost_micros = logs.micros(row.cost)
      record.stream = row.error_message == STREAMED
      record.error = not record.stream and logs.error_text(row.error_message, secrets) or nil
      return record
    end }))
end

-- ------------------------------------------------------------------------------------

local VARIABLES = {
  DATABASE_URL = "name the database itself: neap import api_server.db",
  ADMIN_USERNAME = "neap has one account, \"admin\"",
  ADMIN_PASSWORD = "choose another: NEAP_ADMIN_PASSWORD, or the setup link of the first start",
  JWT_SECRET_KEY = "neap's sessions need none",
}

local function fill_from_variables(file, plan)
  for name, why in pairs(VARIABLES) do
    if file.variables[name] then plan:leave(name, why) end
  end
  plan:leave_others(file.variables, VARIABLES)
end

--- Fills the plan with what the file holds.
function niceapi.fill(file, plan)
  if file.kind == "env" then return fill_from_variables(file, plan) end
  local providers = read_providers(file, plan)
  local groups = read_groups(file, plan, providers)
  number_providers(plan, providers)
  local tokens = read_keys(file, plan, groups)
  read_keywords(file, plan)
  read_settings(file, plan)
  read_calls(file, plan, providers, groups, tokens)
  plan:leave_count(file:count("call_log_details"), "bodies of calls (call_log_details)",
    "neap keeps such only where a group says so")
  plan:hint("NiceAPI's paths (/api/…) go on under neap's admin listener, with the old numbers.")
end

return niceapi
