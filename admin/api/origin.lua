--- admin.api.origin: keeps other people's pages away: names that point at this machine (DNS
--- rebinding), and requests that a page elsewhere makes in the name of whoever is logged in.

local access = require "neap.access"
local problem = require "admin.api.problem"

local origin = {}

local SAFE = { GET = true, HEAD = true, OPTIONS = true }

local function name_of(authority)
  return (authority:match("^(%[[%x:.]+%])") or authority:match("^([^:]*)")):lower()
end

--- An admin side that listens on loopback answers to loopback names and those of the configuration;
--- one that listens elsewhere to any, unless the configuration names some.
function origin.check_host(of, admin)
  local given = of.handle:header("host")
  if not given then return end
  local names = admin.names or {}
  for _, name in ipairs(names) do
    if name:lower() == name_of(given) then return end
  end
  local is_loopback = access.is_loopback(admin.listen)
  if access.is_loopback(given) or (not is_loopback and not names[1]) then return end
  problem.raise(403, "foreign_host", "the admin side does not answer to this name: \"admin\" in "
    .. "router.lua may name it in \"names\"", { field = "Host" })
end

local function is_foreign(handle)
  local site = handle:header("sec-fetch-site")
  if site and site ~= "same-origin" and site ~= "none" then return true end
  local given = handle:header("origin")
  if not given then return false end
  local authority = given:match("^%a[%w+.-]*://(.*)$")
  local own = handle:header("host")
  return not authority or not own or authority:lower() ~= own:lower()
end

local function refuse_foreign(of)
  if is_foreign(of.handle) then
    problem.raise(403, "foreign_origin", "the request comes from a page of another origin")
  end
end

--- Refuses a write that a page elsewhere has made with the user's cookie, or a login with its own.
function origin.check_forgery(of)
  local op, who = of.op, of.who
  if SAFE[of.method] and not op.has_effect then return end
  if who and not who.is_cookie then return end -- a page elsewhere cannot know a token
  refuse_foreign(of)
  if not who or op.is_compat or op.has_effect then return end
  if not of.handle:header("x-neap-request") then
    problem.raise(403, "forged", "a write with a session's cookie needs the header X-Neap-Request",
      { field = "X-Neap-Request" })
  end
end

return origin
