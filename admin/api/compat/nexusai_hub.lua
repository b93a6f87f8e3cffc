--- admin.api.compat.nexusai_hub: the paths of NexusAI Hub for providers, their models and what
--- conversations came to.
---
--- One of its providers is one of neap's with a key and a personalized key: a client's token
--- (admin.api.compat.personal_keys). Numbers stay with what they were given to; neither key is ever
--- shown whole, and all of it needs a login.

local auth = require "admin.api.auth"
local chat_text = require "admin.api.compat.chat_text"
local draft = require "admin.api.compat.draft"
local host = require "neap.host"
local ids = require "admin.api.compat.ids"
local journal = require "admin.api.compat.journal"
local json = require "neap.json"
local keys = require "admin.api.compat.keys"
local personal_keys = require "admin.api.compat.personal_keys"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"
local suggest = require "neap.suggest"
local targets = require "admin.api.compat.targets"

local ROUNDS_MAX = 10000 -- requests of a conversation that are added up
local TOLD_MAX = 200     -- of these whose messages are looked up

local function done(message, more)
  local answer = json.object { status = "success", message = message }
  for name, value in pairs(more or {}) do answer[name] = value end
  return 200, answer
end

-- ------------------------------------------------------------------------------------
-- Providers

--- What is there under a number's name, or nil.
local function find_provider(name)
  local provider = draft.find("provider", name)
  if provider then
    return { provider = provider, noted = ids.of("provider", { name })[name] }
  end
end

local function provider_of(id)
  local found = find_provider(ids.name("provider", id))
  if found then return found end
  problem.not_found(("provider with the id %s"):format(tostring(id)))
end

local function view(made, provider, noted)
  local secret = keys.first(provider.name)
  return json.object { id = noted.id, name = noted.label or provider.name,
    server_url = provider.url, server_key = secret and keys.mask(secret) or "",
    personalized_key = personal_keys.shown(made, noted.token),
    description = provider.note or "" }
end

local function list_providers()
  local names, by_name, list, made = {}, {}, json.array {}, draft.new()
  for index, provider in ipairs(draft.in_force("provider")) do
    names[index], by_name[provider.name] = provider.name, provider
  end
  local noted = ids.of("provider", names)
  for index, name in ipairs(names) do
    local one = view(made, by_name[name], noted[name])
    list[index] = json.array { one.id, one.name, one.server_url, one.server_key,
      one.personalized_key, one.description }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return 200, json.object { providers = list }
end

local function show_provider(of)
  local found = provider_of(of.params.number)
  return 200, view(draft.new(), found.provider, found.noted)
end

local function note_of(description)
  if description ~= "" then return description end
end

local function create_provider(of)
  auth.check_scope(of.who, "keys")
  local body, made = of.body, draft.new()
  local name = targets.new_name(made, body.name:find("%w") and body.name or body.server_url)
  made:put("provider", name, json.object { dialect = "openai", url = body.server_url,
    models = json.object {}, note = note_of(body.description or "") })
  keys.add(made.ops, name, body.server_key)
  local noted = json.object { id = ids.one("provider", name), label = body.name,
    token = personal_keys.join(made, body.personalized_key, name) }
  ids.note(made.ops, "provider", name, noted)
  made:commit(of, { action = "create", object = "provider/" .. name, after = json.object {
    name = body.name, server_url = body.server_url } })
  return done("provider added", { id = noted.id })
end

--- Puts another key in the place of the one that is shown, where another one was sent.
local function change_key(of, made, name, secret)
  local key = keys.of(name)[1]
  local is_kept = secret == "" or (key and (secret == key.secret or secret == key.shown))
  if is_kept then return end
  auth.check_scope(of.who, "keys")
  if key then keys.remove(made.ops, key) end
  keys.add(made.ops, name, secret)
end

--- Lets the clients of another personalized key use the provider, where another one was sent.
local function change_personal_key(made, name, noted, secret)
  if secret == "" or secret == personal_keys.shown(made, noted.token) then return end
  if noted.token and personal_keys.is_of(made, noted.token, secret) then return end
  local old = noted.token
  noted.token = personal_keys.join(made, secret, name)
  if old and old ~= noted.token then personal_keys.leave(made, old, name, true) end
end

local function update_provider(of)
  local found, body, made = provider_of(of.params.number), of.body, draft.new()
  local name, noted = found.provider.name, found.noted
  local before = view(made, found.provider, noted)
  local record = made:require("provider", name)
  if record.url ~= body.server_url then
    auth.check_scope(of.who, "keys") -- its key goes there
    record.url = body.server_url
  end
  record.note = note_of(body.description or "")
  made:put("provider", name, record)
  change_key(of, made, name, body.server_key)
  change_personal_key(made, name, noted, body.personalized_key)
  noted.label = body.name
  ids.note(made.ops, "provider", name, noted)
  made:commit(of, { action = "update", object = "provider/" .. name, before = before,
    after = json.object { name = body.name, server_url = body.server_url } })
  return done("provider changed")
end

