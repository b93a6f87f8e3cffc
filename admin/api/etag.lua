--- admin.api.etag: versions of what can be changed, so that nobody overwrites what he has not seen.
---
--- A GET answers with the ETag; a write that names it in If-Match is refused (412) when somebody
--- else has written since. If-Match is optional: a script that sets a value need not read it first.

local host = require "neap.host"
local problem = require "admin.api.problem"

local etag = {}

--- Of a stored row, whose version grows with each write.
function etag.of_version(version) return ('"v%d"'):format(version) end

--- Of anything else that is a text.
function etag.of_text(text) return ('"h%x-%x"'):format(host.hash(text), #text) end

local function has(list, tag)
  if list:match("^%s*%*%s*$") then return true end
  for one in list:gmatch('"[^"]*"') do
    if one == tag then return true end
  end
  return false
end

--- Refuses a write that was made for another version than this one.
function etag.check(of, tag)
  local given = of.handle:header("if-match")
  if given and not has(given, tag) then
    problem.raise(412, "changed", "it was changed since it was read: read it again",
      { field = "If-Match", headers = { "etag", tag } })
  end
end

--- Whether the caller of a GET has this version already.
function etag.is_known(of, tag)
  local given = of.handle:header("if-none-match")
  return given ~= nil and has(given, tag)
end

return etag
