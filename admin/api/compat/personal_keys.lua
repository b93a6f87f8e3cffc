--- admin.api.compat.personal_keys: clients' keys that the administrator thinks up himself, and that
--- several providers may share. In neap: a token of that secret, which may use these providers.
---
--- Only the digest of a secret is kept. A token that loses its last provider goes, since one
--- without any could use all; one that somebody else looks after is never removed.

local draft = require "admin.api.compat.draft"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"
local store = require "neap.store"

local personal_keys = {}

local SECRET_MIN = 16 -- characters, as of a token in router.lua

--- The name of the stored token of a digest, or nil.
local function find_stored(digest)
  local text = store.digest_text(digest)
  for _, row in ipairs(rows.all("config", "token/")) do
    if row.document.digest == text then return row.key:sub(#"token/" + 1) end
  end
end

--- The token of router.lua that has this digest: it must do as it is.
local function check_written(digest)
  local _, known = router.loaded()
  local token = known and known.tokens[digest]
  if not token then return nil end
  if not token.groups and not token.providers then return token.name end
  problem.raise(409, "read_only", ("the token %q has this key and stands in router.lua: let it use "
    .. "the provider there"):format(token.name), { field = "/personalized_key" })
end

local function create(made, digest, secret, provider)
  if #secret < SECRET_MIN then
    problem.raise(422, "invalid", ("/personalized_key must have at least %d characters: whoever "
      .. "guesses it is let in"):format(SECRET_MIN), { field = "/personalized_key" })
  end
  local name = made:free_name("token", provider)
  made:put("token", name, json.object { digest = store.digest_text(digest),
    last4 = secret:sub(-4), providers = json.array { provider } })
  return name
end

local function place_in(list, provider)
  for index, name in ipairs(list or {}) do
    if name == provider then return index end
  end
end

--- Whether a token is the one of a secret.
function personal_keys.is_of(made, token, secret)
  local record = made:get("token", token)
  return record ~= nil and record.digest == store.digest_text(host.digest(secret))
end

--- Lets whoever has the secret use the provider. Waits.
---@param made table a draft
---@return string token its name
function personal_keys.join(made, secret, provider)
  local digest = host.digest(secret)
  local name = find_stored(digest)
  local record = name and made:get("token", name) -- nil, too, where it goes at this moment
  if not record then return check_written(digest) or create(made, digest, secret, provider) end
  -- Without groups and providers it may use everything already.
  local is_narrow = record.groups or record.providers
  if is_narrow and not place_in(record.providers, provider) then
    record.providers = record.providers or json.array {}
    record.providers[#record.providers + 1] = provider
    made:put("token", name, record)
  end
  return name
end

--- Takes a provider from a token. Waits.
---@param is_own boolean? whether the token may go where nothing is left to it; else that is 409
function personal_keys.leave(made, token, provider, is_own)
  local record = made:get("token", token)
  local index = record and place_in(record.providers, provider)
  if not index then return end
  table.remove(record.providers, index)
  local is_empty = not record.providers[1] and not (record.groups and record.groups[1])
  if is_empty and not is_own then
    problem.raise(409, "in_use", ("the token %q may use this provider alone: delete it first")
      :format(token))
  end
  if is_empty then record = nil end
  made:put("token", token, record)
end

--- Takes a provider that goes from all tokens. own: the one that stands for its key. Waits.
function personal_keys.forget(made, provider, own)
  for _, token in ipairs(draft.in_force("token")) do
    if token.is_stored then
      personal_keys.leave(made, token.name, provider, token.name == own)
    end
  end
  if own then personal_keys.leave(made, own, provider, true) end
end

--- "…abcd", or "" where there is none. Waits.
function personal_keys.shown(made, token)
  local record = token and made:get("token", token)
  return record and "…" .. (record.last4 or "") or ""
end

return personal_keys
