-- Sends long conversations to the targets that can hold them. The others would refuse them, after
-- the time it takes to read so much.
--
--     policies = { use("long_context", { long = { "b" }, tokens = 50000 }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local long_context = policy.define {
  summary  = "Sends long requests to models with a long context.",
  orders   = "target",
  settings = {
    long   = setting.words { default = {}, help = "Targets with a long context." },
    tokens = setting.integer { default = 100000, min = 1,
      help = "From how many tokens on; estimated, a picture as 1,000." },
  },
}

function long_context:run(request, next)
  local long, short = targets.split(request.targets, self.settings.long)
  local tokens = request.tokens_estimate
  if tokens < self.settings.tokens then
    return next(request:with { targets = short[1] and short or long })
  end
  if not long[1] then return request:refuse(413, "no model of this group holds so much") end
  self:note("about %d tokens", tokens)
  return next(request:with { targets = long })
end

return long_context
