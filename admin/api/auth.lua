--- admin.api.auth: who asks, and what he may do. A person by the cookie of a session (or its id as
--- a bearer, which is what other systems' clients do), a program by an admin token.
---
--- The scopes of a token are what it was made with: `write` includes `read`; `keys` (secrets of
--- providers) and `bodies` (what clients wrote, and were answered) include nothing else. No token
--- reaches what is for persons: passwords, sessions, tokens.

local host = require "neap.host"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local session = require "admin.api.session"

local auth = {}

local TOKENS = "admin_token/"
local SCOPES = { read = true, write = true, keys = true, bodies = true }

local function bearer_of(handle)
  local value = handle:header("authorization")
  local secret = value and (value:match("^[Bb][Ee][Aa][Rr][Ee][Rr][ \t]+(%S+)[ \t]*$")
    or value:match("^%S+$"))
  return secret, value ~= nil
end

local function person(row, key, is_cookie)
  return { kind = "session", name = row.account, id = row.id, scopes = SCOPES, key = key, row = row,
    is_cookie = is_cookie }
end

local function program(row)
  local scopes = {}
  for _, scope in ipairs(row.scopes) do scopes[scope] = true end
  if scopes.write then scopes.read = true end
  return { kind = "token", name = row.name, id = row.id, scopes = scopes }
end

local function by_bearer(secret)
  local token = rows.get("objects", session.key(TOKENS, secret))
  if token then
    if token.expires and host.wall() >= token.expires then return nil end
    return program(token)
  end
  local row, key = session.find(secret)
  return row and person(row, key, false)
end

--- Who asks: { kind = "session"|"token", name, id, scopes }, or nil. Waits.
function auth.find(of)
  local secret, has_header = bearer_of(of.handle)
  if secret then return by_bearer(secret) end
  if has_header then return nil end
  secret = session.cookie_of(of)
  if not secret then return nil end
  local row, key = session.find(secret)
  return row and person(row, key, true)
end

--- The same; raises 401 where nobody is logged in.
function auth.require(of)
  local who = auth.find(of)
  if who then return who end
  problem.raise(401, "unauthorized", "log in first: POST /login, or an admin token as "
    .. "\"Authorization: Bearer …\"", { headers = { "www-authenticate", "Bearer realm=\"neap\"" } })
end

--- Raises 403 where he may not do what needs the scope.
function auth.check_scope(who, scope)
  if scope == "open" or (scope == "session" and who.kind == "session") then return end
  if who.scopes[scope] then return end
  problem.raise(403, "forbidden", scope == "session" and "this is for persons who are logged in, "
    .. "not for tokens" or ("the token lacks the scope \"%s\""):format(scope))
end

return auth
