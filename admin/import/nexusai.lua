--- admin.import.nexusai: the database of NexusAI Hub (config.db): providers, their models, and the
--- personal keys of clients. Its numbers are kept, for the paths of its own.

local source = require "admin.import.source"

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

--- Fills the plan with what the file holds.
function nexusai.fill(file, plan)
  plan:leave_count(file:count("chat_stats"), "rows of chat_stats", "they are estimates by provider "
    .. "and model without prices or outcomes; neap's records begin anew")
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
