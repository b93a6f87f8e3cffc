--- admin.import.apply_tokens: the tokens of a plan, as methods of admin.import.apply's, and what
--- new groups mean for those that there are.

local host = require "neap.host"
local json = require "neap.json"
local key = require "admin.api.key"
local router = require "neap.router"
local source = require "admin.import.source"
local store = require "neap.store"

local STEM_MAX = 100    -- bytes of a name that is made
local SECRET_WEAK = 16  -- a token that is shorter can be guessed

local Tokens = {}

-- ------------------------------------------------------------------------------------
-- Tokens

--- The stored tokens by their digests.
function Tokens:read_tokens()
  local by_digest = {}
  for _, name in ipairs(self:names("token")) do
    local digest = self:get("config", "token/" .. name).digest
    if digest then by_digest[digest] = name end
  end
  for _, one in ipairs(router.kept().configuration.tokens) do
    if one.secret then by_digest[store.digest_text(host.digest(one.secret))] = one.name end
  end
  return by_digest
end

local function add_names(list, names)
  local seen = {}
  for _, name in ipairs(list or {}) do seen[name] = true end
  for _, name in ipairs(names or {}) do
    if not seen[name] then
      seen[name] = true
      list = list or json.array {}
      list[#list + 1] = name
    end
  end
  return list
end

--- The names of what it may use; nil for none.
function Tokens:uses_of(token)
  local groups, providers = {}, {}
  for _, name in ipairs(token.groups or {}) do
    if self.known_groups[name] then groups[#groups + 1] = name end
  end
  for _, provider in ipairs(token.providers or {}) do providers[#providers + 1] = provider.name end
  return groups, providers
end

local function token_name(wish)
  local name = wish:gsub("[%c\127]+", " "):match("^%s*(.-)%s*$"):sub(1, STEM_MAX)
  return name ~= "" and name or "token"
end

--- What is wrong with the plan's token, or nil.
local function token_problem(token, groups, providers)
  local problem = source.secret_problem(token.secret)
  if problem then return problem end
  if not token.is_for_all and not groups[1] and not providers[1] then
    return "nothing that it may use is carried over"
  end
end

function Tokens:add_token(token)
  local groups, providers = self:uses_of(token)
  local problem = token_problem(token, groups, providers)
  if problem then
    return self.plan:leave(("token %s (%s)"):format(source.shown(token.wish),
      source.mask(token.secret)), problem)
  end
  local digest = store.digest_text(host.digest(token.secret))
  local name = self.digests[digest]
  if name and not self.made_tokens[name] then
    token.name = name
    return self:is_there("token %s (%s)", name, source.mask(token.secret))
  end
  local document = name and self:get("config", "token/" .. name) or json.object { digest = digest,
    prefix = token.secret:match("^sk%-") or "", last4 = key.last4(token.secret) }
  for field, value in pairs(token.fields) do document[field] = value end
  document.groups, document.providers = add_names(document.groups, groups),
    add_names(document.providers, providers)
  token.name = name or self:free_name("token", token_name(token.wish))
  self.digests[digest], self.made_tokens[token.name] = token.name, true
  self:put("config", "token/" .. token.name, document)
  if name then return end
  self:carried_over("token %s (%s)%s", token.name, source.mask(token.secret),
    document.off and ", switched off" or "")
  if #token.secret < SECRET_WEAK then
    self.plan:hint(("The token %s is shorter than %d characters, so that it can be guessed: "
      .. "replace it soon."):format(token.name, SECRET_WEAK))
  end
end

-- ------------------------------------------------------------------------------------
-- Groups that have the names of models

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

--- Whether one of the providers lists the model.
function Tokens:offers(providers, model)
  for _, name in ipairs(providers) do
    local models = self.models[name]
    if not models then
      models = self:models_of(name)
      self.models[name] = models
    end
    if models[model] then return true end
  end
  return false
end

local function is_within(group, providers)
  for _, target in ipairs(group.targets or {}) do
    if not providers[target.provider or target[1]] then return false end
  end
  return true
end

--- A model's name that a token may use by its providers means a group from then on that a group
--- has this name. Where the group leads to nothing else than these providers, the token gets it;
--- else somebody has to decide.
function Tokens:reconcile(name, document)
  local providers, groups = set_of(document.providers), set_of(document.groups)
  local gained, lost = {}, {}
  for _, group in ipairs(self:names("group")) do
    local is_new = self.made_tokens[name] or self.made_groups[group]
    if is_new and not groups[group] and self:offers(document.providers, group) then
      local is_mine = is_within(self:get("config", "group/" .. group), providers)
      table.insert(is_mine and gained or lost, group)
    end
  end
  if gained[1] then
    document.groups = add_names(document.groups, gained)
    self:put("config", "token/" .. name, document)
    if not self.made_tokens[name] then
      self:carried_over("to token %s: %s", name, source.count(#gained, "group"))
    end
  end
  if lost[1] then
    self.plan:leave(("%s for token %s"):format(table.concat(lost, ", "), name), "a group of this "
      .. "name leads to other providers, too: give the token the group, or let it ask for "
      .. "PROVIDER/MODEL")
  end
end

function Tokens:reconcile_all()
  for _, name in ipairs(self:names("token")) do
    local document = self:get("config", "token/" .. name)
    if document.providers and document.providers[1] then self:reconcile(name, document) end
  end
end

return Tokens