local function delete_provider(of)
  local found, made = provider_of(of.params.number), draft.new()
  local name, noted = found.provider.name, found.noted
  local before = view(made, found.provider, noted)
  made:require("provider", name)
  targets.remove_provider(made, name, noted.token)
  ids.note(made.ops, "provider", name, json.object { id = noted.id })
  made:commit(of, { action = "delete", object = "provider/" .. name, before = before })
  return done("provider deleted")
end

-- ------------------------------------------------------------------------------------
-- Models

--- The models of a provider: { { id, name, noted }, … }.
local function models_of(provider)
  local names, list = {}, {}
  for index, model in ipairs(suggest.sorted(provider.models)) do
    names[index] = targets.name(provider.name, model)
  end
  local noted = ids.of("target", names)
  for index, name in ipairs(names) do
    local _, model = targets.split(name)
    list[index] = { id = noted[name].id, model = model, noted = noted[name] }
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

local function list_models(of)
  local name, list = ids.find("provider", of.params.number), json.array {}
  local found = name and find_provider(name)
  for index, one in ipairs(found and models_of(found.provider) or {}) do
    list[index] = json.array { one.id, found.noted.id, one.model, one.noted.description or "" }
  end
  return 200, json.object { models = list }
end

--- A model by its number: { provider, model, noted, name }.
local function model_of(id)
  local name = ids.name("target", id)
  local provider, model = targets.split(name)
  local found = draft.find("provider", provider)
  if not found or not found.models[model] then
    problem.not_found(("model with the id %s"):format(tostring(id)))
  end
  return { provider = found, model = model, name = name,
    noted = ids.of("target", { name })[name] }
end

local function show_model(of)
  local one = model_of(of.params.number)
  return 200, json.object { id = one.noted.id, model_name = one.model,
    provider_id = ids.one("provider", one.provider.name),
    description = one.noted.description or "" }
end

local function refuse_known(provider, model)
  if provider.models[model] then
    problem.raise(400, "exists", "the provider has a model of this name already",
      { field = "/model_name" })
  end
end

local function create_model(of)
  local body, made = of.body, draft.new()
  local provider = provider_of(body.provider_id).provider
  refuse_known(provider, body.model_name)
  targets.put_model(made, provider.name, body.model_name, {})
  local name = targets.name(provider.name, body.model_name)
  local noted = ids.of("target", { name })[name]
  noted.description = note_of(body.description or "")
  ids.note(made.ops, "target", name, noted)
  made:commit(of, { action = "update", object = "provider/" .. provider.name,
    after = json.object { model = body.model_name } })
  return done("model added", { id = noted.id })
end

local function update_model(of)
  local one, body, made = model_of(of.params.number), of.body, draft.new()
  local provider = provider_of(body.provider_id).provider
  local name = targets.name(provider.name, body.model_name)
  one.noted.description = note_of(body.description or "")
  if name == one.name then
    ids.note(made.ops, "target", name, one.noted)
  else
    refuse_known(provider, body.model_name)
    local prices = targets.prices(made, one.provider.name, one.model)
    targets.put_model(made, provider.name, body.model_name, prices)
    targets.replace(made, one.provider.name, one.model, provider.name, body.model_name, true)
    ids.rename(made.ops, "target", one.name, name, one.noted)
  end
  made:commit(of, { action = "update", object = "provider/" .. provider.name,
    before = json.object { model = one.model }, after = json.object { model = body.model_name } })
  return done("model changed")
end

local function delete_model(of)
  local one, made = model_of(of.params.number), draft.new()
  targets.remove_model(made, one.provider.name, one.model, true)
  ids.note(made.ops, "target", one.name, json.object { id = one.noted.id })
  made:commit(of, { action = "update", object = "provider/" .. one.provider.name,
    before = json.object { model = one.model } })
  return done("model deleted")
end

-- ------------------------------------------------------------------------------------
-- Statistics

local function show_total()
  local sums = journal.sums()
  local tokens_in, tokens_out = journal.tokens_in(sums.usage), journal.tokens_out(sums.usage)
  return 200, json.object { total_conversations = journal.conversations(),
    total_rounds = sums.requests, prompt_tokens = tokens_in, completion_tokens = tokens_out,
    total_tokens = tokens_in + tokens_out }
end

local function add_messages(of, messages, record)
  local start = record.start_us / 1e6
  messages[#messages + 1] = json.object { timestamp = host.time_text(start), role = "user",
    content = chat_text.asked(journal.body(of, record.id, "request")),
    tokens_count = journal.tokens_in(record.usage) }
  messages[#messages + 1] = json.object { timestamp = host.time_text(start + record.ms / 1e3),
    role = "assistant", content = chat_text.answered(journal.body(of, record.id, "response")),
    tokens_count = journal.tokens_out(record.usage) }
end

