--- neap.catalog: what a generation offers: providers, keys, targets, groups and tokens.
---
--- Built once per state from a checked configuration (neap.config). Policies see targets and
--- keys as objects; the library works on their insides.

local bodies = require "neap.bodies"
local host = require "neap.host"
local object = require "neap.object"
local prices = require "neap.price"
local stored_settings = require "neap.stored_settings"
local usage = require "neap.usage"

local catalog = {}

local SECONDS_MAX = 1e9 -- as the host has it: some thirty years

local function seconds(value, what)
  if type(value) ~= "number" or not (value >= 0 and value < SECONDS_MAX) then
    error(what .. " takes a number of seconds", 3)
  end
  return value
end

--- A moment of self:now()'s clock; without one, now.
local function moment(value, what)
  if value == nil then return host.now() end
  if type(value) ~= "number" or not (value > -1e9 and value < 1e9) then
    error(what .. " takes a time of self:now()", 3)
  end
  return value
end

local function token_count(value, what)
  if type(value) ~= "number" or not (value >= 0 and value <= usage.COUNT_MAX) then
    error(what .. " takes counts of tokens", 3)
  end
  return math.ceil(value)
end

local function text(value, what)
  if type(value) ~= "string" then error(what .. " takes a reason as text", 3) end
  return value
end

-- ------------------------------------------------------------------------------------
-- Targets and keys

catalog.Target = object.class("target", {
  fields = { "name", "provider", "model", "priority", "weight", "price" },
  of_health = { "in_flight", "state", "rests", "is_well" },
  getters = {
    latency = function(self)
      local latency = self.health:view().latency
      return latency > 0 and latency or nil
    end,
  },
  methods = {
    rest = function(self, time, why)
      local inside = object.check(catalog.Target, self, "the target")
      inside.health:rest(seconds(time, "rest"), text(why or "", "rest"))
    end,
    probe = function(self)
      return object.check(catalog.Target, self, "the target").health:probe()
    end,
    well = function(self, at)
      object.check(catalog.Target, self, "the target").health:well(moment(at, "well"))
    end,
    fail = function(self, at, window)
      local inside = object.check(catalog.Target, self, "the target")
      return inside.health:fail(moment(at, "fail"), seconds(window, "fail"))
    end,
    --- USD for a prompt and an answer of so many tokens; nil where the model has no prices.
    cost = function(self, prompt, completion)
      local inside = object.check(catalog.Target, self, "the target")
      local table_of = inside.at.prices[inside.model]
      local used = usage.new { in_fresh = token_count(prompt, "cost"),
        out_total = token_count(completion or 0, "cost") }
      return table_of and prices.cost(table_of, used) / 1e6
    end,
  },
})

--- A key's health for one model, where a policy rested it for that one.
local function model_health(key, model)
  local known = key.by_model[model]
  if known == nil then
    known = host.health(key.health_name .. "\0" .. model)
    key.by_model[model] = known
  end
  return known
end

--- The health of a key, as seen from a target, for the target's model alone.
local function own_health(inside)
  local own = inside.own_health or model_health(inside.key, inside.model)
  inside.own_health = own
  return own
end

local function key_view(inside)
  local view = inside.health:view()
  if view.state ~= "ready" then return view end
  -- Another worker may have rested it for the model: the host is asked, not what is known here.
  local own = own_health(inside)
  return own:is_ready() and view or own:view()
end

--- A key as seen from one target: what rests for the target's model alone counts here.
catalog.Key = object.class("key", {
  fields = { "id" },
  of_health = { "in_flight", "rests" },
  getters = {
    state = function(self) return self.health:state(self.own_health or own_health(self)) end,
    since = function(self) return key_view(self).since end,
    remaining = function(self) return key_view(self).remaining end,
    why = function(self) return key_view(self).why end,
    -- What a refresh has stored, else what the configuration says.
    balance = function(self) return self.health:balance() or self.key.balance end,
  },
  methods = {
    rest = function(self, time, why, model)
      local inside = object.check(catalog.Key, self, "the key")
      local health = model and model_health(inside.key, model) or inside.health
      health:rest(seconds(time, "rest"), text(why or "", "rest"))
    end,
    disable = function(self, why, probe_seconds)
      local inside = object.check(catalog.Key, self, "the key")
      inside.health:disable(text(why, "disable"),
        probe_seconds ~= nil and seconds(probe_seconds, "disable") or nil)
    end,
    probe = function(self) return object.check(catalog.Key, self, "the key").health:probe() end,
    well = function(self)
      local inside = object.check(catalog.Key, self, "the key")
      inside.health:well()
      local other = inside.key.by_model[inside.model]
      if other then other:well() end
    end,
  },
})

