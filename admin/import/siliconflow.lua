--- admin.import.siliconflow: the key pool of SiliconFlow API Proxy (pool.db) and its variables
--- (.env).

local json = require "neap.json"
local logs = require "admin.import.logs"
local source = require "admin.import.source"

local siliconflow = { name = "siliconflow", title = "SiliconFlow API Proxy",
  reads_variables = true }

local NAME, URL = "siliconflow", "https://api.siliconflow.cn/v1"
local EVERY = 3600 -- seconds between two refreshes where nothing is said
local MODELS_MAX = 500
-- Each target of a group has all keys of its provider, in every worker.
local KEYS_OF_GROUPS_MAX = 100000

function siliconflow.is_own(file)
  if file.kind == "env" then
    local v = file.variables
    return v.API_KEYS == nil and (v.AUTO_REFRESH_INTERVAL ~= nil
      or (v.API_KEY ~= nil and v.ADMIN_USERNAME ~= nil))
  end
  return file.kind == "database" and file:has("api_keys", "key", "balance", "usage_count")
end

--- The pool, one for all files of an import.
local function pool_of(plan)
  for _, provider in ipairs(plan.providers) do
    if provider.is_pool and provider.url == URL then return provider end
  end
  return plan:provider { wish = NAME, url = URL, is_pool = true }
end

--- The models that clients have used: it has no list of its own. The most used are groups, in
--- which keys are drawn by what is left on them, as they were.
local function read_models(file, plan, pool)
  if not file:has("logs", "model") then return end
  local most = math.max(1, math.floor(KEYS_OF_GROUPS_MAX / math.max(1, #pool.keys)))
  local rows = file:query(("SELECT model, count(*) AS n FROM logs WHERE typeof(model) = 'text' "
    .. "AND model <> '' GROUP BY model ORDER BY n DESC, model LIMIT %d"):format(MODELS_MAX))
  for index, row in ipairs(rows) do
    pool.models[row.model] = {}
    if index <= most then
      local group = plan:group(row.model)
      plan:target(group, { provider = pool, model = row.model })
      group.fields.policies = json.array { "circuit_breaker", "priority_failover",
        "balance_weighted", "key_rotation", "keyword_retry" }
    end
  end
  if #rows > most then
    plan:hint(("With so many keys %d of the %d models are groups, which draw keys by balance; the "
      .. "others take them in turn."):format(most, #rows))
  end
end

local EAST = 8 * 3600 -- where a time is a text

--- Its log has what went well, without a status, a duration or a cost.
local function read_logs(file, plan, pool)
  if not file:has("logs", "call_time") then
    return plan:leave_count(file:count("logs"), "rows of logs", "they have no time")
  end
  plan:log(logs.of_table(file, { system = "siliconflow", name = "logs",
    columns = { "used_key", "model", "call_time", "input_tokens", "output_tokens", "total_tokens" },
    map = function(row, done)
      local at = tonumber(row.call_time) or source.moment(row.call_time, EAST)
      if not at then return nil end
      local model = type(row.model) == "string" and row.model ~= "" and row.model or nil
      local keys = done.keys[pool.name]
      local record = logs.record { ends = at, is_ok = true, status = 200, provider = pool.name,
        model = model, key = keys and type(row.used_key) == "string" and keys[row.used_key] or nil }
      record.model = model
      record.group = model and done.groups[model] and model or nil
      record.usage = logs.usage(row.input_tokens, row.output_tokens, row.total_tokens)
      return record
    end }))
end

local function read_pool(file, plan)
  local pool = pool_of(plan)
  local rows = file:read("api_keys", { key = "text!", add_time = "number", balance = "number",
    usage_count = "integer", enabled = "flag" }, "add_time")
  local used = 0
  for _, row in ipairs(rows) do
    pool.keys[#pool.keys + 1] = { secret = row.key:match("^%s*(.-)%s*$"), balance = row.balance,
      created = row.add_time, off = row.enabled == false or nil }
    used = used + (row.usage_count or 0)
  end
  read_models(file, plan, pool)
  plan:leave_count(used, "counted uses of keys", "they weighted the choice between refreshes; neap "
    .. "weighs by balance and by what is under way")
  read_logs(file, plan, pool)
  plan:leave_count(file:count("sessions"), "sessions", "log in anew")
  plan:hint("SiliconFlow has the models that the log of the proxy names: an import of models over "
    .. "the admin API brings the whole list.")
end

local VARIABLES = {
  ADMIN_USERNAME = "neap has one account, \"admin\"",
  ADMIN_PASSWORD = "choose another: NEAP_ADMIN_PASSWORD, or the setup link of the first start",
  PORT = "neap's address is `listen` in router.lua",
}

local READ = { AUTO_REFRESH_INTERVAL = true, API_KEY = true }

local function read_variables(file, plan)
  local variables = file.variables
  for name, why in pairs(VARIABLES) do
    if variables[name] then plan:leave(name, why) end
  end
  plan:leave_others(variables, VARIABLES, READ)
  local every = source.typed(variables.AUTO_REFRESH_INTERVAL, "number",
    file.path .. ": AUTO_REFRESH_INTERVAL")
  plan:set("refresh_every", every or EVERY, "AUTO_REFRESH_INTERVAL")
  local key = (variables.API_KEY or ""):match("^%s*(.-)%s*$")
  if key == "" or key == "None" then
    plan:leave("API_KEY", "it is not set, which left the proxy open to everybody: make a token for "
      .. "the clients")
    return
  end
  plan:token { wish = "siliconflow", secret = key, providers = { pool_of(plan) } }
end

--- Fills the plan with what the file holds.
function siliconflow.fill(file, plan)
  if file.kind == "env" then return read_variables(file, plan) end
  read_pool(file, plan)
end

return siliconflow
