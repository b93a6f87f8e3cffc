-- Puts the targets into the order that the user prefers: by weight, by load, by speed or by price.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local rank    = require "policies.lib.rank"

local order = policy.define {
  summary  = "Hands the targets inward by weight, requests in flight, latency or price.",
  orders   = "target",
  settings = {
    by = setting.choice { values = { "weight", "in_flight", "latency", "price" },
      default = "weight",
      help = "weight: drawn by chance; the others: the smallest first." },
    keep_priority = setting.boolean { default = false,
      help = "A smaller priority goes first all the same: only targets of one priority are put in "
        .. "order." },
    answer_tokens = setting.integer { default = 500, min = 0, max = 1000000,
      help = "How long an answer is taken to be where targets go by price." },
  },
}

local measures = {}

function measures.weight(target, self) return rank.lot(target.weight, self:random()) end

function measures.in_flight(target) return target.in_flight end

-- Whoever has no latency yet goes first: there is no other way to learn it.
function measures.latency(target) return target.latency or 0 end

function measures.price(target, self, request)
  return target:cost(request.tokens_estimate, self.settings.answer_tokens) or math.huge
end

function order:run(request, next)
  local measure, ready, resting = measures[self.settings.by], {}, {}
  for _, target in ipairs(request.targets) do
    local list = target.state == "ready" and ready or resting
    list[#list + 1] = target
  end
  ready = rank.by(ready, function(target) return measure(target, self, request) end)
  -- Those of one priority stay in their order.
  if self.settings.keep_priority then
    ready = rank.by(ready, function(target) return target.priority end)
  end
  for _, target in ipairs(resting) do ready[#ready + 1] = target end
  return next(request:with { targets = ready })
end

return order