-- Each attempt asks for these: kept at hand.
local Target, Key, object_inside = catalog.Target, catalog.Key, object.inside

--- The name of a key's health. It is found by the secret, not by its place: reordering loses
--- nothing.
---@param provider string its name
---@param secret string
---@return string
function catalog.key_health(provider, secret)
  return "key\0" .. provider .. "\0" .. host.digest(secret)
end

--- The name of a target's health.
function catalog.target_health(provider, model) return "target\0" .. provider .. "\0" .. model end

local function make_key(provider, given)
  local name = catalog.key_health(provider.name, given.secret)
  return { id = given.id, secret = given.secret, balance = given.balance, health_name = name,
    health = host.health(name), by_model = {} }
end

--- The price by which targets are ordered: USD per million tokens, in and out together.
local function price_of(provider, model)
  local price = provider.models[model]
  if type(price) ~= "table" or not price.input and not price.output then return nil end
  return (price.input or 0) + (price.output or 0)
end

local function make_target(self, provider, given)
  local name = provider.name .. "/" .. given.model
  local inside = {
    name = name, provider = provider.name, model = given.model, priority = given.priority or 1,
    weight = given.weight or 1, price = price_of(provider, given.model),
    at = provider, health = host.health(catalog.target_health(provider.name, given.model)),
    keys = {}, ways = {},
  }
  for index, key in ipairs(provider.keys) do
    inside.keys[index] =
      object.fixed(catalog.Key, { id = key.id, key = key, model = given.model, name = key.id,
        health = key.health })
  end
  self.target_count = self.target_count + 1
  return object.fixed(catalog.Target, inside)
end

local function make_way(target, inside, key)
  local key_inside = key and object_inside(Key, key)
  local provider = inside.at
  return {
    target = target, key = key, target_name = inside.name, key_id = key_inside and key_inside.id,
    provider = provider.name, model = inside.model, at = provider, dialect = provider.dialect,
    prices = provider.prices[inside.model], secret = key_inside and key_inside.key.secret,
    health = { inside.health, key_inside and key_inside.health }, routes = {}, stream_routes = {},
  }
end

--- What is the same for all attempts at a target with a key (nil: without one), made once: objects
--- and names of both, the `provider`'s name and itself (`at`), its `dialect`, the `model` and its
--- `prices`, the key's `secret`, the `health` of both; and the `routes` and
--- `stream_routes` that neap.attempt keeps there.
function catalog.way(target, key)
  local inside = object_inside(Target, target)
  local way = inside.ways[key or "none"]
  if not way then
    way = make_way(target, inside, key)
    inside.ways[key or "none"] = way
  end
  return way
end

-- ------------------------------------------------------------------------------------
-- Providers, groups, tokens

local function load_dialect(name)
  return require("neap.dialect." .. name)
end

local function make_provider(given)
  local provider = {
    name = given.name, dialect = load_dialect(given.dialect), url = given.url,
    is_on = given.is_on, models = given.models, timeouts = given.timeouts,
    timeouts_given = given.timeouts_given or {}, proxy = given.proxy or {},
    headers = given.headers or {}, forward = given.forward or {}, options = given.options or {},
    balance = given.balance, keys = {}, turn = "turn\0" .. given.name, prices = {},
  }
  for model, table_of in pairs(given.models) do
    provider.prices[model] = prices.compile(table_of, provider.dialect.price_factors)
  end
  for index, key in ipairs(given.keys) do provider.keys[index] = make_key(provider, key) end
  return provider
end

--- By priority, then price (unknown last), then as written.
local function sort_targets(targets)
  local place = {}
  for index, target in ipairs(targets) do place[target] = index end
  table.sort(targets, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    local price_a, price_b = a.price or math.huge, b.price or math.huge
    if price_a ~= price_b then return price_a < price_b end
    return place[a] < place[b]
  end)
  return targets
end

