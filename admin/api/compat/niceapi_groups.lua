--- admin.api.compat.niceapi_groups: the /api paths of NiceAPI for groups: which providers each has,
--- by priority.

local draft = require "admin.api.compat.draft"
local ids = require "admin.api.compat.ids"
local json = require "neap.json"
local niceapi = require "admin.api.compat.niceapi"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"
local targets = require "admin.api.compat.targets"

local niceapi_groups = {}

local NAME_MAX = 200 -- bytes of a group's
local PRIORITY = 99 -- of a provider that a group's list gives none

local function add_member(members, view, priority)
  if not view then return end
  local member = json.object { priority = priority }
  for field, value in pairs(view) do member[field] = value end
  members[#members + 1] = member
end

--- All groups with their providers, by priority: { id, name, providers }. Waits.
---@param options { has_calls: boolean? }?
function niceapi_groups.all(options)
  local found, by_name, off = draft.in_force("group"), {}, {}
  for _, one in ipairs(niceapi.providers(options)) do
    by_name[one.target.name] = one.view
    off[#off + 1] = one.noted.off and one or nil
  end
  local noted, list = ids.of("group", niceapi.names_of(found)), {}
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

--- The one with this number; raises 404 where there is none. Waits.
function niceapi_groups.one(id, options)
  local name = ids.name("group", id)
  for _, group in ipairs(niceapi_groups.all(options)) do
    if group.name == name then return group end
  end
  problem.not_found(("group with the id %s"):format(tostring(id)))
end

--- The answer of what changes one.
function niceapi_groups.answer(id) return 200, niceapi_groups.one(id, { has_calls = true }) end

local function list_groups(of)
  local list = niceapi_groups.all { has_calls = true }
  return 200, json.object { items = niceapi.page_of(list, of.query), total = #list }
end

local function create_group(of)
  local made, name = draft.new(), of.body.name
  if #name > NAME_MAX then
    problem.raise(422, "invalid", "/name must have at most 200 bytes", { field = "/name" })
  end
  if made:is_taken("group", name) then
    problem.raise(400, "exists", "there is a group of this name already", { field = "/name" })
  end
  made:put("group", name, json.object { targets = json.array {} })
  made:commit(of, { action = "create", object = "group/" .. name })
  return niceapi_groups.answer(ids.one("group", name))
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
  local group, made = niceapi_groups.one(of.params.number), draft.new()
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
  local group, one = niceapi_groups.one(of.params.number), niceapi.provider_of(of.params.provider)
  local made, priority = draft.new(), of.body and of.body.priority or 1
  made:require("group", group.name)
  if one.noted.off then
    note_member(made, one, group.name, target_of(one.target, priority))
  else
    targets.join(made, group.name, one.target.provider.name, one.target.model, priority)
  end
  made:commit(of, { action = "update", object = "group/" .. group.name, before = group })
  return niceapi_groups.answer(of.params.number)
end

local function leave_group(of)
  local group, one = niceapi_groups.one(of.params.number), niceapi.provider_of(of.params.provider)
  local made, off = draft.new(), one.noted.off
  made:require("group", group.name)
  if off and off.groups[group.name] then
    note_member(made, one, group.name, nil)
  elseif off or not targets.leave(made, group.name, one.target.provider.name, one.target.model) then
    problem.not_found("such provider in this group")
  end
  made:commit(of, { action = "update", object = "group/" .. group.name, before = group })
  return niceapi_groups.answer(of.params.number)
end

--- Puts these in the place of a group's providers: { { id, priority }, … }. What a target has
--- besides (its weight) stays. Waits.
function niceapi_groups.replace_members(of, group, members)
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
    local one = by_id[member.id] or niceapi.provider_of(member.id)
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
  local group, members, seen = niceapi_groups.one(of.params.number), {}, {}
  for _, one in ipairs(of.body) do
    if one.selected ~= false then
      if seen[one.id] then problem.raise(422, "invalid", "a provider is there twice") end
      seen[one.id] = true
      members[#members + 1] = { id = one.id, priority = niceapi.given(one.priority) or PRIORITY }
    end
  end
  niceapi_groups.replace_members(of, group, members)
  return niceapi_groups.answer(of.params.number)
end

-- ------------------------------------------------------------------------------------
-- Operations

local member = { priority = { type = "integer" } }
for name, one in pairs(niceapi.provider_shown) do member[name] = one end
local group_schema = schema.named("NiceGroup", schema.object({ id = niceapi.id,
  name = { type = "string" }, providers = { type = "array",
    items = schema.object(member, niceapi.SHOWN) } }, { "id", "name", "providers" }))
niceapi_groups.schema = group_schema

local priority = { type = "integer", minimum = 0, maximum = 2 ^ 31 }
local op, G = niceapi.op, "/api/groups/"

niceapi_groups.operations = {
  op("list_groups", "GET", G, "read", "Groups with their providers", niceapi.items(group_schema),
    list_groups, { query = niceapi.paging() }),
  op("create_group", "POST", G, "write", "Make a group", group_schema, create_group,
    { body = schema.object({ name = niceapi.line }, { "name" }) }),
  op("delete_group", "DELETE", G .. "{number}", "write", "Remove a group", niceapi.detail,
    delete_group),
  op("join_group", "POST", G .. "{number}/providers/{provider}", "write",
    "Put a provider into a group", group_schema, join_group, { is_body_optional = true,
      body = schema.object({ priority = priority }) }),
  op("leave_group", "DELETE", G .. "{number}/providers/{provider}", "write",
    "Take a provider out of a group", group_schema, leave_group),
  op("put_members", "PUT", G .. "{number}/providers", "write",
    "Replace the providers of a group", group_schema, put_members, { body = { type = "array",
      maxItems = 1000, items = schema.object({ id = niceapi.id,
        priority = schema.nullable(priority), selected = niceapi.flag }, { "id" }) } }),
}

return niceapi_groups
