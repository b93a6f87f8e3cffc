-- Asks again, at half the temperature, when an answer came back empty. It stands inside of what
-- walks the targets: first the same model again, then another one.
--
--     policies = { "priority_failover", use("cooler_retry", { tries = 2 }) }
local policy  = require "neap.policy"
local setting = require "neap.setting"

local USUAL = 1 -- what a request without a temperature gets

local cooler_retry = policy.define {
  summary  = "Repeats empty answers at a lower temperature.",
  settings = {
    tries = setting.integer { default = 2, min = 1, max = 5, help = "How often it asks again." },
  },
}

local function temperature_of(request)
  local is_read, body = pcall(request.json, request)
  return is_read and type(body.temperature) == "number" and body.temperature or USUAL
end

function cooler_retry:run(request, next)
  local response, temperature = next(request), nil
  for _ = 1, self.settings.tries do
    if response.failure ~= "empty" then return response end
    temperature = (temperature or temperature_of(request)) / 2
    self:note("empty: once more at %g", temperature)
    response = next(request:with { set = { temperature = temperature } })
  end
  return response
end

return cooler_retry
