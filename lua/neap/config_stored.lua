--- The stored part of the configuration: what was made over the admin API, behind what router.lua
--- says.
---
---     config_stored.merge(configuration, {
---       config = { key, value, … },         -- rows "provider/NAME", "group/NAME", "token/NAME",
---                                           -- "setting/NAME", "keyword/ID", "policy/NAME"
---       keys = { key, value, … },           -- rows "PROVIDER/ID"
---       unseal = host.unseal,
---     }, { path = …, dialects = … })
---
--- A record has the fields of router.lua's word, and those of META. The same checks decide what is
--- right. What router.lua has under the same name wins, and the stored record is *shadowed*; one
--- that is wrong is left out with its error. Nothing that is stored keeps neap from starting, and
--- nothing that is wrong opens it: where there is any stored token, also one that is left out,
--- clients need one.

local config = require "neap.config"
local config_check = require "neap.config_check"
local config_url = require "neap.config_url"
local fields = require "neap.config_fields"
local json = require "neap.json"
local provider_secrets = require "neap.provider_secrets"
local stored_settings = require "neap.stored_settings"
local words = require "neap.config_words"

local stored = {}

--- What every record may have besides; `off = true` leaves it out without an error.
local META = { version = true, created = true, updated = true, note = true, off = true }

local LINE = 1 -- what the checks of router.lua want to know of each word; nobody sees it

--- Tokens and keys may have these, too, which are for showing.
local SHOWN = { prefix = true, last4 = true, label = true }

---@class neap.config.stored
---@field shadowed string[] records ("provider/a") that router.lua has under the same name
---@field errors { record: string, text: string }[] what is left out, and why

---@class neap.config.stored_rows
---@field config string[] key, value, key, value, …
---@field keys string[]
---@field unseal fun(record: string, field: string, sealed: string): string?, string?

-- ------------------------------------------------------------------------------------
-- Rows

--- Plain tables out of a JSON document, without what is null.
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, element in pairs(value) do
    if element ~= json.null then copy[key] = plain(element) end
  end
  return copy
end

local function decode(text)
  local value = json.decode(text)
  if value == nil or not json.is_object(value) then return nil end
  return plain(value)
end

--- A record's own fields, and what META has of it.
local function split(record, meta_of_kind)
  local own, meta = {}, {}
  for name, value in pairs(record) do
    local is_meta = META[name] or meta_of_kind and meta_of_kind[name]
    if is_meta then meta[name] = value else own[name] = value end
  end
  return own, meta
end

local Merge = {}
Merge.__index = Merge

