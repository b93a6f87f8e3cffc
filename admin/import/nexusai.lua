--- admin.import.nexusai: the databases of NexusAI Hub: providers, their models, and the personal
--- keys of clients (config.db), and its statistics (stats.db). Its numbers are kept, for the paths
--- of its own.

local logs = require "admin.import.logs"
local source = require "admin.import.source"
local zone = require "neap.zone"

local nexusai = { name = "nexusai", title = "NexusAI Hub" }

function nexusai.is_own(file)
  return file.kind == "database" and (file:has("service_providers", "server_url",
    "personalized_key") or file:has("chat_stats", "conversation_id"))
end

local function trimmed(text) return text:match("^%s*(.-)%s*$") end

local function models_of(file)
  local by_provider = {}
  for _, row in ipairs(file:read("provider_models", { id = "integer!", provider_id = "integer!",
    model_name = "text!", description = "text" }, "id")) do
    by_provider[row.provider_id] = by_provider[row.provider_id] or {}
    table.insert(by_provider[row.provider_id], row)
  end
  return by_provider
end

local function note_of(text)
  text = trimmed(text or "")
  return text ~= "" and text or nil
end

--- A model that a client's key meets at two providers: there the first of them answered always.
local function find_shared(token)
  local seen, shared = {}, {}
  for _, provider in ipairs(token.providers) do
    for model in pairs(provider.models) do
      if seen[model] then shared[#shared + 1] = model end
      seen[model] = true
    end
  end
  table.sort(shared)
  return shared
end

local function read_provider(plan, row, models)
  local provider = plan:provider { wish = row.name, url = trimmed(row.server_url),
    fields = { note = note_of(row.description) } }
  local secret = trimmed(row.server_key)
  if secret == "" then
    provider.fields.keyless = true
  else
    provider.keys[1] = { secret = secret }
  end
  for _, model in ipairs(models or {}) do
    provider.models[model.model_name] = {}
    plan:number { kind = "target", id = model.id, of = provider, model = model.model_name,
      more = { description = note_of(model.description) } }
  end
  return provider
end

-- ------------------------------------------------------------------------------------
-- Statistics

-- A round is the row of a prompt and the next one of its conversation, where that is a completion;
-- one whose prompt is missing is a round of its own.
local ROUNDS = [[SELECT %s FROM (SELECT rowid AS "row", timestamp,
conversation_id, provider_id, model_name, is_prompt, tokens_count,
lead(is_prompt) OVER talk AS next_is_prompt, lead(tokens_count) OVER talk AS next_tokens,
lead(timestamp) OVER talk AS next_timestamp, lag(is_prompt) OVER talk AS before_is_prompt
FROM chat_stats WINDOW talk AS (PARTITION BY conversation_id ORDER BY rowid))
WHERE (is_prompt = 1 OR before_is_prompt IS NOT 1) AND "row" %s %d ORDER BY "row"]]
local ROUND = '"row", timestamp, conversation_id, provider_id, model_name, is_prompt, '
  .. "tokens_count, next_is_prompt, next_tokens, next_timestamp"

--- Its clock was the machine's: that of the setting time_zone, where a time names no other.
local function clock(done)
  local own = zone.find(done.zone)
  return function(naive) return own and zone.offset(own, naive) or 0 end
end

--- A round as a record; its tokens are counted before and after, by a tokenizer or by bytes.
local function round_of(row, done)
  local begins = source.moment(row.timestamp, clock(done))
  if not begins then return nil end
  local is_prompt = row.is_prompt == 1
  local is_answered = is_prompt and row.next_is_prompt == 0
  local ends = is_answered and source.moment(row.next_timestamp, clock(done)) or begins
  local record = logs.record { ends = ends, seconds = math.max(0, ends - begins), is_ok = true,
    status = 200, provider = done.provider_of(row.provider_id),
    model = type(row.model_name) == "string" and row.model_name or nil }
  record.model = record.target_model
  record.conversation = type(row.conversation_id) == "string" and row.conversation_id or nil
  record.usage = logs.usage(is_prompt and row.tokens_count or 0,
    is_prompt and (is_answered and row.next_tokens or 0) or row.tokens_count)
  if record.usage then record.usage.is_estimate = true end
  return record
end

local function read_stats(file, plan)
  if not file:has("chat_stats", "timestamp", "conversation_id", "provider_id", "model_name",
    "tokens_count", "is_prompt") then
    return plan:leave_count(file:count("chat_stats"), "rows of chat_stats", "columns are missing")
  end
  plan:log { system = "nexusai", name = "chat_stats", unit = "round", map = round_of,
    rows = function(from) return file:each(ROUNDS:format(ROUND, ">", from)) end,
    count_to = function(row)
      return file:query(ROUNDS:format("count(*) AS n", "<=", row or 2 ^ 53))[1].n
    end }
end

--- Fills the plan with what the file holds.
function nexusai.fill(file, plan)
  read_stats(file, plan)
  plan:leave_count(file:count("chat_messages"), "rows of chat_messages",
    "messages of users; neap keeps such only where a group says so")
  if not file:has("service_providers") then return end
  local models, by_key, tokens = models_of(file), {}, {}
  for _, row in ipairs(file:read("service_providers", { id = "integer!", name = "text!",
    server_url = "text!", server_key = "text!", personalized_key = "text!", description = "text" },
    "id")) do
    local provider = read_provider(plan, row, models[row.id])
    models[row.id] = nil
    local key = trimmed(row.personalized_key)
    local token = by_key[key]
    if key == "" then
      plan:leave(("the personal key of %s"):format(source.shown(row.name)), "it is empty")
    elseif token then
      table.insert(token.providers, provider)
    else
      token = plan:token { wish = row.name, secret = key, providers = { provider } }
      by_key[key], tokens[#tokens + 1] = token, token
    end
    plan:number { kind = "provider", id = row.id, of = provider, label = row.name, token = token }
  end
  local stray = 0
  for _, list in pairs(models) do stray = stray + #list end
  plan:leave_count(stray, "models", "their provider is not there")
  for _, token in ipairs(tokens) do
    for _, model in ipairs(find_shared(token)) do
      plan:hint(("The client key %s finds %s at several providers: neap takes the cheaper one "
        .. "first and fails over to the other."):format(source.mask(token.secret), model))
    end
  end
end

return nexusai
