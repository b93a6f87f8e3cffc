--- neap.test.web: stands in for host.fetch: a web that answers by a script, on the virtual clock.
---
---     local asked = web.use {
---       ["GET https://a.test/v1/models"] = { status = 200, body = "{…}", after = 0.2 },
---       ["GET https://b.test/v1/models"] = { { status = 500 }, { failure = "timeout" } },
---     }
---
--- A list is answered in turn, its last one from then on. A function gets what host.fetch got and
--- returns an answer. What no entry stands for raises.

local clock = require "neap.test.clock"
local host = require "neap.host"

local web = {}

local function answer_of(script, given)
  if type(script) == "function" then return script(given) end
  if not script[1] then return script end
  return #script > 1 and table.remove(script, 1) or script[1]
end

--- From now on host.fetch answers so. Returns the list of what was asked: { method, url, headers,
--- body, timeout, proxy, private, began, most } each, most: how many were open at once by then.
---@param script table<string, table|function>|function
---@return table[]
function web.use(script)
  local asked, open = {}, 0
  function host.fetch(given)
    local call = { began = clock.time }
    for name, value in pairs(given) do call[name] = value end
    call.method = given.method or "GET"
    open = open + 1
    call.most = open
    asked[#asked + 1] = call
    local name = call.method .. " " .. call.url
    local found = type(script) == "function" and script or script[name]
    if not found then error("no answer is scripted for " .. name, 0) end
    local answer = answer_of(found, call)
    local timeout = given.timeout or 15
    local after = answer.after or 0
    clock.wait(clock.time + math.min(after, timeout))
    open = open - 1
    if after > timeout then return nil, "timeout", "not finished in time" end
    if answer.failure then return nil, answer.failure, answer.why or "it failed" end
    return answer.status or 200, answer.headers or {}, answer.body or ""
  end
  return asked
end

--- Whether a call had this header line.
---@param call table
---@param line string
---@return boolean
function web.had(call, line)
  for _, header in ipairs(call.headers or {}) do
    if header == line then return true end
  end
  return false
end

return web
