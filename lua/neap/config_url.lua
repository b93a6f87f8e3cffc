--- URLs in router.lua: those of providers, of proxies, and the origins of pages.
---
--- Messages never show a URL: it may hold a password or a key.

local urls = {}

--- Names and literal addresses at which clouds give away their machines' credentials. That a
--- name leads to such an address is found when it is connected to.
local METADATA = {
  ["metadata.google.internal"] = true, ["metadata"] = true, ["100.100.100.200"] = true,
  ["fd00:ec2::254"] = true,
}

---@param url string
---@return string? scheme, string? user, string? host, string? port, string? rest
local function split(url)
  local scheme, authority, rest = url:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme or url:find("[%s%c\\]") then return nil end
  local user, at = authority:match("^(.*)@(.*)$")
  local whole = at or authority
  local host, port = whole:match("^%[([%x:.]+)%](.*)$")
  if not host then host, port = whole:match("^([^:%[%]]+)(.*)$") end
  if not host or not (port == "" or port:find("^:%d+$")) then return nil end
  port = port:match("%d+")
  if port and (tonumber(port) < 1 or tonumber(port) > 65535) then return nil end
  return scheme:lower(), user, host:lower(), port, rest
end

local function is_link_local(host)
  return METADATA[host] or host:find("^169%.254%.") or host:find("^fe[89ab]%x:")
    or host:find("^::ffff:169%.254%.")
end

local PRIVATE = {
  "^localhost$", "%.localhost$", "^127%.", "^10%.", "^192%.168%.", "^0%.", "^::1$", "^::$",
  "^f[cd]%x%x:", "^::ffff:",
}

--- Whether the host of a URL is written as an address of this machine or of a private network.
--- What a name leads to is seen when it is connected to.
---@param url string
---@return boolean
function urls.is_private(url)
  local _, _, host = split(url)
  if not host then return false end
  for _, pattern in ipairs(PRIVATE) do
    if host:find(pattern) then return true end
  end
  local first, second = host:match("^(%d+)%.(%d+)%.%d+%.%d+$")
  first, second = tonumber(first), tonumber(second)
  return first == 172 and second >= 16 and second < 32 or first == 100 and second >= 64
    and second < 128
end

local HERE = { ["0.0.0.0"] = "127.0.0.1", ["[::]"] = "[::1]", [""] = "127.0.0.1" }

--- A URL of the environment may lack its scheme, as OLLAMA_HOST usually does: then it is http. And
--- it may be what the server listens on: all addresses of this machine.
local function of_environment(text)
  text = text:match("^%s*(.-)%s*$")
  if not text:find("://", 1, true) then text = "http://" .. text end
  local scheme, host, rest = text:match("^(%a+://)(%[[^%]]*%])(.*)$")
  if not host then scheme, host, rest = text:match("^(%a+://)([^:/?#]*)(.*)$") end
  local here = HERE[host]
  return here and (host ~= "" or rest:find("^:%d")) and scheme .. here .. rest or text
end

--- A provider's base URL.
---@type neap.config.kind
function urls.base(check, value, place, origin)
  local text = type(value) == "string" and value or ""
  if origin then text = of_environment(text) end
  local scheme, user, host, _, rest = split(text)
  if scheme ~= "http" and scheme ~= "https" then
    return check:fail(place, ("%s must be an http or https URL such as "
      .. "\"https://api.openai.com/v1\""):format(place.title))
  end
  if user then
    return check:fail(place, ("%s must not hold a user or password: use keys or headers")
      :format(place.title))
  end
  -- Behind it comes the operation's path, unless it ends in a #.
  if rest:find("#.") or rest:find("?", 1, true) and rest:sub(-1) ~= "#" then
    return check:fail(place, ("%s must have nothing behind its path, or end in a #: then it is "
      .. "asked exactly as it is"):format(place.title))
  end
  if is_link_local(host) then
    return check:fail(place, ("%s must not be a link-local or metadata address")
      :format(place.title))
  end
  return text
end

local PROXIES = { http = true, https = true, socks5 = true, socks5h = true }

---@type neap.config.kind
function urls.proxy(check, value, place)
  local scheme, _, _, _, rest = split(type(value) == "string" and value or "")
  if PROXIES[scheme] and (rest == "" or rest == "/") then return value end
  check:fail(place, ("%s must be http, https, socks5 or socks5h://HOST:PORT"):format(place.title))
end

local USUAL_PORT = { http = ":80$", https = ":443$" }

--- An origin as a browser sends it: without the usual port; or "*".
---@type neap.config.kind
function urls.origin(check, value, place)
  if value == "*" then return value end
  local scheme, user, host, _, rest = split(type(value) == "string" and value or "")
  if scheme and not user and rest == "" and not host:find("*", 1, true) then
    return (value:lower():gsub(USUAL_PORT[scheme] or "^$", ""))
  end
  check:fail(place, ("%s must be an origin such as \"https://app.example\" (no path), or \"*\"")
    :format(place.title))
end

return urls
