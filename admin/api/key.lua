--- admin.api.key: the keys of a provider: listed without their secrets, disabled, rested and
--- enabled by hand, and exported for a person who enters his password again. New
--- ones come by admin.api.key_pool.

local account = require "admin.api.account"
local catalog = require "neap.catalog"
local change = require "admin.api.change"
local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local key_import = require "neap.key_import"
local page = require "admin.api.page"
local patch = require "admin.api.patch"
local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local store = require "neap.store"
local stored = require "admin.api.stored"

local key = {}

local view_schema = schema.named("Key", schema.object({
  id = { type = "string" }, provider = { type = "string" },
  tail = { type = "string", description = "The end of the secret, such as \"…ab12\"." },
  label = { type = "string" }, note = stored.COMMON.note, off = stored.COMMON.off,
  origin = { enum = { "router.lua", "stored" } },
  state = { enum = { "ready", "resting", "disabled", "absent" },
    description = "absent: it is not in force." },
  why = { type = "string" }, since = { type = { "string", "null" }, format = "date-time" },
  remaining = { type = { "number", "null" }, description = "Seconds until it wakes, or is asked "
    .. "about again; null: until somebody enables it." },
  balance = { type = { "number", "null" } },
  balance_at = { type = { "string", "null" }, format = "date-time" },
  in_flight = { type = "integer" }, uses = { type = "number" },
}, { "id", "provider", "tail", "origin", "state" }))
key.schema = view_schema

--- The end of a secret that may be shown: nothing of one that is short.
function key.last4(secret) return #secret >= 16 and secret:sub(-4) or "" end

-- ------------------------------------------------------------------------------------
-- Reading

--- The provider as the catalog has it; raises 404 where there is none in force.
function key.provider(name)
  local _, known = router.loaded()
  local provider = known and known.providers[name]
  if not provider then problem.not_found(("provider %q in force"):format(name)) end
  return provider
end

local function time_of(seconds)
  return seconds and seconds > 0 and host.time_text(seconds) or json.null
end

--- record: as stored, or nil; in_force: the catalog's, or nil.
function key.view(provider, id, record, in_force)
  local view = json.object { id = id, provider = provider, origin = record and "stored"
    or "router.lua", tail = in_force and key_import.tail(in_force.secret)
    or "…" .. (record.last4 or ""), state = "absent" }
  if record then view.label, view.note, view.off = record.label, record.note, record.off end
  if not in_force then return view end
  local health = in_force.health:view()
  view.state, view.why, view.since = health.state, health.why, time_of(health.since)
  view.remaining = health.state ~= "ready" and health.remaining or json.null
  view.balance = health.balance or in_force.balance or json.null
  view.balance_at = time_of(health.balance_at)
  view.in_flight, view.uses = health.in_flight, health.uses
  return view
end

--- The secret of a stored key; nil and why where it does not open.
local function unseal(one, provider)
  local sealed = type(one.record.sealed) == "table" and one.record.sealed.secret or ""
  return store.unseal("key", provider.name .. "/" .. one.id, "secret", sealed)
end

--- A key as the catalog has it once it is in force.
function key.in_force(provider_name, secret)
  return { secret = secret, health = host.health(catalog.key_health(provider_name, secret)) }
end

