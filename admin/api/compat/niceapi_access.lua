--- admin.api.compat.niceapi_access: the /api paths of NiceAPI for clients' keys, failure keywords
--- and settings.
---
--- Its keys are neap's tokens: each belongs to a group at least, since one without any could use
--- all, and its secret is shown once.

local draft = require "admin.api.compat.draft"
local host = require "neap.host"
local ids = require "admin.api.compat.ids"
local json = require "neap.json"
local keyword = require "admin.api.keyword"
local niceapi = require "admin.api.compat.niceapi"
local niceapi_calls = require "admin.api.compat.niceapi_calls"
local niceapi_groups = require "admin.api.compat.niceapi_groups"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local settings = require "admin.api.settings"
local store = require "neap.store"
local stored_settings = require "neap.stored_settings"

local given, names_of = niceapi.given, niceapi.names_of

local NAME_MAX = 150 -- bytes of a token's name, without the number that may come behind it

-- ------------------------------------------------------------------------------------
-- Keys

local function time_or_null(seconds) return seconds and host.time_text(seconds) or json.null end

--- One of its keys. token: as it is in force, else as stored; record: as stored, nil for one of
--- router.lua.
local function key_view(name, token, record, noted, group_ids)
  local groups = json.array {}
  for _, group in ipairs(token.groups or {}) do
    groups[#groups + 1] = group_ids[group]
      and json.object { id = group_ids[group].id, name = group } or nil
  end
  return json.object { id = noted.id, name = record and record.label or name, groups = groups,
    key = record and (record.prefix or "") .. "…" .. (record.last4 or "") or "…",
    is_active = not (record and record.off), created_at = time_or_null(record and record.created),
    last_used_at = json.null, call_count = json.null }
end

local function list_tokens()
  local names, records, in_force, list = {}, {}, {}, json.array {}
  for _, row in ipairs(rows.all("config", "token/")) do
    names[#names + 1] = row.key:sub(#"token/" + 1)
    records[names[#names]] = row.document
  end
  for _, token in ipairs(draft.in_force("token")) do
    if not token.is_stored and not records[token.name] then names[#names + 1] = token.name end
    in_force[token.name] = token
  end
  local noted, views = ids.of("token", names), {}
  local group_ids = ids.of("group", names_of(draft.in_force("group")))
  for index, name in ipairs(names) do
    list[index] = key_view(name, in_force[name] or records[name], records[name], noted[name],
      group_ids)
    views[name] = list[index]
  end
  niceapi_calls.add_to_keys(views)
  table.sort(list, function(a, b) return a.id < b.id end)
  return 200, list
end

--- One of them; raises 404 where somebody has removed it by now.
local function token_view(name)
  local _, list = list_tokens()
  local id = ids.one("token", name)
  for _, one in ipairs(list) do
    if one.id == id then return one end
  end
  problem.not_found("key with this id any more")
end

--- The names of groups by their numbers; a key has one at least.
local function groups_by_id(list)
  local names = json.array {}
  for _, id in ipairs(list) do names[#names + 1] = niceapi_groups.one(id).name end
  if names[1] then return names end
  problem.raise(422, "invalid", "a key needs a group: one without any could use all",
    { field = "/group_ids" })
end

--- What a token is called that somebody wants to call so: all of it is its label.
local function short(wish)
  if #wish <= NAME_MAX then return wish end
  return (wish:sub(1, NAME_MAX):gsub("[\192-\255][\128-\191]*$", ""))
end

local function create_token(of)
  local made, body = draft.new(), of.body
  local wish = given(body.name) or ""
  local name = made:free_name("token", wish ~= "" and short(wish) or "key")
  local secret, digest = host.token_new()
  made:put("token", name, json.object { digest = store.digest_text(digest), prefix = "neap-",
    last4 = secret:sub(-4), label = given(body.name), groups = groups_by_id(body.group_ids),
    off = body.is_active == false or nil })
  made:commit(of, { action = "create", object = "token/" .. name })
  local view = token_view(name)
  view.key = secret -- this once
  return 200, view
end

local function update_token(of)
  local name, made, body = ids.name("token", of.params.number), draft.new(), of.body
  local record = made:require("token", name)
  if given(body.name) then record.label = body.name end
  if given(body.group_ids) then record.groups = groups_by_id(body.group_ids) end
  if given(body.is_active) ~= nil then record.off = not body.is_active or nil end
  made:put("token", name, record)
  made:commit(of, { action = "update", object = "token/" .. name })
  return 200, token_view(name)
end

local function delete_token(of)
  local name, made = ids.name("token", of.params.number), draft.new()
  made:require("token", name)
  made:put("token", name, nil)
  made:commit(of, { action = "delete", object = "token/" .. name })
  return 200, json.object { detail = "API key deleted" }
end

-- ------------------------------------------------------------------------------------
-- Failure keywords

local function keyword_view(record, noted)
  return json.object { id = noted.id, keyword = record.text, description = record.note or json.null,
    is_active = not record.off,
    last_triggered = select(2, keyword.found(record.text)) or json.null }
end

local function list_keywords()
  local names, records, list = {}, {}, json.array {}
  for index, row in ipairs(rows.all("config", "keyword/")) do
    names[index] = row.key:sub(#"keyword/" + 1)
    records[index] = row.document
  end
  local noted = ids.of("keyword", names)
  for index, name in ipairs(names) do
    list[index] = keyword_view(records[index], noted[name])
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return 200, list
end

local function check_keyword(text, but)
  for _, row in ipairs(rows.all("config", "keyword/")) do
    if row.key ~= "keyword/" .. but and host.fold(row.document.text or "") == host.fold(text) then
      problem.raise(400, "exists", "there is a keyword of this text already",
        { field = "/keyword" })
    end
  end
end

local function put_keyword(of, made, name, record, action)
  local body = of.body
  record.text = given(body.keyword) or record.text
  if body.description ~= nil then record.note = given(body.description) end
  if given(body.is_active) ~= nil then record.off = not body.is_active or nil end
  check_keyword(record.text, name)
  made:put("keyword", name, record)
  made:commit(of, { action = action, object = "keyword/" .. name })
  return 200, keyword_view(record, ids.of("keyword", { name })[name])
end

local function create_keyword(of)
  return put_keyword(of, draft.new(), host.id(), json.object {}, "create")
end

local function update_keyword(of)
  local name, made = ids.name("keyword", of.params.number), draft.new()
  return put_keyword(of, made, name, made:require("keyword", name), "update")
end

local function delete_keyword(of)
  local name, made = ids.name("keyword", of.params.number), draft.new()
  made:require("keyword", name)
  made:put("keyword", name, nil)
  made:commit(of, { action = "delete", object = "keyword/" .. name })
  return 200, json.object { detail = "Keyword deleted" }
end

-- ------------------------------------------------------------------------------------
-- Settings

-- Its settings, which are texts, as neap's; per: how many of neap's one of its is.
local SETTINGS = {
  failover_threshold_count = { name = "failure_threshold", per = 1 },
  failover_threshold_period_minutes = { name = "failure_window", per = 60 },
}

local function setting_view(key)
  local known = SETTINGS[key]
  if not known then problem.not_found(("setting %q"):format(key)) end
  return json.object { key = key,
    value = ("%.14g"):format(settings.get(known.name) / known.per) }
end

local function show_setting(of) return 200, setting_view(of.params.key) end

local function put_setting(of)
  local known, value = SETTINGS[of.body.key], tonumber(of.body.value)
  if not known then problem.not_found(("setting %q"):format(of.body.key)) end
  local of_all = stored_settings.schema[known.name]
  local _, text = of_all:check(value and value * known.per)
  if not value or text then
    problem.raise(422, "invalid", "/value " .. (text or "must be a number"), { field = "/value" })
  end
  local made = draft.new()
  made:put("setting", known.name, json.object { value = value * known.per })
  made:commit(of, { action = "update", object = "setting/" .. known.name,
    after = json.object { value = value * known.per } })
  return 200, setting_view(of.body.key)
end

-- ------------------------------------------------------------------------------------

local id, line, maybe_text, flag = niceapi.id, niceapi.line, niceapi.maybe_text, niceapi.flag
local maybe_count = { type = { "integer", "null" },
  description = "Requests, those for lists of models, too." }
local token_schema = schema.named("NiceKey", schema.object({ id = id, name = { type = "string" },
  key = { type = "string", description = "Masked, but for a key that was made just now." },
  is_active = { type = "boolean" }, created_at = maybe_text, last_used_at = maybe_text,
  call_count = maybe_count, groups = { type = "array", items = schema.object({ id = id,
    name = { type = "string" } }, { "id", "name" }) } },
  { "id", "name", "key", "is_active", "groups" }))
local keyword_schema = schema.named("NiceKeyword", schema.object({ id = id,
  keyword = { type = "string" }, description = maybe_text, is_active = { type = "boolean" },
  last_triggered = maybe_text }, { "id", "keyword", "description", "is_active" }))
local setting_schema = schema.object({ key = { type = "string" }, value = { type = "string" } },
  { "key", "value" })
local detail = schema.object({ detail = { type = "string" } }, { "detail" })
local group_ids = { type = "array", items = id, maxItems = 1000 }
local token_name = { type = { "string", "null" }, maxLength = 200, format = "line" }
local keyword_text = { type = "string", minLength = 1, maxLength = 1000, format = "line" }

local op = niceapi.op

return {
  op("list_keys", "GET", "/api/keys/", "read", "Clients' keys, masked",
    { type = "array", items = token_schema }, list_tokens),
  op("create_key", "POST", "/api/keys/", "write", "Make a client's key; shown this once",
    token_schema, create_token, { errors = { 404, 409 }, body = schema.object({ name = token_name,
      is_active = flag, group_ids = group_ids }, { "group_ids" }) }),
  op("update_key", "PATCH", "/api/keys/{number}", "write", "Change a client's key", token_schema,
    update_token, { body = schema.object({ name = token_name, is_active = flag,
      group_ids = schema.nullable(group_ids) }) }),
  op("delete_key", "DELETE", "/api/keys/{number}", "write", "Remove a client's key", detail,
    delete_token),

  op("list_keywords", "GET", "/api/keywords/", "read", "Failure keywords",
    { type = "array", items = keyword_schema }, list_keywords),
  op("create_keyword", "POST", "/api/keywords/", "write", "Add a failure keyword", keyword_schema,
    create_keyword, { body = schema.object({ keyword = keyword_text, description = maybe_text,
      is_active = flag }, { "keyword" }) }),
  op("update_keyword", "PATCH", "/api/keywords/{number}", "write", "Change a failure keyword",
    keyword_schema, update_keyword, { body = schema.object({
      keyword = schema.nullable(keyword_text), description = maybe_text, is_active = flag }) }),
  op("delete_keyword", "DELETE", "/api/keywords/{number}", "write", "Remove a failure keyword",
    detail, delete_keyword),

  op("get_setting", "GET", "/api/settings/{key}", "read", "A setting", setting_schema,
    show_setting, { params = { key = { type = "string", maxLength = 100 } } }),
  op("put_setting", "POST", "/api/settings/", "write", "Change a setting", setting_schema,
    put_setting, { errors = { 404, 409 }, body = schema.object({ key = line,
      value = { type = "string", maxLength = 100 } }, { "key", "value" }) }),
}
