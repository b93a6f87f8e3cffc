--- admin.api.compat.targets: what the replaced systems call a provider or a provider's model: one
--- model at one address with one key. In neap: a model of a provider, and where groups name it.

local draft = require "admin.api.compat.draft"
local json = require "neap.json"
local keys = require "admin.api.compat.keys"
local openai = require "neap.dialect.openai"
local personal_keys = require "admin.api.compat.personal_keys"
local suggest = require "neap.suggest"

local targets = {}

---@class admin.compat.target
---@field name string "provider/model": what its number stands for
---@field provider table as it is in force
---@field model string
---@field prices table

function targets.name(provider, model) return provider .. "/" .. model end

---@return string provider, string model
function targets.split(name) return name:match("^([^/]+)/(.+)$") end

--- All that there are, and those that groups name although their provider does not list them.
---@return admin.compat.target[]
function targets.all()
  local list, seen, providers = {}, {}, {}
  local function add(provider, model)
    local name = targets.name(provider.name, model)
    if seen[name] then return end
    seen[name] = true
    list[#list + 1] = { name = name, provider = provider, model = model,
      prices = provider.models[model] or {} }
  end
  for _, provider in ipairs(draft.in_force("provider")) do
    providers[provider.name] = provider
    for _, model in ipairs(suggest.sorted(provider.models)) do add(provider, model) end
  end
  for _, group in ipairs(draft.in_force("group")) do
    for _, target in ipairs(group.targets) do
      local provider = providers[target.provider]
      if provider then add(provider, target.model) end
    end
  end
  return list
end

-- ------------------------------------------------------------------------------------
-- Addresses

--- The URL that requests of a provider go to.
function targets.endpoint(provider)
  if provider.dialect ~= "openai" then return provider.url end
  return openai.url(provider.url, "chat")
end

--- A provider's url that leads to an address of chat completions, or to the one that is meant by a
--- shorter one.
function targets.url(endpoint)
  local base = endpoint:match("^(.*)/chat/completions/?$")
  if base then return base:find("/v1$") and base or base .. "/" end
  local path = endpoint:match("^%a[%w+.-]*://[^/]*(.*)$") or ""
  path = path:gsub("/$", "")
  if path == "" or path:find("/v1$") then return (endpoint:gsub("/$", "")) end
  return endpoint .. "#"
end

--- A name for a provider at a URL that nothing has yet.
function targets.new_name(made, wish)
  local stem = wish:gsub("^%a[%w+.-]*://", ""):match("^[^/:]*")
  stem = stem:gsub("[^%w_.-]", "-"):gsub("^[^%w_]+", ""):sub(1, 100)
  if stem == "" or stem == "state" then stem = "provider" end
  return made:free_name("provider", stem)
end

--- The stored provider of a URL and a key, made where there is none. Its key, too. Waits.
---@param made table a draft
---@return string name
function targets.provider_for(made, url, secret)
  for _, provider in ipairs(draft.in_force("provider")) do
    if provider.is_stored and provider.url == url then
      for _, key in ipairs(keys.of(provider.name)) do
        if key.secret == secret then return provider.name end
      end
    end
  end
  local name = targets.new_name(made, url)
  made:put("provider", name, json.object { dialect = "openai", url = url,
    models = json.object {} })
  keys.add(made.ops, name, secret)
  return name
end

-- ------------------------------------------------------------------------------------
-- Changing

--- The stored provider's models as an object: a list of names is one, too.
local function models_of(record)
  local models = json.object {}
  for name, prices in pairs(record.models or {}) do
    if type(name) == "number" then models[prices] = json.object {} else models[name] = prices end
  end
  return models
end

--- A model's prices as they are stored.
function targets.prices(made, provider, model)
  return models_of(made:require("provider", provider))[model] or {}
end

--- Gives the model to the provider, with these prices.
function targets.put_model(made, provider, model, prices)
  local record = made:require("provider", provider)
  record.models = models_of(record)
  record.models[model] = json.object(prices or {})
  made:put("provider", provider, record)
end

--- The target of a stored group that is this one, and its place.
local function find_in(record, provider, model)
  for index, target in ipairs(record.targets or {}) do
    if (target.provider or target[1]) == provider and (target.model or target[2]) == model then
      return target, index
    end
  end
end
targets.find_in = find_in

--- The stored groups that name the target.
local function groups_with(made, provider, model)
  local names = {}
  for _, group in ipairs(draft.in_force("group")) do
    local record = group.is_stored and made:get("group", group.name)
    if record and find_in(record, provider, model) then names[#names + 1] = group.name end
  end
  return names
end

--- Puts the target into a group at this priority, or gives it that.
function targets.join(made, group, provider, model, priority)
  local record = made:require("group", group)
  local target = find_in(record, provider, model)
  if not target then
    target = json.object { provider = provider, model = model }
    record.targets = record.targets or json.array {}
    record.targets[#record.targets + 1] = target
  end
  target.priority = priority
  made:put("group", group, record)
end

--- Takes the target out of a group; whether it was in it.
function targets.leave(made, group, provider, model)
  local record = made:require("group", group)
  local _, index = find_in(record, provider, model)
  if not index then return false end
  table.remove(record.targets, index)
  made:put("group", group, record)
  return true
end

--- Removes a provider with its keys; nobody's token names it any more. Waits.
---@param own string? the token that goes with it; see admin.api.compat.personal_keys
function targets.remove_provider(made, provider, own)
  personal_keys.forget(made, provider, own)
  for model in pairs(models_of(made:require("provider", provider))) do
    for _, group in ipairs(groups_with(made, provider, model)) do
      targets.leave(made, group, provider, model)
    end
  end
  made:put("provider", provider, nil)
  for _, key in ipairs(keys.of(provider)) do
    if key.row then keys.remove(made.ops, key) end
  end
end

--- Removes the model from its provider and from groups; a provider without models goes, too, where
--- is_last_kept does not say otherwise. Waits.
function targets.remove_model(made, provider, model, is_last_kept)
  local record = made:require("provider", provider)
  for _, group in ipairs(groups_with(made, provider, model)) do
    targets.leave(made, group, provider, model)
  end
  record.models = models_of(record)
  record.models[model] = nil
  made:put("provider", provider, record)
  if not is_last_kept and not next(record.models) then targets.remove_provider(made, provider) end
end

--- Takes the target out of what is in force: nothing reaches it any more. Returns what puts it
--- back.
---@return { prices: table, groups: table<string, table> }
function targets.switch_off(made, provider, model)
  local off = json.object { prices = targets.prices(made, provider, model),
    groups = json.object {} }
  for _, group in ipairs(groups_with(made, provider, model)) do
    off.groups[group] = find_in(made:get("group", group), provider, model)
  end
  targets.remove_model(made, provider, model, true)
  return off
end

--- Puts it back, into those of its groups that there are.
function targets.switch_on(made, provider, model, off)
  targets.put_model(made, provider, model, off.prices)
  for group, target in pairs(off.groups) do
    local record = made:get("group", group)
    if record then
      record.targets = record.targets or json.array {}
      record.targets[#record.targets + 1] = target
      made:put("group", group, record)
    end
  end
end

--- Puts one target in the place of another, in groups, too. The other's model is there.
function targets.replace(made, provider, model, other_provider, other_model, is_last_kept)
  for _, group in ipairs(groups_with(made, provider, model)) do
    local record = made:require("group", group)
    local target = find_in(record, provider, model)
    target[1], target[2] = nil, nil
    target.provider, target.model = other_provider, other_model
    made:put("group", group, record)
  end
  targets.remove_model(made, provider, model, is_last_kept)
end

return targets
