-- Gives each user targets of their own. A user is the token that the request came with.
--
--     policies = { use("model_by_user", { users = { kids = { "b" } } }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local model_by_user = policy.define {
  summary  = "Answers a token's requests by the targets that it is given.",
  orders   = "target",
  settings = {
    users = setting.map { of = setting.words { min = 1 }, default = {},
      help = "Targets by the token's name; who is not listed has all." },
  },
}

function model_by_user:run(request, next)
  local names = self.settings.users[request.token or ""]
  if not names then return next(request) end
  local own = targets.split(request.targets, names)
  if not own[1] then return request:refuse(503, "none of the models for this token is there") end
  return next(request:with { targets = own })
end

return model_by_user
