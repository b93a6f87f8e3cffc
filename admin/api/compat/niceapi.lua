--- admin.api.compat.niceapi: the /api paths of NiceAPI for providers and groups. Clients' keys,
--- keywords and settings are admin.api.compat.niceapi_access's.
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

local PRIORITY = 99 -- of a provider that a group's list gives none

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

local function provider_of(id, options)
  local name = ids.name("target", id)
  for _, one in ipairs(niceapi.providers(options)) do
    if one.target.name == name then return one end
  end
  problem.not_found(("provider with the id %s"):format(tostring(id)))
end

--- The elements of a page.
local function page_of(list, query)
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
  return 200, json.object { items = page_of(found, of.query), total = #found }
end

local function answer_provider(id) return 200, provider_of(id, { has_calls = true }).view end

local function show_provider(of) return answer_provider(of.params.number) end

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
    prices.call = one or before.call or before.input
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
  local url = given(body.api_endpoint) and targets.url(body.api_endpoint)
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

-- ------------------------------------------------------------------------------------
-- Groups

function niceapi.names_of(list)
  local names = {}
  for index, one in ipairs(list) do names[index] = one.name end
  return names
end
local names_of = niceapi.names_of

local function add_member(members, view, priority)
  if not view then return end
  local member = json.object { priority = priority }
  for field, value in pairs(view) do member[field] = value end
  members[#members + 1] = member
end

--- All groups with their providers, by priority: { id, name, providers }. Waits.
---@param options { has_calls: boolean? }?
function niceapi.groups(options)
  local found, by_name, off = draft.in_force("group"), {}, {}
  for _, one in ipairs(niceapi.providers(options)) do
    by_name[one.target.name] = one.view
    off[#off + 1] = one.noted.off and one or nil
  end
  local noted, list = ids.of("group", names_of(found)), {}
  for index, group in ipairs(found) do
    local members = json.array {}
    for _, target in ipairs(group.targets) do
      add_member(members, by_name[targets.name(target.provider, target.model)], target.priority)
    end
    for _, one in ipairs(off) do
      local target = one.noted.off.groups[group.name]
      if target then add_member(members, one.view, target.priority or 1) end
    end
    table.sort(members, function(a, b)
      if a.priority ~= b.priority then return a.priority < b.priority end
      return a.id < b.id
    end)
    list[index] = json.object { id = noted[group.name].id, name = group.name, providers = members }
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

function niceapi.group_of(id, options)
  local name = ids.name("group", id)
  for _, group in ipairs(niceapi.groups(options)) do
    if group.name == name then return group end
  end
  problem.not_found(("group with the id %s"):format(tostring(id)))
end

local function answer_group(id) return 200, niceapi.group_of(id, { has_calls = true }) end

local function list_groups(of)
  local list = niceapi.groups { has_calls = true }
  return 200, json.object { items = page_of(list, of.query), total = #list }
end

local function create_group(of)
  local made, name = draft.new(), of.body.name
  if made:is_taken("group", name) then
    problem.raise(400, "exists", "there is a group of this name already", { field = "/name" })
  end
  made:put("group", name, json.object { targets = json.array {} })
  made:commit(of, { action = "create", object = "group/" .. name })
  return answer_group(ids.one("group", name))
end

--- Takes the group from the tokens that may use others besides: one without any may use all.
local function take_from_tokens(made, name)
  for _, token in ipairs(draft.in_force("token")) do
    local record = token.is_stored and made:get("token", token.name)
    local left, is_in = json.array {}, false
    for _, group in ipairs(record and record.groups or {}) do
      if group == name then is_in = true else left[#left + 1] = group end
    end
    if is_in and not left[1] then
      problem.raise(409, "in_use", ("the key %q may use this group alone: delete it first")
        :format(token.name))
    elseif is_in then
      record.groups = left
      made:put("token", token.name, record)
    end
  end
end

local function delete_group(of)
  local group, made = niceapi.group_of(of.params.number), draft.new()
  made:require("group", group.name)
  take_from_tokens(made, group.name)
  made:put("group", group.name, nil)
  made:commit(of, { action = "delete", object = "group/" .. group.name, before = group })
  return 200, json.object { detail = "Group deleted" }
end

local function target_of(target, priority)
  return json.object { provider = target.provider.name, model = target.model, priority = priority }
end

--- Notes that one that is switched off belongs to a group, or not (nil).
local function note_member(made, one, group, target)
  one.noted.off.groups[group] = target
  ids.note(made.ops, "target", one.target.name, one.noted)
end

local function join_group(of)
  local group, one = niceapi.group_of(of.params.number), provider_of(of.params.provider)
  local made, priority = draft.new(), of.body and of.body.priority or 1
  made:require("group", group.name)
  if one.noted.off then
    note_member(made, one, group.name, target_of(one.target, priority))
  else
    targets.join(made, group.name, one.target.provider.name, one.target.model, priority)
  end
  made:commit(of, { action = "update", object = "group/" .. group.name, before = group })
  return answer_group(of.params.number)
end

local function leave_group(of)
  local group, one = niceapi.group_of(of.params.number), provider_of(of.params.provider)
  local made, off = draft.new(), one.noted.off
  made:require("group", group.name)
  if off and off.groups[group.name] then
    note_member(made, one, group.name, nil)
  elseif off or not targets.leave(made, group.name, one.target.provider.name, one.target.model) then
    problem.not_found("such provider in this group")
  end
  made:commit(of, { action = "update", object = "group/" .. group.name, before = group })
  return answer_group(of.params.number)
end

--- Puts these in the place of a group's providers: { { id, priority }, … }. What a target has
--- besides (its weight) stays. Waits.
function niceapi.replace_members(of, group, members)
  local made = draft.new()
  local record = made:require("group", group.name)
  local before, list = record.targets or {}, json.array {}
  local wanted, by_id = {}, {}
  for _, member in ipairs(members) do wanted[member.id] = member end
  for _, one in ipairs(niceapi.providers()) do
    local member = wanted[one.view.id]
    by_id[one.view.id] = one
    if one.noted.off and (member or one.noted.off.groups[group.name]) then
      note_member(made, one, group.name, member and target_of(one.target, member.priority))
    end
  end
  for _, member in ipairs(members) do
    local one = by_id[member.id] or provider_of(member.id)
    if not one.noted.off then
      local provider, model = one.target.provider.name, one.target.model
      local target = targets.find_in({ targets = before }, provider, model)
        or target_of(one.target)
      target.priority = member.priority
      list[#list + 1] = target
    end
  end
  record.targets = list
  made:put("group", group.name, record)
  made:commit(of, { action = "update", object = "group/" .. group.name, before = group })
end

local function put_members(of)
  local group, members, seen = niceapi.group_of(of.params.number), {}, {}
  for _, one in ipairs(of.body) do
    if one.selected ~= false then
      if seen[one.id] then problem.raise(422, "invalid", "a provider is there twice") end
      seen[one.id] = true
      members[#members + 1] = { id = one.id, priority = one.priority or PRIORITY }
    end
  end
  niceapi.replace_members(of, group, members)
  return answer_group(of.params.number)
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
niceapi.provider_schema = provider_schema

local member = { priority = { type = "integer" } }
for name, one in pairs(shown) do member[name] = one end
local group_schema = schema.named("NiceGroup", schema.object({ id = id,
  name = { type = "string" }, providers = { type = "array", items = schema.object(member, SHOWN) },
}, { "id", "name", "providers" }))
niceapi.group_schema = group_schema

local detail = schema.object({ detail = { type = "string" } }, { "detail" })
local count = { type = "integer", minimum = 0 }

function niceapi.items(of)
  return schema.object({ items = { type = "array", items = of }, total = count },
    { "items", "total" })
end

local priority = { type = "integer", minimum = 0, maximum = 2 ^ 31 }

--- One row of the table below as an operation.
function niceapi.op(name, method, path, scope, summary, answer, run, more)
  local op = { id = "niceapi_" .. name, method = method, path = path, scope = scope, tag = "compat",
    summary = summary, is_compat = true, run = run, errors = { 409, 422, 429 },
    responses = { { 200, "Done.", answer } } }
  for param in path:gmatch("{(%w+)}") do
    op.params = op.params or {}
    op.params[param] = params[param]
  end
  for field, value in pairs(more or {}) do op[field] = value end
  return op
end

local op, paging, P, G = niceapi.op, niceapi.paging, "/api/providers/", "/api/groups/"

niceapi.operations = {
  op("list_providers", "GET", P, "read", "Models at addresses", niceapi.items(provider_schema),
    list_providers, { query = paging { name_filter = { type = "string", maxLength = 200 } } }),
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

  op("list_groups", "GET", G, "read", "Groups with their providers", niceapi.items(group_schema),
    list_groups, { query = paging() }),
  op("create_group", "POST", G, "write", "Make a group", group_schema, create_group,
    { body = schema.object({ name = line }, { "name" }) }),
  op("delete_group", "DELETE", G .. "{number}", "write", "Remove a group", detail, delete_group),
  op("join_group", "POST", G .. "{number}/providers/{provider}", "write",
    "Put a provider into a group", group_schema, join_group, { is_body_optional = true,
      body = schema.object({ priority = priority }) }),
  op("leave_group", "DELETE", G .. "{number}/providers/{provider}", "write",
    "Take a provider out of a group", group_schema, leave_group),
  op("put_members", "PUT", G .. "{number}/providers", "write",
    "Replace the providers of a group", group_schema, put_members, { body = { type = "array",
      maxItems = 1000, items = schema.object({ id = id, priority = { type = { "integer", "null" },
        minimum = 0, maximum = 2 ^ 31 }, selected = flag }, { "id" }) } }),
}

return niceapi
