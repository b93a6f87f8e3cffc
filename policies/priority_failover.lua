-- Tries the targets in the order given until one answers.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local better  = require "policies.lib.better"

local failover = policy.define {
  summary  = "Tries targets in order until one answers.",
  walks    = "target",
  settings = {
    retry_on = setting.outcomes {
      default = { 401, 402, 403, 404, 408, 409, 425, 429, "5xx", "connect", "timeout", "tls",
        "reset", "empty", "keyword", "protocol" },
      help    = "Outcomes that move on to the next target.",
    },
  },
}

function failover:run(request, next)
  local best
  for _, target in ipairs(request.targets) do
    local response = next(request:with { target = target })
    if not self.settings.retry_on:covers(response) then return response end
    self:note("%s: %s", target.name, response.failure or response.status)
    best = better.response(best, response)
  end
  return best
    or request:refuse(503, "the group has no target to try; a provider without a key is off")
end

return failover
