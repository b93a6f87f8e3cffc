-- Bounds what a weekend may cost: so many requests, then the free targets only, else a 429 that
-- says how long it is until Monday.
--
--     policies = { use("weekend_budget", { requests = 200, free = { "b" } }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local DAY, SATURDAY, MONDAY_AFTER = 86400, 6, 8

local weekend_budget = policy.define {
  summary  = "Lets so many requests through on a weekend.",
  orders   = "target",
  settings = {
    requests = setting.integer { default = 500, min = 0, help = "Requests per weekend." },
    free     = setting.words { default = {}, help = "Targets that stay when they are spent." },
    zone     = setting.zone { default = "UTC",
      help = "Whose weekend it is: \"Europe/Berlin\", \"+08:00\"." },
  },
}

function weekend_budget:run(request, next)
  local now = self:calendar(self.settings.zone)
  if now.weekday < SATURDAY then return next(request) end
  local today = now.hour * 3600 + now.minute * 60 + now.second
  local left = (MONDAY_AFTER - now.weekday) * DAY - today
  if self.shared:add("requests", 1, left, self.settings.requests) then return next(request) end
  local free = targets.split(request.targets, self.settings.free)
  if not free[1] then return request:refuse(429, "the weekend's budget is spent", left) end
  self:note("the weekend's budget is spent")
  return next(request:with { targets = free })
end

return weekend_budget
