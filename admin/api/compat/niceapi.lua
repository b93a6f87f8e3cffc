--- admin.api.compat.niceapi: the /api paths of NiceAPI for providers, and what its other paths
--- (niceapi_groups, niceapi_access, niceapi_more) share with them.
---
--- One of its providers is one model at one address with one key. Keys are never shown whole, and
--- whoever adds or removes one needs the scope for that.

local auth = require "admin.api.auth"
local draft = require "admin.api.compat.draft"
local host = require "neap.host"
local ids = require "admin.api.compat.ids"
local json = require "neap.json"
local keys = require "admin.api.compat.keys"
local niceapi_calls = require "admin.api.compat.niceapi_calls"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"
local targets = require "admin.api.compat.targets"

local niceapi = {}

-- ------------------------------------------------------------------------------------
-- Providers

local function price_or_null(value) return value or json.null end

--- One of its providers. noted: its number and label.
local function provider_view(target, noted)
  local prices, secret = target.prices, keys.first(target.provider.name)
  local is_even = prices.input == prices.output
  return json.object { id = noted.id, name = noted.label or target.model,
    api_endpoint = targets.endpoint(target.provider), model = target.model,
    api_key = secret and keys.mask(secret) or "",
    type = prices.call and "per_call" or "per_token",
    price_per_million_tokens = price_or_null(prices.call or (is_even and prices.input) or nil),
    input_price_per_million_tokens = price_or_null(prices.input),
    output_price_per_million_tokens = price_or_null(prices.output),
    is_active = noted.off == nil,
    total_calls = json.null, successful_calls = json.null }
end

--- Adds those that are switched off, whose models their providers do not have meanwhile.
local function add_off(all, noted)
  local providers = {}
  for _, provider in ipairs(draft.in_force("provider")) do providers[provider.name] = provider end
  for name, one in pairs(noted) do
    local provider, model = targets.split(name)
    if one.off and providers[provider] then
      all[#all + 1] = { name = name, provider = providers[provider], model = model,
        prices = one.off.prices }
    end
  end
end

--- All of its providers in the order of their numbers: { target, noted, view }. Waits.
---@param options { has_calls: boolean? }? has_calls: with the sums of their calls
function niceapi.providers(options)
  local all, names, list = targets.all(), {}, {}
  for index, target in ipairs(all) do names[index] = target.name end
  local noted = ids.of("target", names)
  for _, target in ipairs(all) do noted[target.name].off = nil end
  add_off(all, noted)
  for index, target in ipairs(all) do
    list[index] = { target = target, noted = noted[target.name],
      view = provider_view(target, noted[target.name]) }
  end
  if options and options.has_calls then niceapi_calls.add_to_providers(list) end
  table.sort(list, function(a, b) return a.view.id < b.view.id end)
  return list
end

--- The one with this number; raises 404 where there is none. Waits.
function niceapi.provider_of(id, options)
  local name = ids.name("target", id)
  for _, one in ipairs(niceapi.providers(options)) do
    if one.target.name == name then return one end
  end
  problem.not_found(("provider with the id %s"):format(tostring(id)))
end

local provider_of = niceapi.provider_of

