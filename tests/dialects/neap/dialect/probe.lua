--- neap.dialect.probe: a way into neap for the tests: the openai dialect, but that the text of
--- a request's `user` is run as Lua, and what it returns goes into the log as
--- {"area":"probe","message":"…"}. It runs in the request's fiber, so that it may wait.

local host = require "neap.host"
local openai = require "neap.dialect.openai"
require "neap.store" -- for the texts: later nothing is loaded any more

local probe = {}
for name, value in pairs(openai) do probe[name] = value end
probe.name = "probe"

function probe.request_out(request, model, options)
  if request.user then
    local chunk = assert(loadstring(request.user, "=probe"))
    request.user = nil
    host.log("info", "probe", tostring((chunk())))
  end
  return openai.request_out(request, model, options)
end

return probe