--- All keys of a provider: { { id, record?, in_force?, text? }, … }, router.lua's first. Waits.
local function all_of(provider)
  local by_id, is_stored, list = {}, {}, {}
  local found = rows.all("keys", provider.name .. "/")
  for _, row in ipairs(found) do is_stored[row.key:sub(#provider.name + 2)] = true end
  for _, one in ipairs(provider.keys) do
    by_id[one.id] = one
    if not is_stored[one.id] then list[#list + 1] = { id = one.id, in_force = one } end
  end
  for _, row in ipairs(found) do
    local id = row.key:sub(#provider.name + 2)
    list[#list + 1] = { id = id, record = row.document, text = row.text, in_force = by_id[id] }
  end
  return list
end

local function require_one(of)
  local provider, id = key.provider(of.params.name), of.params.id
  if #id <= 200 then
    for _, one in ipairs(provider.keys) do
      if one.id == id then
        local record, text = rows.get("keys", provider.name .. "/" .. id)
        return { id = id, record = record, text = text, in_force = one }, provider
      end
    end
    local record, text = rows.get("keys", provider.name .. "/" .. id)
    if record then return { id = id, record = record, text = text }, provider end
  end
  problem.not_found(("key %q"):format(id))
end
key.require = require_one

-- What the cursor of a page names its last key by.
local STORED, WRITTEN = "s", "w"

local function mark_of(one) return (one.record and STORED or WRITTEN) .. one.id end

--- The place of the first key behind the one that a cursor names, also where that is gone by now:
--- stored ones are in the order of their ids; of router.lua's, which a reload changes, the list
--- begins anew.
local function place_behind(found, cursor)
  if not cursor then return 1 end
  for place, one in ipairs(found) do
    if mark_of(one) == cursor then return place + 1 end
  end
  if cursor:sub(1, 1) ~= STORED then return 1 end
  for place, one in ipairs(found) do
    if one.record and mark_of(one) > cursor then return place end
  end
  return #found + 1
end

local function list(of)
  local provider, cursor = key.provider(of.params.name), page.after(of)
  local found, items, last = all_of(provider), json.array {}, nil
  local from = place_behind(found, cursor)
  for place = from, math.min(#found, from + of.query.limit - 1) do
    local one = found[place]
    items[#items + 1] = key.view(provider.name, one.id, one.record, one.in_force)
    last = place < #found and mark_of(one) or nil
  end
  return 200, page.document(items, last)
end

-- ------------------------------------------------------------------------------------
-- Changing

local function view_of(one, provider)
  return key.view(provider.name, one.id, one.record, one.in_force)
end

local function fields_of(record) return { "etag", etag.of_version(record.version) } end

local function show(of)
  local one, provider = require_one(of)
  return 200, view_of(one, provider), one.record and fields_of(one.record) or nil
end

--- As it is once a change of its record is in force: this request knows of the generation before.
local function view_after(one, provider)
  local in_force = one.in_force
  if one.record.off then
    in_force = nil
  elseif not in_force then
    local secret = unseal(one, provider)
    in_force = secret and key.in_force(provider.name, secret)
  end
  return key.view(provider.name, one.id, one.record, in_force)
end

local function object_of(one, provider) return ("key/%s/%s"):format(provider.name, one.id) end

local ACTIONS = {
  ready = function(health) health:well() end,
  resting = function(health, body) health:rest(body.seconds or 3600, body.why or "by hand") end,
  disabled = function(health, body) health:disable(body.why or "by hand", body.seconds or 0) end,
}

local function set_state(of)
  local one, provider = require_one(of)
  if not one.in_force then
    problem.raise(409, "not_in_force", "the key is not in force, so that it has no state")
  end
  local before = view_of(one, provider)
  -- A rest does not wake what is disabled, and another one may be longer.
  if of.body.state == "resting" then one.in_force.health:well() end
  ACTIONS[of.body.state](one.in_force.health, of.body)
  local after = view_of(one, provider)
  change.commit(of, {}, { action = of.body.state, object = object_of(one, provider),
    before = before, after = after })
  return 200, after
end

local function update(of)
  local one, provider = require_one(of)
  if not one.record then
    problem.raise(409, "read_only", "the key stands in router.lua: change it there")
  end
  etag.check(of, etag.of_version(one.record.version))
  local before, record = view_of(one, provider), patch.merge(one.record, of.body)
  record.version, record.updated = one.record.version + 1, host.wall()
  local at = provider.name .. "/" .. one.id
  one.record = record
  local after = view_after(one, provider)
  change.configure(of, { { "expect", "keys", at, one.text }, { "put", "keys", at, record } },
    { action = "update", object = object_of(one, provider), before = before, after = after })
  return 200, after, fields_of(record)
end

local function remove(of)
  local one, provider = require_one(of)
  if not one.record then
    problem.raise(409, "read_only", "the key stands in router.lua: remove it there")
  end
  etag.check(of, etag.of_version(one.record.version))
  local at = provider.name .. "/" .. one.id
  change.configure(of, { { "expect", "keys", at, one.text }, { "delete", "keys", at } },
    { action = "delete", object = object_of(one, provider), before = view_of(one, provider) })
  return 204
end

-- ------------------------------------------------------------------------------------
-- Secrets

local function secret_of(one, provider)
  if one.in_force then return one.in_force.secret end
  local secret, why = unseal(one, provider)
  return secret or ("# %s: %s"):format(one.id, why)
end

--- One per line. Nothing is given before it is noted who asked.
local function export(of)
  account.check_again(of, of.body.password)
  local provider = key.provider(of.params.name)
  local found, lines = all_of(provider), {}
  for place, one in ipairs(found) do
    lines[place] = secret_of(one, provider)
    if place % 1000 == 0 then host.sleep(0) end
  end
  change.commit(of, {}, { action = "export", object = "provider/" .. provider.name,
    after = json.object { key_count = #lines } })
  lines[#lines + 1] = ""
  return 200, reply.raw("text/plain; charset=utf-8", table.concat(lines, "\n")),
    { "content-disposition", "attachment; filename=\"keys.txt\"" }
end

-- ------------------------------------------------------------------------------------

local PATH = "/api/v1/providers/{name}/keys"
local params = { name = stored.name_schema("name"),
  id = { type = "string", format = "line", minLength = 1 } }
local list_params = { name = params.name }
key.PATH, key.params, key.list_params = PATH, params, list_params

key.operations = {
  { id = "list_keys", method = "GET", path = PATH, tag = "keys", scope = "read",
    summary = "The keys of a provider, without their secrets", params = list_params,
    query = page.query(), run = list,
    responses = { { 200, "router.lua's first, then those that are stored.",
      page.schema(view_schema) } } },
  { id = "get_key", method = "GET", path = PATH .. "/{id}", tag = "keys", scope = "read",
    summary = "One key, without its secret", params = params, has_etag = true, is_live = true,
    run = show, responses = { { 200, "The key; router.lua's comes without an ETag.",
      view_schema } } },
  { id = "update_key", method = "PATCH", path = PATH .. "/{id}", tag = "keys", scope = "write",
    summary = "Change what stands beside a key that is stored", params = params, has_etag = true,
    body = schema.patch(schema.object({ label = { type = "string", maxLength = 200,
      format = "line" }, note = stored.COMMON.note, off = stored.COMMON.off })), errors = { 409 },
    run = update, responses = { { 200, "As it is now, in force.", view_schema } } },
  { id = "set_key_state", method = "POST", path = PATH .. "/{id}/state", tag = "keys",
    scope = "write", summary = "Disable, rest or enable a key by hand, at once", params = params,
    body = schema.object({ state = { enum = { "ready", "resting", "disabled" } },
      seconds = { type = "number", minimum = 1, maximum = 366 * 86400,
        description = "How long it rests (3600), or after which a disabled one is asked about "
          .. "(never)." },
      why = { type = "string", maxLength = 200, format = "line" } }, { "state" }),
    errors = { 409 }, run = set_state, responses = { { 200, "As it is now.", view_schema } } },
  { id = "delete_key", method = "DELETE", path = PATH .. "/{id}", tag = "keys", scope = "keys",
    summary = "Remove a key that is stored", params = params, has_etag = true,
    errors = { 409, 422 }, run = remove, responses = { { 204, "It is gone." } } },
  { id = "export_keys", method = "POST", path = PATH .. "/export", tag = "keys",
    scope = "session", summary = "The secrets of all keys of a provider, one per line",
    description = "For a person who enters his password again; noted in the audit log.",
    params = list_params, body = schema.object({ password = account.password }, { "password" }),
    errors = { 403, 429 }, run = export,
    responses = { { 200, "One per line.", { type = "string" }, "text/plain" } } },
}

return key
