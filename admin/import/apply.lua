--- admin.import.apply: the rows that a plan becomes, on top of what is stored.
---
--- Nothing that is there is changed, but that a provider gets models and keys which it did not
--- have: what is found again is said, and importing the same twice writes nothing the second time.
--- Nothing is written here: the ops are, in one transaction, by whoever asked.

local free_name = require "admin.api.free_name"
local host = require "neap.host"
local json = require "neap.json"
local key = require "admin.api.key"
local record = require "admin.api.configuration_record"
local router = require "neap.router"
local source = require "admin.import.source"
local stored_settings = require "neap.stored_settings"
local suggest = require "neap.suggest"

local apply = {}

local STEM_MAX = 100 -- bytes of a name that is made

local Apply = {}
Apply.__index = Apply

for _, part in ipairs { require "admin.import.apply_tokens",
  require "admin.import.apply_numbers" } do
  for name, method in pairs(part) do Apply[name] = method end
end

-- ------------------------------------------------------------------------------------
-- What there is, and what will be

local function rows_of(flat)
  local rows = {}
  for index = 1, #(flat or {}), 2 do
    local document = json.decode(flat[index + 1])
    rows[flat[index]] = { text = flat[index + 1],
      document = json.is_object(document) and document or nil }
  end
  return rows
end

--- The document of a row as it will be, or nil.
function Apply:get(of_table, name)
  local row = self.rows[of_table][name]
  return row and row.document
end

