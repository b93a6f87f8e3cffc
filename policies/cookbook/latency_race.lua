-- Lets the quickest targets run against each other: the first content wins, the others are
-- cancelled. It buys time with money, for each leg is an attempt that somebody pays.
--
--     policies = { use("latency_race", { legs = 2, head_start = 0.3 }) }
local policy  = require "neap.policy"
local setting = require "neap.setting"

local latency_race = policy.define {
  summary  = "Asks the quickest targets side by side and takes the first that answers.",
  walks    = "target",
  settings = {
    legs       = setting.integer { default = 2, min = 2, max = 4, help = "Targets that run." },
    head_start = setting.seconds { default = 0.3, max = 60,
      help = "Each starts so much later than the one before." },
  },
}

-- Quickest first, and before them those that were never measured: else they never would be.
local function by_latency(targets)
  local order = {}
  for index, target in ipairs(targets) do
    order[index] = { target = target, latency = target.latency or 0, place = index }
  end
  table.sort(order, function(a, b)
    return a.latency < b.latency or (a.latency == b.latency and a.place < b.place)
  end)
  return order
end

function latency_race:run(request, next)
  local order, legs = by_latency(request.targets), {}
  for index = 1, math.min(self.settings.legs, #order) do
    local start = (index - 1) * self.settings.head_start
    legs[index] = { request:with { target = order[index].target }, after = start }
  end
  return legs[2] and request:race(next, legs) or next(request)
end

return latency_race
