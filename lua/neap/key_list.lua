--- neap.key_list: GET /v1/keys/list: which of the providers' keys work, in the shape that
--- gemini-balance's users know.
---
--- A key is shown by its ends alone, and only to a token with the right "keys": whoever may look
--- after keys need not have them.

local answer = require "neap.answer"
local catalog = require "neap.catalog"
local json = require "neap.json"
local object = require "neap.object"
local plain = require "neap.plain"

local key_list = {}

key_list.MASK_MIN = 16 -- bytes; a shorter key would be given away by its ends

--- "sk-…abcd".
---@param secret string
function key_list.mask(secret)
  return #secret >= key_list.MASK_MIN and secret:sub(1, 3) .. "…" .. secret:sub(-4) or "…"
end

--- The keys of providers, by whether a request may use them now.
---@param providers table[] the catalog's
---@param show fun(secret: string): string
function key_list.document(providers, show)
  local valid, invalid = json.array {}, json.array {}
  for _, provider in ipairs(providers) do
    for _, key in ipairs(provider.keys) do
      local list = key.health:is_ready() and valid or invalid
      list[#list + 1] = show(key.secret)
    end
  end
  return json.object { status = "success", total = #valid + #invalid,
    data = json.object { valid_keys = valid, invalid_keys = invalid } }
end

--- The providers whose keys a token may make use of: its own, and those of its groups.
local function providers_of(known, token)
  if not token.groups and not token.providers then return known.provider_list end
  local is_in, list = {}, {}
  for name in pairs(token.providers or {}) do is_in[name] = true end
  for name in pairs(token.groups or {}) do
    for _, target in ipairs((known.groups[name] or { targets = {} }).targets) do
      is_in[object.inside(catalog.Target, target).provider] = true
    end
  end
  for _, provider in ipairs(known.provider_list) do
    if is_in[provider.name] then list[#list + 1] = provider end
  end
  return list
end

function key_list.show(of, known)
  local token = of.token
  if not token or not token.rights.keys then
    return answer.refuse(of, 403, "only a token with the right \"keys\" may list providers' keys")
  end
  plain.send(of, 200, key_list.document(providers_of(known, token), key_list.mask))
end

return key_list