function Merge:fail(record, text)
  local errors = self.report.errors
  errors[#errors + 1] = { record = record, text = text }
end

--- Runs a check on one record; returns what it makes, or nil where there was any error.
function Merge:check(record, word, name, check_fields)
  local check = config.new_check(self.options)
  local made = check_fields(check, { word = word, name = name, line = LINE })
  for _, reference in ipairs(check.references) do
    if not self.names[reference.word][reference.name] then
      check:fail(reference.at, ("%s: there is no %s %q"):format(reference.at.title, reference.word,
        reference.name))
    end
  end
  if #check.errors == 0 then return made end
  for _, problem in ipairs(check.errors) do self:fail(record, problem.text) end
end

--- The rows of the kinds that there are, decoded, in the order of their names.
function Merge:read(rows)
  local by_kind = { provider = {}, group = {}, token = {}, setting = {}, keyword = {},
    policy = {} }
  for index = 1, #rows, 2 do
    local kind, name = rows[index]:match("^(%w+)/(.*)$")
    self.has_token = self.has_token or kind == "token"
    local list = by_kind[kind]
    local record = list and decode(rows[index + 1])
    if list and not record then
      self:fail(rows[index], "it is no JSON object")
    elseif list then
      list[#list + 1] = { record = rows[index], name = name, value = record }
    end
  end
  return by_kind
end

-- ------------------------------------------------------------------------------------
-- Keys

function Merge:read_key(row, text, provider, id)
  local value = decode(text)
  if not value then return self:fail(row, "it is no JSON object") end
  local own, meta = split(value, SHOWN)
  if meta.off then return nil end
  local sealed = type(own.sealed) == "table" and own.sealed.secret
  if type(sealed) ~= "string" then return self:fail(row, "it has no sealed secret") end
  local secret, why = self.rows.unseal("keys/" .. row, "secret", sealed)
  if not secret then return self:fail(row, why) end
  own.sealed, own.secret, own.id = nil, secret, id
  return self:check(row, "provider", provider, function(check, declaration)
    return config_check.key(check, declaration, own)
  end)
end

--- The keys of all providers: { [provider] = { key, … } }.
function Merge:read_keys(rows)
  local by_provider = {}
  for index = 1, #rows, 2 do
    local provider, id = rows[index]:match("^([^/]+)/(.+)$")
    local key = provider and self:read_key(rows[index], rows[index + 1], provider, id)
    if key then
      key.is_stored, key.record = true, rows[index]
      by_provider[provider] = by_provider[provider] or {}
      table.insert(by_provider[provider], key)
    end
  end
  return by_provider
end

function Merge:shadow(record)
  local shadowed = self.report.shadowed
  shadowed[#shadowed + 1] = record
end

--- Puts stored keys behind those that a provider has.
function Merge:add_keys(provider, keys)
  local by_id, by_secret = {}, {}
  for _, key in ipairs(provider.keys) do by_id[key.id], by_secret[key.secret] = key, key end
  for _, key in ipairs(keys) do
    local same = by_id[key.id] or by_secret[key.secret]
    if not same then
      by_id[key.id], by_secret[key.secret] = key, key
      provider.keys[#provider.keys + 1] = key
    elseif same.is_stored then
      self:fail(key.record, ("it is the same key as %s"):format(same.id))
    else
      self:shadow(key.record)
    end
  end
  config_check.switch(provider)
end

-- ------------------------------------------------------------------------------------
-- Providers, groups, tokens

--- Checks one record as a word of router.lua.
function Merge:declare(entry, word, own, check_word)
  return self:check(entry.record, word, entry.name, function(check, declaration)
    declaration.fields = own
    local problem = config.word_problem(declaration, {})
    if problem then return check:fail_line(LINE, problem) end
    local made = check_word(check, declaration)
    if made then made.is_stored = true end
    return made
  end)
end

--- Adds the records of a kind; make(entry, own, meta) returns what is added, or nil.
function Merge:add(entries, word, list, make)
  for _, entry in ipairs(entries) do
    local own, meta = split(entry.value, word == "token" and SHOWN or nil)
    if self.names[word][entry.name] then
      self:shadow(entry.record)
    elseif not meta.off then
      local made = make(entry, own)
      if made then
        list[#list + 1] = made
        self.added[word][entry.name] = made
      end
    end
  end
  for name in pairs(self.added[word]) do self.names[word][name] = true end
end

function Merge:make_provider(entry, own)
  if entry.name == "state" then
    return self:fail(entry.record, "no provider is called \"state\": its keys would have no place")
  end
  if own.keys ~= nil then
    return self:fail(entry.record, "its keys are records of their own")
  end
  local why
  own, why = provider_secrets.open(own, function(field, sealed)
    return self.rows.unseal("config/" .. entry.record, field, sealed)
  end)
  if not own then return self:fail(entry.record, why) end
  local is_private_allowed = self.configuration.private_upstreams
  if not is_private_allowed and type(own.url) == "string" and config_url.is_private(own.url) then
    return self:fail(entry.record,
      "its URL is at a private address, which takes private_upstreams = true in router.lua")
  end
  local provider = self:declare(entry, "provider", own, config_check.provider)
  -- A name may lead to a private address as well: that is seen when it is connected to.
  if provider and not is_private_allowed then provider.options.private = false end
  return provider
end

--- use(name, settings) is a word of router.lua: JSON has { "name": …, "settings": … }.
local function entries_of_chain(list)
  if type(list) ~= "table" then return list end
  local chain = {}
  for place, one in pairs(list) do
    local is_use = type(one) == "table" and one.name ~= nil
    chain[place] = is_use and words.use(one.name, one.settings, LINE) or one
  end
  return chain
end

function Merge:make_group(entry, own)
  own.policies, own.fallback = entries_of_chain(own.policies), entries_of_chain(own.fallback)
  return self:declare(entry, "group", own, config_check.group)
end

function Merge:make_token(entry, own)
  return self:declare(entry, "token", own, config_check.stored_token)
end

--- The keys belong to the stored provider of their name, or to router.lua's where there is none.
function Merge:share_keys(by_provider, entries)
  local is_record, providers = {}, {}
  for _, entry in ipairs(entries) do is_record[entry.name] = true end
  for _, provider in ipairs(self.configuration.providers) do providers[provider.name] = provider end
  for name, keys in pairs(by_provider) do
    local provider = providers[name]
    if provider and (provider.is_stored or not is_record[name]) then
      self:add_keys(provider, keys)
    elseif provider then
      for _, key in ipairs(keys) do self:shadow(key.record) end
    elseif not is_record[name] then
      for _, key in ipairs(keys) do
        self:fail(key.record, ("there is no provider %q"):format(name))
      end
    end
  end
end

-- ------------------------------------------------------------------------------------
-- Settings and keywords

function Merge:read_settings(entries)
  local values = {}
  for _, entry in ipairs(entries) do
    local own, meta = split(entry.value)
    local schema = stored_settings.schema[entry.name]
    local problem = not schema and "there is no such setting"
      or own.value == nil and "it has no value" or select(2, schema:check(own.value))
    if problem then
      self:fail(entry.record, ("%s: %s"):format(entry.name, problem))
    elseif not meta.off then
      values[entry.name] = own.value
    end
  end
  return values
end

function Merge:read_keywords(entries)
  local keywords = {}
  for _, entry in ipairs(entries) do
    local own, meta = split(entry.value)
    local text = self:check(entry.record, "keyword", entry.name, function(check, declaration)
      return fields.text(check, own.text, check:place(declaration):field("text"))
    end)
    if text and not meta.off then keywords[#keywords + 1] = text end
  end
  return keywords
end

--- The texts of policies by name. Whether they can run is seen where they are loaded.
function Merge:read_policies(entries)
  local policies = {}
  for _, entry in ipairs(entries) do
    local own, meta = split(entry.value)
    if type(own.text) ~= "string" or not entry.name:find("^[%w_][%w_-]*$") then
      self:fail(entry.record, "it is no policy: a name, and a text")
    elseif not meta.off then
      policies[entry.name] = own.text
    end
  end
  return policies
end

-- ------------------------------------------------------------------------------------

local function names_of(list)
  local names = {}
  for _, one in ipairs(list) do names[one.name] = true end
  return names
end

local function sort(report)
  table.sort(report.shadowed)
  table.sort(report.errors, function(a, b)
    if a.record ~= b.record then return a.record < b.record end
    return a.text < b.text
  end)
end

--- Adds what is stored to a configuration of config.load, and says in configuration.stored what of
--- it is in force and what is not. rows nil: nothing is stored.
---@param configuration table
---@param rows neap.config.stored_rows?
---@param options { path: string, dialects: string[]? }
function stored.merge(configuration, rows, options)
  local self = setmetatable({
    configuration = configuration, rows = rows, options = options,
    report = { shadowed = {}, errors = {} },
    names = { provider = names_of(configuration.providers), group = names_of(configuration.groups),
      token = names_of(configuration.tokens) },
    added = { provider = {}, group = {}, token = {} },
  }, Merge)
  local of = self:read(rows and rows.config or {})
  self:add(of.provider, "provider", configuration.providers,
    function(entry, own) return self:make_provider(entry, own) end)
  self:share_keys(self:read_keys(rows and rows.keys or {}), of.provider)
  self:add(of.group, "group", configuration.groups,
    function(entry, own) return self:make_group(entry, own) end)
  self:add(of.token, "token", configuration.tokens,
    function(entry, own) return self:make_token(entry, own) end)
  configuration.needs_token = self.has_token or false
  local values, keywords = self:read_settings(of.setting), self:read_keywords(of.keyword)
  configuration.settings = stored_settings.all(values)
  configuration.of_policies = stored_settings.of_policies(values, keywords)
  configuration.stored_policies = self:read_policies(of.policy)
  sort(self.report)
  configuration.stored = self.report
end

return stored
