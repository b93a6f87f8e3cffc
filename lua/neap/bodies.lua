--- neap.bodies: of which requests the journal keeps the bodies, and what must not be in them.
---
--- A token's word goes before that of the group that serves the request: a client that wants
--- nothing kept gets a token with `bodies = false`. What is kept is the client's body and the
--- answer as the client got it, to the size that the stored setting body_size says, without
--- secrets (host/storage/redaction.h).

local bodies = {}

local DIGITS = 6 -- hexadecimal ones at the end of a request's id, which are random

--- Where a request stands in the share: 0 up to 1, the same for the same id.
local function draw(uuid) return tonumber(uuid:sub(-DIGITS), 16) / 16 ^ DIGITS end

--- Has the request's bodies kept if this word says so: false, true, "failures" or a share.
local function keep(of, word, known)
  if not word or of.keeps_bodies then return end
  if type(word) == "number" and draw(of.handle:uuid()) >= word then return end
  of.keeps_bodies = true
  of.handle:keep_bodies(known.body_size, word == "failures")
end

--- A request has shown its token, and its group is not known yet.
function bodies.of_token(of, known)
  if of.token then keep(of, of.token.bodies, known) end
end

--- The request's group is known.
function bodies.of_group(of, known)
  if of.token and of.token.bodies ~= nil then return end
  keep(of, of.group.bodies, known)
end

-- ------------------------------------------------------------------------------------
-- Secrets

--- Whether a group or a token of the configuration asks for it.
---@param configuration table
---@return boolean
function bodies.are_kept(configuration)
  for _, list in ipairs { configuration.groups, configuration.tokens } do
    for _, one in ipairs(list) do
      if one.bodies then return true end
    end
  end
  return false
end

--- The secrets that this configuration knows; nil where it keeps no bodies.
---@param configuration table
---@return string[]?
function bodies.secrets(configuration)
  if not bodies.are_kept(configuration) then return nil end
  local list = {}
  for _, provider in ipairs(configuration.providers) do
    for _, key in ipairs(provider.keys or {}) do list[#list + 1] = key.secret end
    for _, value in pairs(provider.headers or {}) do
      list[#list + 1] = value
      list[#list + 1] = value:match("^%a+%s+(%S+)$")
    end
  end
  for _, token in ipairs(configuration.tokens) do list[#list + 1] = token.secret end
  return list
end

return bodies
