--- neap.access: who may ask: tokens, the loopback rule, CORS.

local host = require "neap.host"

local access = {}

local NONE = {}
local token_digest = host.request.token_digest
local MISSING = "no token was given: send it as \"Authorization: Bearer …\""
local WRONG = "the token is not known here"

-- ------------------------------------------------------------------------------------
-- Loopback

local function host_of(authority)
  return authority:match("^(%[[%x:.]+%])") or authority:match("^([^:]*)")
end

--- Whether an address or authority ("localhost:8080", "[::1]:80") names this machine alone.
function access.is_loopback(authority)
  local name = host_of(authority):lower()
  return name == "localhost" or name == "[::1]" or name:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- Without tokens a page of somebody else's in the user's browser must not reach neap: neither by
--- its own origin nor by a name that it points at this machine. Returns a message and 403.
local function check_origin(known, handle)
  local name = handle:header("host")
  if name and not access.is_loopback(name) then
    return "without a token neap answers to loopback names only, such as 127.0.0.1", 403
  end
  local origin = handle:header("origin")
  if origin and not access.allows_origin(known.cors, origin)
      and not access.is_loopback(origin:match("^%a+://(.*)$") or "") then
    return "without a token neap answers no foreign origin", 403
  end
end

-- ------------------------------------------------------------------------------------
-- CORS

function access.allows_origin(cors, origin)
  for _, allowed in ipairs(cors or {}) do
    if allowed == "*" or allowed == origin then return true end
  end
  return false
end

--- The CORS fields of an answer, a flat list. A page reads all others, too: SDKs in browsers go by
--- x-should-retry and retry-after-ms, people by the limits of a provider.
function access.cors_fields(cors, handle)
  local origin = handle:header("origin")
  if not origin or not access.allows_origin(cors, origin) then return NONE end
  return { "access-control-allow-origin", origin, "vary", "Origin",
    "access-control-expose-headers", "*" }
end

local function methods_of(of, route)
  if route then return route.GET and "GET, HEAD" or "POST" end
  return of.handle:header("access-control-request-method") or "POST"
end

--- Answers a preflight. Without a route, too: else the page would hear of CORS, and not of the 404.
function access.preflight(of, route)
  local fields = { "x-request-id", of.handle:id() }
  for _, value in ipairs(of.cors) do fields[#fields + 1] = value end
  if #of.cors > 0 then
    local asked = of.handle:header("access-control-request-headers")
    for _, value in ipairs { "access-control-allow-methods", methods_of(of, route),
      "access-control-allow-headers", asked or "authorization, content-type",
      "access-control-max-age", "600" } do
      fields[#fields + 1] = value
    end
  end
  of.handle:reply(204, fields, "")
  of.record.status, of.record.outcome = 204, "ok"
  require("neap.record").finish(of.record)
end

-- ------------------------------------------------------------------------------------
-- Tokens

--- Whether the request may be served: finds its token, unless the route is open to all. Returns a
--- message and 401 if it has none that is good, or 403 where neap serves this machine alone and
--- somebody else asks.
function access.check(of, known, is_open)
  if not known.has_tokens then return check_origin(known, of.handle) end
  if is_open then return nil end
  local digest = token_digest(of.handle)
  if not digest then return MISSING, 401 end
  -- Found by a keyed hash: the time that it takes says nothing about the secret.
  local token = known.tokens[digest]
  if not token then return WRONG, 401 end
  if token.expires and host.wall() >= token.expires then return "the token has expired", 401 end
  of.token = token
end

return access
