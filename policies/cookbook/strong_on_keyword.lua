-- Lets the user ask for the strong targets by a word in the question, such as "think hard".
--
--     policies = { use("strong_on_keyword", { strong = { "a/large" } }), "priority_failover" }
local messages = require "policies.lib.messages"
local policy   = require "neap.policy"
local setting  = require "neap.setting"
local targets  = require "policies.lib.targets"

local strong_on_keyword = policy.define {
  summary  = "Prefers strong targets for questions that contain a keyword.",
  orders   = "target",
  settings = {
    strong   = setting.words { default = {}, help = "Targets that such questions go to first." },
    keywords = setting.words { default = { "think hard", "step by step", "prove that" },
      help = "Texts in the last message, in any case." },
  },
}

function strong_on_keyword:run(request, next)
  local question, strong = policy.fold(messages.last(request)), self.settings.strong
  for _, keyword in ipairs(self.settings.keywords) do
    if question:find(policy.fold(keyword), 1, true) then
      self:note("the question says %q", keyword)
      return next(request:with { targets = targets.first(request.targets, strong) })
    end
  end
  return next(request:with { targets = targets.last(request.targets, strong) })
end

return strong_on_keyword
