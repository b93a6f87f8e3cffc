-- Sends a share of the users to variant B, each always to the same variant.
--
--     policies = { use("ab_by_hash", { b = { "b/m" }, share = 0.5 }), "priority_failover" }
local messages = require "policies.lib.messages"
local policy   = require "neap.policy"
local setting  = require "neap.setting"
local targets  = require "policies.lib.targets"

local ab_by_hash = policy.define {
  summary  = "Splits users between two sets of targets by a hash.",
  orders   = "target",
  settings = {
    b     = setting.words { default = {}, help = "Targets of variant B; the others are A." },
    share = setting.number { default = 0.5, min = 0, max = 1, help = "Share of the users in B." },
    name  = setting.text { default = "ab", help = "Another name deals the users anew." },
  },
}

-- Who asks, as well as can be told; the first message stays the same all through a chat.
local function user_of(request)
  return request.told_conversation or request.token or messages.text(messages.of(request)[1])
end

function ab_by_hash:run(request, next)
  local place = policy.hash(self.settings.name .. " " .. user_of(request)) % 10000 / 10000
  local is_b = place < self.settings.share
  self:note("variant %s", is_b and "B" or "A")
  local order = is_b and targets.first or targets.last
  return next(request:with { targets = order(request.targets, self.settings.b) })
end

return ab_by_hash
