-- Refuses prompts above a size, before anybody is paid for reading them.
--
--     policies = { use("prompt_limit", { tokens = 8000 }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"

local prompt_limit = policy.define {
  summary  = "Refuses requests that are longer than so many tokens.",
  settings = {
    tokens = setting.integer { default = 32000, min = 1,
      help = "Longest request; estimated; a picture in it counts as 1,000." },
  },
}

function prompt_limit:run(request, next)
  local tokens, most = request.tokens_estimate, self.settings.tokens
  if tokens <= most then return next(request) end
  return request:refuse(413, ("about %d tokens are too many: at most %d"):format(tokens, most))
end

return prompt_limit