local function show_conversation(of)
  local records = journal.slice({ conversation = of.params.conversation }, 0, ROUNDS_MAX)
  local tokens_in, tokens_out, messages = 0, 0, json.array {}
  for _, record in ipairs(records) do
    tokens_in = tokens_in + journal.tokens_in(record.usage)
    tokens_out = tokens_out + journal.tokens_out(record.usage)
  end
  for index = math.min(#records, TOLD_MAX), 1, -1 do
    add_messages(of, messages, records[index])
  end
  return 200, json.object { conversation_id = of.params.conversation, rounds = #records,
    prompt_tokens = tokens_in, completion_tokens = tokens_out,
    total_tokens = tokens_in + tokens_out, messages = messages }
end

-- ------------------------------------------------------------------------------------
-- Operations

local id = { type = "integer", minimum = 1, maximum = 1e12 }
local count = { type = "integer", minimum = 0 }
local text, line = { type = "string" }, { type = "string", minLength = 1, maxLength = 200,
  format = "line" }
local secret = { type = "string", minLength = 1, maxLength = 600, format = "line" }
local kept_secret = { type = "string", maxLength = 600, format = "line",
  description = "As it is shown, or empty: it stays." }
local description = { type = "string", maxLength = 2000 }
local number = { type = "string", format = "id", maxLength = 20 }

local function provider_body(of_secret)
  return schema.object({ name = line, description = description,
    server_url = { type = "string", format = "uri", maxLength = 2000 },
    server_key = of_secret, personalized_key = of_secret },
    { "name", "server_url", "server_key", "personalized_key" })
end
local model_body = schema.object({ provider_id = id, model_name = line,
  description = description }, { "provider_id", "model_name" })

local function rows_of(size)
  return { type = "array", items = { type = "array", minItems = size, maxItems = size,
    items = { type = { "integer", "string" } } } }
end

local result = schema.object({ status = { const = "success" }, message = text, id = id },
  { "status", "message" })
local message = schema.object({ timestamp = { type = "string", format = "date-time" },
  role = { enum = { "user", "assistant" } }, content = text, tokens_count = count },
  { "timestamp", "role", "content", "tokens_count" })

local function op(name, method, path, scope, summary, answer, run, more)
  local given = { id = "hub_" .. name, method = method, path = path, scope = scope,
    tag = "compat", summary = summary, is_compat = true, run = run,
    errors = { 404, 409, 422 }, responses = { { 200, "Done.", answer } } }
  if path:find("{number}", 1, true) then given.params = { number = number } end
  for field, value in pairs(more or {}) do given[field] = value end
  return given
end

local P, M = "/providers", "/provider_models"

return {
  op("list_providers", "GET", P, "read",
    "Providers: number, name, address, key, personalized key, description",
    schema.object({ providers = rows_of(6) }, { "providers" }), list_providers),
  op("create_provider", "POST", P, "write", "Add a provider (and scope keys)", result,
    create_provider, { body = provider_body(secret) }),
  op("get_provider", "GET", P .. "/{number}", "read", "One provider, its keys masked",
    schema.object({ id = id, name = text, server_url = text, server_key = text,
      personalized_key = text, description = text }, { "id", "name", "server_url", "server_key",
      "personalized_key", "description" }), show_provider),
  op("update_provider", "PUT", P .. "/{number}", "write",
    "Change a provider (another address or key: and scope keys)", result, update_provider,
    { body = provider_body(kept_secret) }),
  op("delete_provider", "DELETE", P .. "/{number}", "write", "Remove a provider and its models",
    result, delete_provider),
  op("list_models", "GET", P .. "/{number}/models", "read",
    "Models of a provider: number, its number, name, description",
    schema.object({ models = rows_of(4) }, { "models" }), list_models),
  op("create_model", "POST", M, "write", "Add a model to a provider", result, create_model,
    { body = model_body }),
  op("get_model", "GET", M .. "/{number}", "read", "One model", schema.object({ id = id,
    provider_id = id, model_name = text, description = text },
    { "id", "provider_id", "model_name", "description" }), show_model),
  op("update_model", "PUT", M .. "/{number}", "write", "Change a model", result, update_model,
    { body = model_body }),
  op("delete_model", "DELETE", M .. "/{number}", "write", "Remove a model", result, delete_model),

  op("stats_total", "GET", "/stats/total", "read", "Conversations, requests and tokens of all",
    schema.object({ total_conversations = count, total_rounds = count, prompt_tokens = count,
      completion_tokens = count, total_tokens = count }, { "total_conversations", "total_rounds",
      "prompt_tokens", "completion_tokens", "total_tokens" }), show_total,
    { description = "Conversations are counted in the newest 20,000 records." }),
  op("stats_conversation", "GET", "/stats/conversation/{conversation}", "read",
    "What a conversation came to; zeros for one that is not known",
    schema.object({ conversation_id = text, rounds = count, prompt_tokens = count,
      completion_tokens = count, total_tokens = count,
      messages = { type = "array", items = message } }, { "conversation_id", "rounds",
      "prompt_tokens", "completion_tokens", "total_tokens", "messages" }), show_conversation,
    { params = { conversation = { type = "string", minLength = 1, maxLength = 240 } },
      description = "Of the newest 200 requests the messages, with texts where bodies are kept." }),
}
