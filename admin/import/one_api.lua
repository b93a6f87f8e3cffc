--- admin.import.one_api: the database of one-api and of new-api, which grew out of it. Their
--- channels are neap's providers, their models are groups with the channels as targets.
---
--- A client of theirs belongs to a user, and the user to a user group that says which channels he
--- reaches by a model's name. neap's groups have one name for all: a model that two user groups
--- have at different channels becomes two groups.

local host = require "neap.host"
local json = require "neap.json"
local logs = require "admin.import.logs"
local services = require "admin.import.services"
local source = require "admin.import.source"

local ENABLED = 1
local DOLLAR_OF_RATIO = 2       -- USD per million tokens that a ratio of 1 stands for
local QUOTA_PER_DOLLAR = 500000 -- unless an option says otherwise
local MAIN = "default"

-- By the numbers of channel types. What is missing has a protocol of its own.
local COMMON = { [1] = "openai", [6] = "any", [7] = "any", [9] = "any", [10] = "any",
  [12] = "any", [13] = "any", [14] = "anthropic", [16] = "zhipu", [17] = "ali", [19] = "ai360",
  [20] = "openrouter", [24] = "gemini", [25] = "moonshot", [31] = "lingyiwanwu" }
local BASES = { [4] = "https://api.closeai-proxy.xyz", [5] = "https://api.openai-sb.com",
  [6] = "https://api.openaimax.com", [7] = "https://api.ohmygpt.com",
  [9] = "https://api.caipacity.com", [10] = "https://api.aiproxy.io",
  [12] = "https://api.api2gpt.com", [13] = "https://api.aigc2d.com" }
local OF_ONE_API = { [4] = "any", [5] = "any", [8] = "any", [26] = "baichuan", [27] = "minimax",
  [28] = "mistral", [29] = "groq", [30] = "ollama", [32] = "stepfun", [35] = "cohere",
  [36] = "deepseek", [39] = "together", [40] = "doubao", [41] = "novita", [44] = "siliconflow",
  [45] = "xai", [47] = "baidu_v2", [48] = "xunfei_v2", [49] = "ali", [50] = "any_below",
  [51] = "any_below" }
local OF_NEW_API = { [4] = "ollama", [8] = "any_exact", [26] = "zhipu", [27] = "perplexity",
  [34] = "cohere", [35] = "minimax", [40] = "siliconflow", [42] = "mistral", [43] = "deepseek",
  [45] = "doubao", [46] = "baidu_v2", [47] = "xinference", [48] = "xai", [53] = "submodel" }

local function is_new(file)
  return file:has("channels", "channel_info") or file:has("channels", "auto_ban")
    or file:has("channels", "tag")
end

local function is_database(file)
  return file.kind == "database" and file:has("channels", "base_url", "models")
    and file:has("tokens", "key")
end

-- ------------------------------------------------------------------------------------
-- Reading

