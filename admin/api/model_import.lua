--- admin.api.model_import: a provider's list of models: what an import would do, and doing it. It
--- only adds and, where that is asked for, replaces; what a filter hides stays as it is.

local change = require "admin.api.change"
local host = require "neap.host"
local json = require "neap.json"
local key = require "admin.api.key"
local model_import = require "neap.model_import"
local problem = require "admin.api.problem"
local provider_models = require "neap.provider_models"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local stored = require "admin.api.stored"
local stream = require "admin.api.stream"

local WRITES_MAX = 3000 -- rows of one transaction

local words = { type = "array", maxItems = 100,
  items = { type = "string", minLength = 1, maxLength = 200 } }
local text = { type = "string", minLength = 1, maxLength = 200, format = "line" }

local function rules_schema(more)
  local properties = {
    filter = { type = "object", properties = { include = words, include_patterns = words,
      exclude = words, exclude_patterns = words },
      description = "Words in a model's name, and patterns (* and ?) of all of it." },
    alias = { type = "object", properties = { prefix = { type = "string", maxLength = 100,
      format = "line" }, template = text }, description = "A group of its own for each model, "
      .. "under this name: {id}, {last}, {flat} and {provider} are known in a template." },
    on_conflict = { enum = { "skip", "rename", "replace" } },
    prices = { type = "boolean", description = "From the bundled table, where it knows any." },
    group = { type = "object", required = { "name" }, properties = { name = text,
      priority = { type = "integer", minimum = 0 }, weight = { type = "number", minimum = 0 } },
      description = "To put all of them into." },
  }
  for name, one in pairs(more or {}) do properties[name] = one end
  return schema.object(properties)
end

local plan_schema = schema.named("ModelImport", schema.object({
  items = { type = "array", items = schema.object({
    model = { type = "string" }, name = { type = "string" }, why = { type = "string" },
    action = { enum = { "add", "change", "keep", "skip" } },
    prices = { type = "object", additionalProperties = true },
  }, { "model", "action" }) },
  counts = { type = "object", additionalProperties = { type = "integer" } },
  absent = { type = "array", items = { type = "string" },
    description = "Models that the provider lists no more; they stay." },
  prices_as_of = { type = "string" }, is_whole = { type = "boolean",
    description = "False: the provider's list went on beyond what is read." },
  written = { type = "integer", description = "Records that an import has written." },
}, { "items", "counts", "absent", "prices_as_of", "is_whole" }))

-- ------------------------------------------------------------------------------------

local function rest() host.sleep(0) end

--- The first key that may be used now, or any.
local function secret_of(provider)
  for _, one in ipairs(provider.keys) do
    if one.health:state() == "ready" then return one.secret end
  end
  return provider.keys[1] and provider.keys[1].secret
end

local function listed_of(provider)
  local models, answer = provider_models.list(provider, secret_of(provider))
  if models then return models, answer end
  problem.raise(502, "provider_failed", "the provider's models cannot be listed: "
    .. tostring(answer.why))
end

--- What is there already, and the texts of its rows by key.
local function source_of(provider)
  local texts, groups, row = {}, {}, nil
  for _, one in ipairs(rows.all("config", "group/")) do
    texts[one.key] = one
    groups[one.key:sub(#"group/" + 1)] = { row = one.document, version = one.document.version }
  end
  local written = {}
  for _, given in ipairs(router.kept().configuration.groups) do groups[given.name] = {} end
  for _, given in ipairs(router.kept().configuration.providers) do written[given.name] = given end
  local own = written[provider.name]
  if not own then
    local at = "provider/" .. provider.name
    local document, row_text = rows.get("config", at)
    row, texts[at] = document, { document = document, text = row_text }
  end
  local models = own and stored.to_json(own.models) or row and row.models or json.object {}
  return { provider = { name = provider.name, row = row, version = row and row.version,
    models = models }, groups = groups }, texts
end

local function plan_of(of)
  local provider = key.provider(of.params.name)
  local listed, is_whole = listed_of(provider)
  local source, texts = source_of(provider)
  source.listed = listed
  local plan, why = model_import.preview(source, of.body, rest)
  if not plan then problem.raise(422, "invalid", why, { field = "" }) end
  return plan, texts, is_whole == true
end

local function document_of(plan, is_whole)
  local items, counts = json.array {}, json.object {}
  for place, item in ipairs(plan.items) do
    items[place] = json.object { model = item.model, name = item.name, action = item.action,
      why = item.why, prices = item.prices and stored.to_json(item.prices) }
  end
  for action, count in pairs(plan.counts) do counts[action] = count end
  return json.object { items = items, counts = counts, absent = json.array(plan.absent),
    prices_as_of = plan.prices_as_of, is_whole = is_whole }
end

local function preview(of)
  local plan, _, is_whole = plan_of(of)
  return 200, document_of(plan, is_whole)
end

local function ops_of(writes, texts)
  local ops, now = {}, host.wall()
  for _, write in ipairs(writes) do
    local before = texts[write.key]
    local value = write.value
    value.version, value.updated = (write.version or 0) + 1, now
    value.created = before and before.document.created or now
    ops[#ops + 1] = { "expect", "config", write.key, before and before.text }
    ops[#ops + 1] = { "put", "config", write.key, value }
  end
  return ops
end

local function carry_out(of, tell)
  tell("listing", json.object {})
  local plan, texts, is_whole = plan_of(of)
  local document = document_of(plan, is_whole)
  tell("listed", json.object { total = #plan.items, counts = document.counts })
  local writes = model_import.apply(plan, of.body.only)
  if #writes > WRITES_MAX then
    problem.raise(422, "invalid", ("that would write %d records at once, and %d is the most: "
      .. "filter"):format(#writes, WRITES_MAX), { field = "/filter" })
  end
  if writes[1] then
    tell("writing", json.object { total = #writes })
    change.configure(of, ops_of(writes, texts), { action = "import_models",
      object = "provider/" .. of.params.name, after = document.counts })
  end
  document.written = #writes
  return document
end

local function apply(of)
  if not of.query.progress then return 200, carry_out(of, function() end) end
  local events = stream.events(of)
  of.handle:on_disconnect("detach") -- what was begun goes on to its end
  local function tell(name, document) events:send(name, document) end
  local is_done, got = pcall(carry_out, of, tell)
  local raised = not is_done and problem.of(got)
  if not is_done and not raised then error(got, 0) end
  if raised then events:send("error", problem.document(raised))
  else events:send("result", got) end
  events:finish()
end

local PATH = "/api/v1/providers/{name}/models"

return {
  { id = "preview_model_import", method = "POST", path = PATH .. "/preview", tag = "providers",
    scope = "write", summary = "What an import of the provider's models would do",
    params = key.list_params, body = rules_schema(), errors = { 502 }, run = preview,
    responses = { { 200, "Each model of the provider, and what would become of it.",
      plan_schema } } },
  { id = "import_models", method = "POST", path = PATH .. "/import", tag = "providers",
    scope = "write", summary = "Import the provider's models", params = key.list_params,
    query = { progress = { type = "boolean", default = false, description = "True: the answer is a "
      .. "stream of events: listing, listed, writing, then result or error." } },
    body = rules_schema { only = { type = "array", maxItems = 10000,
      items = { type = "string" }, description = "Models of the preview; without it all." } },
    errors = { 502 }, run = apply,
    responses = { { 200, "What became of each model.", plan_schema }, stream.response } },
}