--- Puts a document in the place of what there is; it is written once.
function Apply:put(of_table, name, document)
  local rows = self.rows[of_table]
  local row = rows[name]
  if not row then
    row = {}
    rows[name] = row
  end
  if not row.is_changed then
    row.is_changed = true
    self.changed[#self.changed + 1] = { of = of_table, name = name, row = row }
  end
  row.document = document
end

--- The names of a kind's stored records, sorted.
function Apply:names(kind)
  local names, front = {}, kind .. "/"
  for name, row in pairs(self.rows.config) do
    local is_one = name:sub(1, #front) == front and row.document
    if is_one then names[#names + 1] = name:sub(#front + 1) end
  end
  table.sort(names)
  return names
end

local LISTS = { provider = "providers", group = "groups", token = "tokens" }

function Apply:written(kind, name)
  for _, one in ipairs(router.kept().configuration[LISTS[kind]] or {}) do
    if one.name == name then return one end
  end
end

function Apply:is_taken(kind, name)
  return self:written(kind, name) ~= nil or self.rows.config[kind .. "/" .. name] ~= nil
end

--- A name that nothing of the kind has.
function Apply:free_name(kind, stem)
  return free_name(stem, function(name) return self:is_taken(kind, name) end)
end

function Apply:carried_over(text, ...) self.carried[#self.carried + 1] = text:format(...) end
function Apply:is_there(text, ...) self.there[#self.there + 1] = text:format(...) end

-- ------------------------------------------------------------------------------------
-- Secrets

--- Sealed, or in a dry run a stand-in; either can be opened here.
function Apply:seal(name, secret)
  local sealed, why
  if self.is_dry then
    self.sealed_count = self.sealed_count + 1
    sealed = ("dry-%d"):format(self.sealed_count)
  else
    sealed, why = host.seal("keys/" .. name, "secret", secret)
    if not sealed then source.fail("a key could not be sealed: %s", why) end
  end
  self.opened[sealed] = secret
  return sealed
end

function Apply:unseal(of, field, sealed)
  local secret = self.opened[sealed]
  if secret then return secret end
  return host.unseal(of, field, sealed)
end

--- The stored keys of providers: { [provider] = { [secret] = id } }.
function Apply:read_keys()
  local by_provider = {}
  for name, row in pairs(self.rows.keys) do
    local provider, id = name:match("^([^/]+)/(.+)$")
    local sealed = row.document and json.is_object(row.document.sealed)
      and row.document.sealed.secret
    local secret = provider and type(sealed) == "string" and host.unseal("keys/" .. name, "secret",
      sealed)
    if secret then
      by_provider[provider] = by_provider[provider] or {}
      by_provider[provider][secret] = id
    end
  end
  return by_provider
end

-- ------------------------------------------------------------------------------------
-- Providers

local function stem_of(wish)
  local stem = wish:gsub("^%a[%w+.-]*://([^/:]*).*$", "%1"):gsub("[^%w_.-]+", "-")
    :gsub("^[^%w_]+", ""):gsub("-+$", ""):sub(1, STEM_MAX)
  if stem == "" or stem == "state" then return "provider" end
  return stem
end

--- Whether a stored provider can be this one: at the same place, with a key in common.
function Apply:is_match(name, one)
  local document = self:get("config", "provider/" .. name)
  if self.claimed[name] or document.url ~= one.url or document.dialect ~= "openai" then
    return false
  end
  local secrets = self.secrets[name]
  if one.is_pool or (not one.keys[1] and not secrets) then return true end
  for _, given in ipairs(one.keys) do
    if secrets and secrets[given.secret] then return true end
  end
  return false
end

--- The name of the stored provider that this one is, or nil. One that has its name goes first.
function Apply:find_provider(one)
  local stem, found = stem_of(one.wish), nil
  for _, name in ipairs(self:names("provider")) do
    if self:is_match(name, one) and not self:written("provider", name) then
      if name == stem then return name end
      local is_alike = name:sub(1, #stem + 1) == stem .. "-"
      if not found or (is_alike and found:sub(1, #stem + 1) ~= stem .. "-") then found = name end
    end
  end
  return found
end

--- The models of a stored provider as an object: a list of names is one, too.
local function models_of(document)
  local models = json.object {}
  for name, prices in pairs(document and document.models or {}) do
    if type(name) == "number" then models[prices] = json.object {} else models[name] = prices end
  end
  return models
end

--- The models of a provider as it will be; none where there is none of this name.
function Apply:models_of(name)
  local written = self:written("provider", name)
  return written and written.models or models_of(self:get("config", "provider/" .. name))
end

--- Adds the models that it does not have; how many.
local function add_models(models, given)
  local count = 0
  for _, name in ipairs(suggest.sorted(given)) do
    if models[name] == nil then
      models[name] = json.object(given[name])
      count = count + 1
    end
  end
  return count
end

function Apply:next_key_id(provider)
  local number = self.key_numbers[provider] or 0
  repeat
    number = number + 1
  until not self.rows.keys[("%s/imported-%05d"):format(provider, number)]
  self.key_numbers[provider] = number
  return ("imported-%05d"):format(number)
end

local function key_document(self, given, name)
  return json.object { created = given.created, label = given.label, note = given.note,
    off = given.off, balance = given.balance, last4 = key.last4(given.secret),
    sealed = json.object { secret = self:seal(name, given.secret) } }
end

--- Adds the keys that it does not have; how many, and how many were there.
function Apply:add_keys(provider, list)
  local added, known, secrets = 0, 0, self.secrets[provider] or {}
  self.secrets[provider] = secrets
  for _, given in ipairs(list) do
    local problem = source.secret_problem(given.secret)
    if problem then
      self.plan:leave(("a key of %s (%s)"):format(provider, source.mask(given.secret)), problem)
    elseif secrets[given.secret] then
      known = known + 1
    else
      local id = self:next_key_id(provider)
      local name = provider .. "/" .. id
      secrets[given.secret] = id
      self:put("keys", name, key_document(self, given, name))
      added = added + 1
    end
  end
  return added, known
end

function Apply:add_provider(one)
  local name = self:find_provider(one)
  local is_new = not name
  name = name or self:free_name("provider", stem_of(one.wish))
  one.name, self.claimed[name] = name, true
  local before = self:get("config", "provider/" .. name)
  local document = before or json.object { dialect = "openai", url = one.url }
  local models = models_of(before)
  local model_count = add_models(models, one.models)
  if is_new then
    for field, value in pairs(one.fields) do document[field] = value end
  end
  if is_new or model_count > 0 then
    document.models = models
    self:put("config", "provider/" .. name, document)
  end
  local added, known = self:add_keys(name, one.keys)
  local gains = ("%s, %s"):format(source.count(added, "key"), source.count(model_count, "model"))
  if is_new then
    -- What stands behind a "?" may be a key.
    self:carried_over("provider %s: %s, %s", name, one.url:match("^[^?]*"), gains)
  else
    self:is_there("provider %s, with %s of %d", name, source.count(known, "key"), #one.keys)
    if added + model_count > 0 then self:carried_over("to provider %s: %s", name, gains) end
  end
end

-- ------------------------------------------------------------------------------------
-- Groups

local function has_target(document, provider, model)
  for _, one in ipairs(document.targets or {}) do
    if (one.provider or one[1]) == provider and (one.model or one[2]) == model then return true end
  end
  return false
end

function Apply:compare_group(group, document)
  local missing = 0
  for _, target in ipairs(group.targets) do
    if not has_target(document, target.provider.name, target.model) then missing = missing + 1 end
  end
  if missing == 0 then return self:is_there("group %s", group.name) end
  self:is_there("group %s; it stays as it is, without %s that it would have got", group.name,
    source.count(missing, "target"))
end

local function target_document(target)
  return json.object { provider = target.provider.name, model = target.model,
    priority = target.priority, weight = target.weight ~= 1 and target.weight or nil }
end

function Apply:add_group(group)
  local id = "group/" .. group.name
  local kind, problem = record.parse(id)
  if not kind then
    return self.plan:leave("group " .. source.shown(group.name), "it " .. problem)
  end
  if self:written("group", group.name) then
    return self.plan:leave("group " .. group.name, "router.lua has one of this name")
  end
  self.known_groups[group.name] = true
  local before = self:get("config", id)
  if before then return self:compare_group(group, before) end
  local targets = json.array {}
  for index, target in ipairs(group.targets) do targets[index] = target_document(target) end
  local document = json.object { targets = targets }
  for field, value in pairs(group.fields) do document[field] = value end
  self:put("config", id, document)
  self.made_groups[group.name] = true
  self:carried_over("group %s: %s", group.name, source.count(#targets, "target"))
end

-- ------------------------------------------------------------------------------------
-- Keywords and settings

function Apply:read_keywords()
  local by_text = {}
  for _, id in ipairs(self:names("keyword")) do
    by_text[host.fold(self:get("config", "keyword/" .. id).text or "")] = id
  end
  return by_text
end

function Apply:add_keyword(keyword)
  local folded = host.fold(keyword.text)
  keyword.name = self.keywords[folded]
  if keyword.name then return self:is_there("failure keyword %q", source.shown(keyword.text)) end
  local document = json.object { text = keyword.text, note = keyword.note, off = keyword.off }
  local pointer, problem = record.check("keyword", document)
  if pointer then
    return self.plan:leave(("failure keyword %q"):format(source.shown(keyword.text)),
      ("its %s %s"):format(pointer:sub(2), problem))
  end
  keyword.name = host.id()
  self.keywords[folded] = keyword.name
  self:put("config", "keyword/" .. keyword.name, document)
  self:carried_over("failure keyword %q%s", source.shown(keyword.text),
    keyword.off and ", switched off" or "")
end

function Apply:add_setting(name, given)
  local _, problem = stored_settings.schema[name]:check(given.value)
  if problem then
    return self.plan:leave(("%s = %s"):format(given.from, tostring(given.value)),
      ("the setting %s %s"):format(name, problem))
  end
  local before = self:get("config", "setting/" .. name)
  if before and before.value ~= nil then
    local is_same = before.value == given.value
    return self:is_there("setting %s = %s%s", name, tostring(before.value), is_same and ""
      or (", which stays: %s was %s"):format(given.from, tostring(given.value)))
  end
  self:put("config", "setting/" .. name, json.object { value = given.value })
  self:carried_over("setting %s = %s (%s)", name, tostring(given.value), given.from)
end

--- The value of a setting as it will be.
function Apply:setting(name)
  local document = self:get("config", "setting/" .. name)
  if document and document.value ~= nil then return document.value end
  return stored_settings.all({})[name]
end

-- ------------------------------------------------------------------------------------
-- Is it right?

--- Checks a record as an import over the API would.
local function check_record(one)
  local kind, name = one.name:match("^(%l+)/(.+)$")
  if one.of == "keys" then kind, name = "key", one.name end
  -- As it will be read: what is a list there is one here.
  local id, given = kind .. "/" .. name, json.decode(json.encode(one.row.document))
  local parsed, problem = record.parse(id)
  if not parsed then source.fail("%s %s", source.shown(id), problem) end
  given.version, given.updated = nil, nil
  if kind == "token" then
    given.digest, given.sealed = nil, json.object { digest = "checked elsewhere" }
  end
  local pointer, text = record.check(kind, given)
  if pointer then source.fail("%s: %s %s", source.shown(id), pointer, text) end
end

local function flat_of(rows)
  local names, flat = suggest.sorted(rows), {}
  for _, name in ipairs(names) do
    local row = rows[name]
    flat[#flat + 1] = name
    flat[#flat + 1] = row.is_changed and json.encode(row.document) or row.text
  end
  return flat
end

--- Raises where a load would leave out what it does not leave out now.
function Apply:rehearse()
  local made, configuration = router.rehearse(flat_of(self.rows.config), flat_of(self.rows.keys),
    function(...) return self:unseal(...) end)
  if not made then source.fail("nothing is imported: %s", configuration) end
  local loaded, known, lines = router.loaded(), {}, {}
  for _, one in ipairs(loaded.stored.errors) do known[one.record .. "\n" .. one.text] = true end
  for _, one in ipairs(configuration.stored.errors) do
    if not known[one.record .. "\n" .. one.text] then
      lines[#lines + 1] = ("  %s: %s"):format(one.record, one.text)
    end
  end
  if lines[1] then source.fail("nothing is imported:\n%s", table.concat(lines, "\n")) end
end

-- ------------------------------------------------------------------------------------

--- The versions and times that each write gives a record.
local function stamp(one, now)
  local document, before = one.row.document, one.row.text and json.decode(one.row.text)
  if one.of == "objects" then return end
  document.version = (before and before.version or 0) + 1
  document.created = document.created or before and before.created or now
  document.updated = now
end

--- The row of the audit log.
local function audit_op(now, plan, files)
  local id = host.id()
  return { "put", "objects", "audit/" .. id, json.encode(json.object { id = id, time = now,
    action = "import", object = "configuration", address = "", request_id = "",
    actor = json.object { kind = "program", name = "neap import" },
    after = json.object { files = json.array { unpack(files) }, left = #plan.left } }) }
end

--- All ops; none where nothing changes.
function Apply:ops(files)
  local ops = {}
  for _, one in ipairs(self.changed) do
    ops[#ops + 1] = { "expect", one.of, one.name, one.row.text }
    ops[#ops + 1] = { "put", one.of, one.name, json.encode(one.row.document) }
  end
  if ops[1] then ops[#ops + 1] = audit_op(self.now, self.plan, files) end
  return ops
end

local function new(plan, given)
  local objects = {}
  for name, text in pairs(given.objects("compat/")) do
    objects[#objects + 1], objects[#objects + 2] = name, text
  end
  local self = setmetatable({ plan = plan, is_dry = given.is_dry, now = host.wall(),
    rows = { config = rows_of(host.stored("config")), keys = rows_of(host.stored("keys")),
      objects = rows_of(objects) },
    changed = {}, carried = {}, there = {}, opened = {}, sealed_count = 0, claimed = {},
    models = {},
    key_numbers = {}, known_groups = {}, made_groups = {}, made_tokens = {},
    numbered = 0, renumbered = 0 }, Apply)
  for _, one in ipairs(router.kept().configuration.groups) do self.known_groups[one.name] = true end
  self.secrets, self.digests, self.keywords = self:read_keys(), self:read_tokens(),
    self:read_keywords()
  return self
end

--- What comes of the plan: `carried` and `there` (lines), `ops`; plan.left and plan.hints get more.
--- And for logs: `keys`, the ids of keys by provider and secret; `groups`, a set of names;
--- provider_of(id), the name of a provider by its old number; `record_age` and `zone`, as they are
--- set. Raises source.problem where anything is wrong.
---@param plan table
---@param given table is_dry, files, objects
function apply.run(plan, given)
  local self = new(plan, given)
  local had_token = router.loaded().needs_token or #router.kept().configuration.tokens > 0
  for _, one in ipairs(plan.providers) do self:add_provider(one) end
  for _, one in ipairs(plan.groups) do self:add_group(one) end
  for _, one in ipairs(plan.tokens) do self:add_token(one) end
  self:reconcile_all()
  for _, one in ipairs(plan.keywords) do self:add_keyword(one) end
  for _, name in ipairs(suggest.sorted(plan.settings)) do
    self:add_setting(name, plan.settings[name])
  end
  for _, one in ipairs(plan.numbers) do self:add_number(one) end
  self:tell_numbers()
  for _, one in ipairs(self.changed) do stamp(one, self.now) end
  for _, one in ipairs(self.changed) do
    if one.of ~= "objects" then check_record(one) end
  end
  self:rehearse()
  if next(self.made_tokens) and not had_token then
    plan:hint("From now on every client needs a token: there was none before.")
  end
  return { carried = self.carried, there = self.there, ops = self:ops(given.files),
    keys = self.secrets, groups = self.known_groups, record_age = self:setting("record_age"),
    zone = self:setting("time_zone"), provider_of = function(id)
      return self:provider_of_number(id)
    end }
end

return apply
