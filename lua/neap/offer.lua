--- neap.offer: what clients may name in `model`, and what it stands for: a group, a provider's
--- model, or a model that several providers have. What there is at all is neap.catalog's: `self` is
--- one.

local catalog = require "neap.catalog"

local offer = {}

--- Without groups and providers a token may use everything; with one of them, that only.
local function may_use_group(token, name)
  return not token or (not token.groups and not token.providers)
    or (token.groups ~= nil and token.groups[name] == true)
end

local function may_use_provider(token, name)
  return not token or (not token.groups and not token.providers)
    or (token.providers ~= nil and token.providers[name] == true)
end

--- The group that a client's model stands for: group, provider/model, or a model that some
--- provider of the token offers. Returns nil and 404 or 403 where there is none.
function offer.resolve(self, token, model)
  local group = self.groups[model]
  if group then
    if may_use_group(token, model) then return group end
    return nil, 403
  end
  local provider_name, rest = model:match("^([^/]+)/(.+)$")
  local provider = provider_name and self.providers[provider_name]
  if provider and provider.is_on then
    if not may_use_provider(token, provider_name) then return nil, 403 end
    return catalog.implicit_group(self, model, { { provider = provider_name, model = rest } })
  end
  local targets, names = {}, {}
  for _, one in ipairs(self.provider_list) do
    if one.is_on and one.models[model] and may_use_provider(token, one.name) then
      targets[#targets + 1] = { provider = one.name, model = model }
      names[#names + 1] = one.name
    end
  end
  if not targets[1] then return nil, 404 end
  local shared = catalog.implicit_group(self, table.concat(names, "+") .. "\0" .. model, targets)
  shared.name = model
  return shared
end

--- The name of a provider that would have this model but is off, or nil.
function offer.off_provider(self, token, model)
  local name = model:match("^([^/]+)/.")
  for _, one in ipairs(self.provider_list) do
    if not one.is_on and (one.name == name or one.models[model])
        and may_use_provider(token, one.name) then
      return one.name
    end
  end
end

--- What a token may name in `model`: a sorted list of { id, owner }.
function offer.list(self, token)
  local list, seen = {}, {}
  local function add(id, owner)
    if not seen[id] then
      seen[id] = true
      list[#list + 1] = { id = id, owner = owner }
    end
  end
  for _, group in ipairs(self.group_list) do
    if may_use_group(token, group.name) then add(group.name, "neap") end
  end
  for _, provider in ipairs(self.provider_list) do
    if provider.is_on and may_use_provider(token, provider.name) then
      for model in pairs(provider.models) do
        -- A group of that name goes first, also where the token may not use it.
        if not self.groups[model] then add(model, provider.name) end
      end
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- What a token may name by this: one of offer.list, or one of a provider's own with its name
--- before it; nil where there is neither.
function offer.find(self, token, id)
  for _, model in ipairs(offer.list(self, token)) do
    if model.id == id then return model end
  end
  local name, rest = id:match("^([^/]+)/(.+)$")
  local provider = name and self.providers[name]
  if not provider or not provider.is_on or not provider.models[rest] then return nil end
  return may_use_provider(token, name) and { id = id, owner = name } or nil
end

return offer