local function make_group(self, given)
  local targets = {}
  for _, target in ipairs(given.targets or {}) do
    local provider = self.providers[target.provider]
    if provider and provider.is_on then
      targets[#targets + 1] = make_target(self, provider, target)
    end
  end
  return {
    name = given.name, targets = sort_targets(targets), timeouts = given.timeouts or {},
    attempts = given.limits and given.limits.attempts or 6,
    seconds = given.limits and given.limits.seconds or 900,
    on_disconnect = given.on_disconnect or "cancel", bodies = given.bodies, given = given,
  }
end

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function from_hex(digits)
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function make_token(given)
  return {
    name = given.name, groups = set_of(given.groups), providers = set_of(given.providers),
    expires = given.expires, rights = given.rights or {}, bodies = given.bodies,
  }
end

--- The catalog of a configuration. Chains are put in by neap.chain.
function catalog.new(configuration)
  local self = {
    providers = {}, provider_list = {}, groups = {}, group_list = {}, tokens = {},
    implicit = {}, target_count = 0, key_count = 0, cors = configuration.cors,
    is_guessing = configuration.guess_conversations ~= false,
    has_tokens = #configuration.tokens > 0 or configuration.needs_token == true,
    of_policies = configuration.of_policies or stored_settings.of_policies(),
    keeps_bodies = bodies.are_kept(configuration),
    body_size = (configuration.settings or stored_settings.all()).body_size,
  }
  for _, given in ipairs(configuration.providers) do
    local provider = make_provider(given)
    self.providers[given.name] = provider
    self.provider_list[#self.provider_list + 1] = provider
    self.key_count = self.key_count + #provider.keys
  end
  for _, given in ipairs(configuration.groups) do
    local group = make_group(self, given)
    self.groups[given.name] = group
    self.group_list[#self.group_list + 1] = group
  end
  for _, given in ipairs(configuration.tokens) do
    local digest = given.secret and host.digest(given.secret) or from_hex(given.digest)
    -- router.lua's come first: a stored one with the same secret changes nothing.
    self.tokens[digest] = self.tokens[digest] or make_token(given)
  end
  return self
end

--- Takes a group out again, whose chain is not what can run.
function catalog.remove_group(self, group)
  self.groups[group.name] = nil
  for place, one in ipairs(self.group_list) do
    if one == group then return table.remove(self.group_list, place) end
  end
end

--- The implicit group of some targets, made once and kept: its name stands in records.
function catalog.implicit_group(self, name, targets)
  local group = self.implicit[name]
  if not group then
    group = make_group(self, { name = name, targets = targets })
    group.chain, group.is_implicit = self.default_chain, true
    -- Names come from clients, but only ones that a provider offers or that name a provider: a
    -- client that makes up models behind a provider's name must not fill the memory.
    if self.target_count < 10000 then self.implicit[name] = group end
  end
  return group
end

-- ------------------------------------------------------------------------------------
-- Orders

local function goes_before(a, b)
  if a.is_ready ~= b.is_ready then return a.is_ready end
  if not a.is_ready and a.remaining ~= b.remaining then return a.remaining < b.remaining end
  if a.inside.priority ~= b.inside.priority then return a.inside.priority < b.inside.priority end
  local price_a, price_b = a.inside.price or math.huge, b.inside.price or math.huge
  if price_a ~= price_b then return price_a < price_b end
  if a.in_flight ~= b.in_flight then return a.in_flight < b.in_flight end
  return a.place < b.place
end

--- The targets of a group as the host orders them for a request: priority, price, in flight;
--- resting ones last, in the order in which they wake. The list is not to be changed.
function catalog.order_targets(group)
  local targets = group.targets
  if not targets[2] then return targets end
  local entries = {}
  for place, target in ipairs(targets) do
    local inside = object_inside(Target, target)
    local is_ready = inside.health:is_ready()
    entries[place] = {
      target = target, inside = inside, place = place, is_ready = is_ready,
      in_flight = inside.health:in_flight(),
      remaining = is_ready and 0 or inside.health:view().remaining or math.huge,
    }
  end
  table.sort(entries, goes_before)
  local list = {}
  for index, entry in ipairs(entries) do list[index] = entry.target end
  return list
end

local function twice(list)
  local made, count = host.copy_list(list), #list
  for place = 1, count do made[count + place] = list[place] end
  return made
end

--- The keys of a target, where there are several twice, one behind the other, and the place from
--- which on they stand in turn order: one counter per provider, for all workers. The list is not to
--- be changed.
function catalog.take_turn(target)
  local inside = object_inside(Target, target)
  local keys = inside.keys
  if not keys[2] then return keys end
  local turn = host.shared_add(inside.at.turn, 1) or 1
  inside.keys_twice = inside.keys_twice or twice(keys)
  return inside.keys_twice, (turn - 1) % #keys + 1
end

return catalog