--- The elements of a page.
function niceapi.page_of(list, query)
  local items = json.array {}
  for index = query.skip + 1, math.min(#list, query.skip + query.limit) do
    items[#items + 1] = list[index]
  end
  return items
end

local function list_providers(of)
  local found, wanted = {}, host.fold(of.query.name_filter or "")
  for _, one in ipairs(niceapi.providers { has_calls = true }) do
    local names = host.fold(one.view.name .. "\n" .. one.view.model)
    if names:find(wanted, 1, true) then found[#found + 1] = one.view end
  end
  return 200, json.object { items = niceapi.page_of(found, of.query), total = #found }
end

local function answer_provider(id) return 200, provider_of(id, { has_calls = true }).view end

local function show_provider(of) return answer_provider(of.params.number) end

--- A value of a body, where null is none.
function niceapi.given(value)
  if value ~= json.null then return value end
end
local given = niceapi.given

--- Prices as neap has them: what was given in the place of what there was.
local function prices_of(body, before)
  local one, kind = given(body.price_per_million_tokens), given(body.type)
  local input, output = given(body.input_price_per_million_tokens),
    given(body.output_price_per_million_tokens)
  if not (one or kind or input or output) then return before end
  local prices = {}
  for name, value in pairs(before) do prices[name] = value end
  if (kind or (before.call and "per_call")) == "per_call" then
    prices.call = one or before.call or before.input or 0 -- without a price it is per call, too
    prices.input, prices.output = nil, nil
  else
    prices.call = nil
    prices.input = input or one or before.input or before.call
    prices.output = output or one or before.output or before.call
  end
  return prices
end

--- Whether another of its providers, perhaps one that is switched off, is of the same provider of
--- neap's.
local function has_sibling(target)
  for _, one in ipairs(niceapi.providers()) do
    if one.target.provider.name == target.provider.name and one.target.name ~= target.name then
      return true
    end
  end
  return false
end

local function find_provider(name)
  for _, one in ipairs(niceapi.providers()) do
    if one.target.name == name then return one end
  end
end

local function create_provider(of)
  auth.check_scope(of.who, "keys")
  local body, made = of.body, draft.new()
  local provider = targets.provider_for(made, targets.url(body.api_endpoint), body.api_key)
  local name = targets.name(provider, body.model)
  if find_provider(name) then
    problem.raise(409, "exists", "there is a provider with this endpoint, key and model already")
  end
  targets.put_model(made, provider, body.model, prices_of(body, {}))
  local noted = json.object { id = ids.one("target", name), label = body.name }
  if body.is_active == false then
    noted.off = targets.switch_off(made, provider, body.model)
  end
  ids.note(made.ops, "target", name, noted)
  made:commit(of, { action = "create", object = "provider/" .. provider, after = json.object {
    model = body.model, name = body.name, api_endpoint = body.api_endpoint } })
  return answer_provider(ids.one("target", name))
end

--- The provider that the change leads to: the same, or one at another address or with another key.
local function moved_to(of, made, target)
  local body, provider = of.body, target.provider
  local key, first = given(body.api_key), keys.first(provider.name)
  if key == "" or (key and first and key == keys.mask(first)) then
    key = nil -- a form that shows a masked key sends it back
  end
  local endpoint = given(body.api_endpoint)
  if endpoint == targets.endpoint(provider) then endpoint = nil end -- as it was shown
  local url = endpoint and targets.url(endpoint)
  if (not url or url == provider.url) and not key then return provider.name end
  auth.check_scope(of.who, "keys")
  key = key or first
  if not key then
    problem.raise(422, "invalid", "it has no key: give it one", { field = "/api_key" })
  end
  return targets.provider_for(made, url or provider.url, key)
end

--- Moves a target that is on to where the change wants it, with its prices: provider and model.
local function change_target(of, made, target, model)
  local before = targets.prices(made, target.provider.name, target.model)
  local provider = moved_to(of, made, target)
  local name = targets.name(provider, model)
  if name ~= target.name and find_provider(name) then
    problem.raise(409, "exists", "there is a provider with this endpoint, key and model already")
  end
  targets.put_model(made, provider, model, prices_of(of.body, before))
  if name ~= target.name then
    targets.replace(made, target.provider.name, target.model, provider, model, has_sibling(target))
  end
  return provider, name
end

local function update_provider(of)
  local one, body, made = provider_of(of.params.number), of.body, draft.new()
  local target, noted = one.target, one.noted
  local is_active, off, model = given(body.is_active), noted.off, given(body.model) or target.model
  if is_active == nil then is_active = off == nil end
  made:require("provider", target.provider.name)
  -- What is off is put back for the change, and nobody sees it: all of it is one write.
  if off then targets.switch_on(made, target.provider.name, target.model, off) end
  local provider, name = change_target(of, made, target, model)
  noted.label, noted.off = given(body.name) or noted.label, nil
  if not is_active then noted.off = targets.switch_off(made, provider, model) end
  if name == target.name then
    ids.note(made.ops, "target", name, noted)
  else
    ids.rename(made.ops, "target", target.name, name, noted)
  end
  made:commit(of, { action = "update", object = "provider/" .. provider, before = one.view,
    after = json.object { model = model, name = body.name, api_endpoint = body.api_endpoint,
      is_active = is_active } })
  return answer_provider(of.params.number)
end

local function delete_provider(of)
  local one, made = provider_of(of.params.number), draft.new()
  local target = one.target
  targets.remove_model(made, target.provider.name, target.model, has_sibling(target))
  ids.note(made.ops, "target", target.name, json.object { id = one.noted.id })
  made:commit(of, { action = "delete", object = "provider/" .. target.provider.name,
    before = one.view })
  return 200, json.object { detail = "Provider deleted" }
end

--- Removes an upstream key wherever it is, and what has no other. What is recorded stays.
local function quick_remove(of)
  local made, count = draft.new(), 0
  for _, provider in ipairs(draft.in_force("provider")) do
    local list = keys.of(provider.name)
    local key = keys.find(list, of.params.key)
    if key and key.row then
      for _ in pairs(provider.models) do count = count + 1 end
      if #list == 1 and provider.is_stored then
        targets.remove_provider(made, provider.name)
      else
        keys.remove(made.ops, key)
      end
    end
  end
  if count == 0 and not made.ops[1] then problem.not_found("provider with this key") end
  auth.check_scope(of.who, "write")
  made:commit(of, { action = "delete", object = "keys", after = json.object { count = count } })
  return 200, json.object { detail = ("%d providers removed"):format(count), count = count }
end

--- The names of what has some.
function niceapi.names_of(list)
  local names = {}
  for index, one in ipairs(list) do names[index] = one.name end
  return names
end

-- ------------------------------------------------------------------------------------
-- Operations

local id = { type = "integer", minimum = 1, maximum = 1e12 }
local line = { type = "string", minLength = 1, maxLength = 200, format = "line" }
local price = { type = { "number", "null" }, minimum = 0 }
local calls = { type = { "integer", "null" }, description = "Attempts, as far as they can be told "
  .. "from those of others." }
local flag = { type = { "boolean", "null" } }
local number_param = { type = "string", format = "id", maxLength = 20 }
local params = { number = number_param, provider = number_param }

-- What the other paths' operations are described with.
niceapi.id, niceapi.line, niceapi.flag = id, line, flag
niceapi.maybe_text = { type = { "string", "null" }, maxLength = 2000 }

local PAGING = {
  skip = { type = "integer", minimum = 0, maximum = 1000000, default = 0 },
  limit = { type = "integer", minimum = 1, maximum = 1000, default = 100 },
}

--- The query of a list, with more parameters.
function niceapi.paging(more)
  local query = {}
  for _, set in ipairs { PAGING, more or {} } do
    for name, one in pairs(set) do query[name] = one end
  end
  return query
end

local provider_fields = {
  name = line, api_endpoint = { type = "string", format = "uri", maxLength = 2000 },
  api_key = { type = "string", maxLength = 600, format = "line" }, model = line,
  price_per_million_tokens = price, input_price_per_million_tokens = price,
  output_price_per_million_tokens = price, type = { enum = { "per_token", "per_call" } },
  is_active = flag,
}
local shown = { id = id, total_calls = calls, successful_calls = calls }
for name, one in pairs(provider_fields) do shown[name] = one end
shown.api_key = { type = "string", description = "Masked." }
local SHOWN = { "id", "name", "api_endpoint", "api_key", "model", "type", "is_active" }
local provider_schema = schema.named("NiceProvider", schema.object(shown, SHOWN))
niceapi.provider_schema, niceapi.provider_shown = provider_schema, shown
niceapi.SHOWN = SHOWN

local detail = schema.object({ detail = { type = "string" } }, { "detail" })
niceapi.detail = detail
local count = { type = "integer", minimum = 0 }

function niceapi.items(of)
  return schema.object({ items = { type = "array", items = of }, total = count },
    { "items", "total" })
end

--- One row of a table of operations.
function niceapi.op(name, method, path, scope, summary, answer, run, more)
  local op = { id = "niceapi_" .. name, method = method, path = path, scope = scope, tag = "compat",
    summary = summary, is_compat = true, run = run, errors = { 404, 409, 422, 429 },
    responses = { { 200, "Done.", answer } } }
  for param in path:gmatch("{(%w+)}") do
    op.params = op.params or {}
    op.params[param] = params[param]
  end
  for field, value in pairs(more or {}) do op[field] = value end
  return op
end

local op, P = niceapi.op, "/api/providers/"

niceapi.operations = {
  op("list_providers", "GET", P, "read", "Models at addresses", niceapi.items(provider_schema),
    list_providers, { query = niceapi.paging {
      name_filter = { type = "string", maxLength = 200 } } }),
  op("create_provider", "POST", P, "write", "Add a model at an address with a key (and scope keys)",
    provider_schema, create_provider, { body = schema.object(provider_fields,
      { "name", "api_endpoint", "api_key", "model" }) }),
  op("get_provider", "GET", P .. "{number}", "read", "One of them", provider_schema, show_provider),
  op("update_provider", "PATCH", P .. "{number}", "write", "Change it", provider_schema,
    update_provider, { body = schema.object(provider_fields) }),
  op("delete_provider", "DELETE", P .. "{number}", "write", "Remove it", detail, delete_provider),
  op("quick_remove", "DELETE", P .. "quick-remove/{key}", "keys",
    "Remove an upstream key, and what has no other (and scope write)", schema.object({
      detail = { type = "string" }, count = count }, { "detail", "count" }), quick_remove,
    { params = { key = { type = "string", minLength = 1, maxLength = 600 } } }),
}

return niceapi
