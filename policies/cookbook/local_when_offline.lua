-- Falls back to a model at home when the network is down, and stays there for a while, so that
-- not every request has to find out anew.
--
--     policies = { use("local_when_offline", { home = { "b" } }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local local_when_offline = policy.define {
  summary  = "Answers by a local model while the others cannot be reached.",
  orders   = "target",
  settings = {
    home    = setting.words { default = { "ollama" }, help = "Targets that need no network." },
    offline = setting.outcomes { default = { "connect", "timeout" },
      help = "Outcomes that mean that the network is down." },
    seconds = setting.seconds { default = 30, min = 1, help = "Time to stay at home." },
  },
}

function local_when_offline:run(request, next)
  local home, away = targets.split(request.targets, self.settings.home)
  if not home[1] or not away[1] then return next(request) end
  if not self.shared:get("is_offline") then
    local response = next(request:with { targets = away })
    if not self.settings.offline:covers(response) then return response end
    self.shared:set("is_offline", true, self.settings.seconds)
    self:note("offline (%s)", response.failure or response.status)
  end
  return next(request:with { targets = home })
end

return local_when_offline