local function list_of(text, separator)
  local list = {}
  for one in (text or ""):gmatch("[^" .. separator .. "]+") do
    one = one:match("^%s*(.-)%s*$")
    if one ~= "" then list[#list + 1] = one end
  end
  return list
end

--- A JSON object in a column, {} where it is empty; what is something else is an error.
local function object_of(text, where)
  if not text or not text:find("%S") or text:find("^%s*null%s*$") then return {} end
  local value = json.decode(text)
  if not json.is_object(value) then source.fail("%s is no JSON object", where) end
  return value
end

local CHANNEL = { id = "integer!", type = "integer!", key = "text", status = "integer",
  name = "text", weight = "number", base_url = "text", balance = "number", models = "text",
  group = "text", model_mapping = "text", priority = "integer", created_time = "integer",
  openai_organization = "text", setting = "text", param_override = "text",
  header_override = "text", channel_info = "text", system_prompt = "text", other = "text",
  status_code_mapping = "text" }

--- What an option holds, by its name: text, or nil.
local function options_of(file)
  local options = {}
  for _, row in ipairs(file:read("options", { key = "text!", value = "text" }, "key")) do
    options[row.key] = row.value
  end
  return options
end

local function ratios_of(file, options, name)
  local ratios = object_of(options[name], ("%s: option %s"):format(file.path, name))
  for model, value in pairs(ratios) do
    if type(value) ~= "number" then
      source.fail("%s: option %s: %s is no number", file.path, name, source.shown(model))
    end
  end
  return ratios
end

--- model → prices of neap's, from their ratios: a ratio of 1 is 2 USD per million tokens.
local function price_list(file, options, plan)
  local input, output, call, cached = ratios_of(file, options, "ModelRatio"),
    ratios_of(file, options, "CompletionRatio"), ratios_of(file, options, "ModelPrice"),
    ratios_of(file, options, "CacheRatio")
  local is_hinted
  return function(model)
    if call[model] then return { call = call[model] } end
    local ratio = input[model]
    if not ratio then return {} end
    if not output[model] and not is_hinted then
      is_hinted = true
      plan:hint("Some models have no completion ratio of their own: their answers count as much as "
        .. "their prompts until you give them a price.")
    end
    local price = ratio * DOLLAR_OF_RATIO
    return { input = price, output = price * (output[model] or 1),
      cached = cached[model] and price * cached[model] or nil }
  end
end

-- ------------------------------------------------------------------------------------
-- Channels

local function keys_of(channel, where)
  local list, off = list_of(channel.key, "\n"), {}
  local info = object_of(channel.channel_info, where .. ": channel_info")
  local states = json.is_object(info.multi_key_status_list) and info.multi_key_status_list or {}
  for place, state in pairs(states) do
    local index = tonumber(place)
    if index and state ~= ENABLED then off[index + 1] = true end
  end
  local keys, is_single = {}, #list == 1
  for index, secret in ipairs(list) do
    keys[index] = { secret = secret, created = channel.created_time,
      -- A balance is the channel's, which is the key's where there is one.
      balance = is_single and (channel.balance or 0) > 0 and channel.balance or nil,
      off = (channel.status ~= ENABLED or off[index]) and true or nil,
      note = channel.status ~= ENABLED and "the channel was disabled" or nil }
  end
  return keys
end

--- More of a provider's fields; what cannot be carried over is told.
local function fields_of(channel, plan, what, where)
  local headers = {}
  for name, value in pairs(object_of(channel.header_override, where .. ": header_override")) do
    if type(value) == "string" and not value:find("{", 1, true) then
      headers[name] = value
    else
      plan:leave(("%s: header %s"):format(what, source.shown(name)), "its value is a template")
    end
  end
  local organization = channel.openai_organization or ""
  if organization ~= "" then headers["OpenAI-Organization"] = organization end
  local proxy = object_of(channel.setting, where .. ": setting").proxy
  for _, name in ipairs { "param_override", "system_prompt", "status_code_mapping" } do
    local value = channel[name] or ""
    if value:find("[^%s{}]") then
      plan:leave(("%s: %s"):format(what, name), "neap sends what the client sent, and the "
        .. "provider's status back; a policy can do this")
    end
  end
  return { headers = next(headers) and json.object(headers) or nil,
    proxy = type(proxy) == "string" and proxy ~= "" and json.array { proxy } or nil }
end

local function add_channel(self, channel)
  local name = channel.name and channel.name ~= "" and channel.name
    or ("channel-%d"):format(channel.id)
  local what = ("channel %d (%s)"):format(channel.id, source.shown(name))
  local where = ("%s: channel %d"):format(self.file.path, channel.id)
  local service = self.types[channel.type]
  local base = channel.base_url ~= "" and channel.base_url or BASES[channel.type]
  local url = service and services.url(service, base)
  if service == "anthropic" and base then service, url = nil, nil end
  if not url or url:find("{", 1, true) then
    return self.plan:leave(what, not service
      and ("type %d has a protocol of its own, or is not for chat"):format(channel.type)
      or not url and "it has no base URL" or "its URL is a template")
  end
  local provider = self.plan:provider { wish = name, url = url,
    keys = keys_of(channel, where),
    fields = fields_of(channel, self.plan, what, where) }
  if not provider.keys[1] and service == "ollama" then provider.fields.keyless = true end
  local mapping = object_of(channel.model_mapping, where .. ": model_mapping")
  local one = { id = channel.id, provider = provider, priority = channel.priority or 0,
    weight = channel.weight or 0, models = {} }
  self.by_id[channel.id] = one
  for _, model in ipairs(list_of(channel.models, ",")) do
    local meant = mapping[model]
    meant = type(meant) == "string" and meant ~= "" and meant or model
    one.models[model] = meant
    provider.models[meant] = self.price(model)
  end
  for _, group in ipairs(list_of(channel.group or MAIN, ",")) do
    self.by_group[group] = self.by_group[group] or {}
    table.insert(self.by_group[group], one)
  end
end

-- ------------------------------------------------------------------------------------
-- Models as groups

--- The channels of each model in a user group: { [model] = { channel, … } }.
local function models_of(channels)
  local models = {}
  for _, one in ipairs(channels) do
    for model in pairs(one.models) do
      models[model] = models[model] or {}
      table.insert(models[model], one)
    end
  end
  return models
end

local function is_same(one, other)
  if not other or #one ~= #other then return false end
  for index, channel in ipairs(one) do
    if channel ~= other[index] then return false end
  end
  return true
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Their greatest priority goes first, neap's least: 1, 2, … .
local function ranks_of(channels)
  local seen, order = {}, {}
  for _, one in ipairs(channels) do
    if not seen[one.priority] then
      seen[one.priority] = true
      order[#order + 1] = one.priority
    end
  end
  table.sort(order, function(a, b) return a > b end)
  local ranks = {}
  for rank, priority in ipairs(order) do ranks[priority] = rank end
  return ranks
end

--- Whether two of the same rank are drawn by chance.
local function is_drawn(channels)
  local seen = {}
  for _, one in ipairs(channels) do
    if seen[one.priority] then return true end
    seen[one.priority] = true
  end
  return false
end

--- A weight of 0 was drawn as well, where all have it.
local function weight_of(channels, one)
  local sum = 0
  for _, other in ipairs(channels) do sum = sum + other.weight end
  return sum == 0 and 1 or one.weight
end

local DRAWN = { "circuit_breaker", json.object { name = "order",
  settings = json.object { by = "weight", keep_priority = true } }, "priority_failover",
  "key_rotation", "keyword_retry" }

local function add_group(self, name, model, channels)
  local group, ranks = self.plan:group(name), ranks_of(channels)
  for _, one in ipairs(channels) do
    self.plan:target(group, { provider = one.provider, model = one.models[model],
      priority = ranks[one.priority], weight = weight_of(channels, one) })
  end
  if is_drawn(channels) then group.fields.policies = json.array { unpack(DRAWN) } end
  if self.attempts then
    group.fields.limits = json.object { attempts = self.attempts }
  end
end

--- Makes the groups, the main user group's first: { [user group] = { [model] = group's name } }.
local function add_groups(self)
  local order = names_of(self.by_group)
  table.sort(order, function(a, b)
    if (a == MAIN) ~= (b == MAIN) then return a == MAIN end
    return a < b
  end)
  local made, names, renamed = {}, {}, {}
  for _, user_group in ipairs(order) do
    names[user_group] = {}
    local models = models_of(self.by_group[user_group])
    for _, model in ipairs(names_of(models)) do
      local name = model
      if made[model] and not is_same(made[model], models[model]) then
        name = user_group .. "/" .. model
        renamed[#renamed + 1] = name
      end
      made[name] = made[name] or models[model]
      names[user_group][model] = name
      add_group(self, name, model, models[model])
    end
  end
  if renamed[1] then
    self.plan:leave(("%d models under one name for several user groups"):format(#renamed),
      "their channels differ, and neap's groups have one name for all: clients of those user "
      .. "groups ask for " .. table.concat(renamed, ", ", 1, math.min(#renamed, 20))
      .. (renamed[21] and ", …" or ""))
  end
  return names
end

-- ------------------------------------------------------------------------------------
-- Tokens

local TOKEN = { id = "integer!", user_id = "integer", key = "text!", status = "integer",
  name = "text", created_time = "integer", expired_time = "integer", remain_quota = "number",
  unlimited_quota = "flag", models = "text", subnet = "text", model_limits_enabled = "flag",
  model_limits = "text", allow_ips = "text", group = "text", deleted_at = "text" }

local function moment_text(seconds)
  return (host.time_text(seconds):gsub("%.%d+Z$", "Z"))
end

local function user_groups(file)
  local groups, off = {}, {}
  for _, row in ipairs(file:read("users", { id = "integer!", group = "text", status = "integer" },
    "id")) do
    groups[row.id] = row.group
    off[row.id] = row.status and row.status ~= ENABLED or nil
  end
  return groups, off
end

--- The groups that a token may use; and those that it names and that are not there.
local function groups_for(names, wanted)
  local list, missing = {}, 0
  if not wanted then
    for _, model in ipairs(names_of(names or {})) do list[#list + 1] = names[model] end
    return list, 0
  end
  for _, model in ipairs(wanted) do
    local name = names and names[model]
    if name then list[#list + 1] = name else missing = missing + 1 end
  end
  return list, missing
end

local STATES = { [2] = "it was disabled", [3] = "it had expired", [4] = "its quota was used up" }

--- Why a token is carried over switched off, or nil.
local function reason_off(row, is_user_off)
  local state = row.status or ENABLED
  if state ~= ENABLED then return STATES[state] or "it was not enabled" end
  if is_user_off then return "its user was disabled" end
  local addresses = (row.subnet or "") .. (row.allow_ips or "")
  if addresses:find("%S") then
    return "it was for some addresses only, which neap's tokens do not know"
  end
end

local function add_token(self, row, names, user_off)
  local is_limited = row.model_limits_enabled or (row.models or "") ~= ""
  local wanted = is_limited and list_of(row.model_limits_enabled and row.model_limits or row.models,
    ",") or nil
  local groups, missing = groups_for(names, wanted)
  local what = ("token %d (%s)"):format(row.id, source.shown(row.name or ""))
  if missing > 0 then
    self.plan:leave(("%s: %d models"):format(what, missing), "no channel that is carried over has "
      .. "them")
  end
  if not groups[1] then
    return self.plan:leave(what, "it could use nothing: no channel of its group is carried over")
  end
  local why = reason_off(row, user_off)
  local is_ending = row.expired_time and row.expired_time > 0
  local wish = (row.name or "") ~= "" and row.name or ("token-%d"):format(row.id)
  self.tokens[row.id] = self.plan:token { wish = wish,
    secret = "sk-" .. row.key:gsub("^sk%-", ""), groups = groups, fields = {
      created = row.created_time, off = why and true or nil, note = why,
      expires = is_ending and moment_text(row.expired_time) or nil } }
  if why then self.plan:leave(what .. " as switched on", why) end
  if row.unlimited_quota == false then self.quota = self.quota + (row.remain_quota or 0) end
end

local function add_tokens(self, names)
  local groups, off = user_groups(self.file)
  self.quota = 0
  for _, row in ipairs(self.file:read("tokens", TOKEN, "id")) do
    if not row.deleted_at then
      local group = (row.group or "") ~= "" and row.group or groups[row.user_id] or MAIN
      add_token(self, row, names[group], off[row.user_id])
    end
  end
  if self.quota > 0 then
    local per_dollar = tonumber(self.options.QuotaPerUnit) or QUOTA_PER_DOLLAR
    self.plan:leave(("quotas of tokens: %.2f USD in all"):format(self.quota / per_dollar),
      "neap limits what is spent in a day or a month, not for ever")
  end
end

-- ------------------------------------------------------------------------------------

local CONSUMED = 2 -- the type of a row that is a call; others are payments and logins
local CALL = { "created_at", "token_name", "token_id", "user_id", "model_name", "quota",
  "prompt_tokens", "completion_tokens", "channel_id", "elapsed_time", "use_time", "is_stream",
  "group" }

--- Tokens by their user and name, for rows that have no number of a token.
local function tokens_by_name(self)
  local by_name = {}
  for _, row in ipairs(self.file:read("tokens", { id = "integer!", user_id = "integer",
    name = "text" }, "id")) do
    by_name[("%s\n%s"):format(row.user_id or "", row.name or "")] = self.tokens[row.id]
  end
  return by_name
end

--- One-api has milliseconds, new-api whole seconds.
local function seconds_of(row)
  return (logs.whole(row.elapsed_time) or 1e3 * (logs.whole(row.use_time) or 0)) / 1e3
end

local function read_calls(self, names)
  local file, by_name = self.file, tokens_by_name(self)
  local per_dollar = tonumber(self.options.QuotaPerUnit) or QUOTA_PER_DOLLAR
  self.plan:log(logs.of_table(file, { system = "one-api", name = "logs", columns = CALL,
    condition = ("type = %d"):format(CONSUMED), map = function(row, done)
      local ends = logs.whole(row.created_at)
      if not ends then return nil end
      local model = type(row.model_name) == "string" and row.model_name ~= "" and row.model_name
        or nil
      local channel = self.by_id[row.channel_id]
      local token = self.tokens[row.token_id]
        or by_name[("%s\n%s"):format(row.user_id or "", row.token_name or "")]
      local group = names[row.group ~= "" and row.group or MAIN] or names[MAIN]
      local keys = channel and channel.provider.keys
      local record = logs.record { ends = ends, seconds = seconds_of(row), is_ok = true,
        status = 200, provider = channel and channel.provider.name,
        model = channel and channel.models[model] or model,
        key = keys and #keys == 1 and (done.keys[channel.provider.name] or {})[keys[1].secret]
          or nil }
      record.model, record.stream = model, row.is_stream == 1
      record.group = group and done.groups[group[model]] and group[model] or nil
      record.token = token and token.name
      record.usage = logs.usage(row.prompt_tokens, row.completion_tokens)
      record.cost_micros = logs.micros((tonumber(row.quota) or 0) / per_dollar)
      return record
    end }))
end

local LEFT_TABLES = {
  redemptions = "neap sells nothing",
  top_ups = "neap sells nothing", midjourneys = "neap has no such tasks",
  tasks = "neap has no such tasks", quota_data = "neap's statistics begin anew",
}
local READ_OPTIONS = { ModelRatio = true, CompletionRatio = true, ModelPrice = true,
  CacheRatio = true, RetryTimes = true, QuotaPerUnit = true }

local function leave_rest(self, names)
  local file, plan = self.file, self.plan
  if file:has("logs", "type", "created_at", "model_name") then
    read_calls(self, names)
    plan:leave_count(file:count_where("logs", ("type <> %d"):format(CONSUMED)),
      "rows of logs that are no calls", "payments, logins and errors")
  else
    plan:leave_count(file:count("logs"), "rows of logs", "columns are missing")
  end
  for name, why in pairs(LEFT_TABLES) do
    plan:leave_count(file:count(name), "rows of " .. name, why)
  end
  plan:leave_count(file:count("users"), "users",
    "neap has tokens and one administrator; the tokens of all users are carried over")
  local others = 0
  for name in pairs(self.options) do
    if not READ_OPTIONS[name] then others = others + 1 end
  end
  plan:leave_count(others, "other options", "they are about the site, its payments and its users")
end

local function fill(file, plan, types)
  local self = { file = file, plan = plan, by_group = {}, by_id = {}, tokens = {},
    types = setmetatable(types, { __index = COMMON }), options = options_of(file) }
  self.price = price_list(file, self.options, plan)
  local retries = source.typed(self.options.RetryTimes, "integer",
    file.path .. ": option RetryTimes")
  self.attempts = retries and retries > 0 and retries + 1 or nil
  for _, channel in ipairs(file:read("channels", CHANNEL, "id")) do add_channel(self, channel) end
  local names = add_groups(self)
  add_tokens(self, names)
  leave_rest(self, names)
end

return {
  { name = "one-api", title = "one-api",
    is_own = function(file) return is_database(file) and not is_new(file) end,
    fill = function(file, plan) fill(file, plan, OF_ONE_API) end },
  { name = "new-api", title = "new-api",
    is_own = function(file) return is_database(file) and is_new(file) end,
    fill = function(file, plan) fill(file, plan, OF_NEW_API) end },
}
