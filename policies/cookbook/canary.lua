-- Tries a new target with a small share of the requests. Where it does not answer well the old
-- ones do, so that the trial costs nobody an answer.
--
--     policies = { use("canary", { canary = { "b/m" }, share = 0.05 }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local canary = policy.define {
  summary  = "Sends a small share of the requests to a target on trial.",
  orders   = "target",
  settings = {
    canary = setting.words { default = {}, help = "Targets on trial." },
    share  = setting.number { default = 0.05, min = 0, max = 1, help = "Share of the requests." },
  },
}

function canary:run(request, next)
  local on_trial, proven = targets.split(request.targets, self.settings.canary)
  if not on_trial[1] or not proven[1] then return next(request) end
  if self:random() < self.settings.share then
    local response = next(request:with { targets = on_trial })
    if response.status == 200 then return response end
    self:note("the canary failed: %s", response.failure or response.status)
  end
  return next(request:with { targets = proven })
end

return canary
