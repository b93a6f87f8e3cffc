-- Tries the targets in the order given until one answers.
local policy  = require "neap.policy"
local setting = require "neap.setting"

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
  local response
  for _, target in ipairs(request.targets) do
    response = next(request:with { target = target })
    if not self.settings.retry_on:covers(response) then return response end
    self:note("%s: %s", target.name, response.failure or response.status)
  end
  return response or request:refuse(503, "the group has no target")
end

return failover
