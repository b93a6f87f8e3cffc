-- Asks the cheap targets first, and the strong ones where the cheap answer gives up or fails.
--
--     policies = { use("cheap_then_strong", { strong = { "a/large" } }), "priority_failover" }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local cheap_then_strong = policy.define {
  summary  = "Asks strong targets only where the cheap ones do not know.",
  orders   = "target",
  settings = {
    strong   = setting.words { default = {}, help = "Targets for the second try." },
    phrases  = setting.words { default = { "i don't know", "i'm not sure", "i am not able" },
      help = "What an answer says that gives up, within its first 200 characters." },
    retry_on = setting.outcomes { help = "What is giving up, too.", default = { 401, 402, 403, 404,
      408, 429, "5xx", "connect", "timeout", "tls", "reset", "empty", "keyword", "protocol" } },
  },
}

-- Why the answer is not good enough; nil if it is.
local function weakness(self, response)
  if self.settings.retry_on:covers(response) then return response.failure or response.status end
  if response.failure or response.status ~= 200 then return nil end
  local text = policy.fold(response:text(200, 5))
  for _, phrase in ipairs(self.settings.phrases) do
    if text:find(policy.fold(phrase), 1, true) then return phrase end
  end
end

function cheap_then_strong:run(request, next)
  local strong, cheap = targets.split(request.targets, self.settings.strong)
  if not strong[1] or not cheap[1] then return next(request) end
  local response = next(request:with { targets = cheap })
  local why = weakness(self, response)
  if not why then return response end
  self:note("the cheap answer was no good: %s", why)
  return next(request:with { targets = strong })
end

return cheap_then_strong
