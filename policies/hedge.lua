-- Asks a second target when the first has brought no content after a while; the first content
-- wins, the other is cancelled (Dean and Barroso, "The Tail at Scale", 2013). Stands right outside
-- of what walks the targets: the first leg has all of them, the second what is left by then.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local lists   = require "policies.lib.targets"
local times   = require "policies.lib.hedge_times"

local SAVED_MAX = 10 -- second attempts that quiet times may save up

local hedge = policy.define {
  summary  = "Asks a second target when the first is slow, and takes what comes first.",
  orders   = "target",
  settings = {
    after = setting.seconds { default = 0,
      help = "Time without content; 0: what 95 % of the target's answers stay below." },
    share = setting.number { default = 0.05, min = 0, max = 1,
      help = "Second attempts, as a share of the requests." },
  },
}

-- What is spent, less what was earned: never above 0.
local function earn(self)
  local share = self.settings.share
  if self.shared:add("spent", -share) < -SAVED_MAX then self.shared:add("spent", share) end
end

-- A share of 1 caps nothing, however many requests come at once. Twenty times 0.05 is not quite 1.
local function spend(self)
  return self.settings.share == 1 or self.shared:add("spent", 1, nil, 1e-9)
end

function hedge:run(request, next)
  local targets = request.targets
  local first, second = targets[1], targets[2]
  earn(self)
  local delay = second and second.state == "ready" and times.delay(self, first, request)
  if not delay then return next(request) end
  local has_failed, before = false, #request.attempts
  local function run_leg(leg, place)
    if place == 1 then
      local response = next(leg)
      has_failed = true -- or it has won, and nothing runs any more
      return response
    end
    -- What the first leg has tried meanwhile, or tries now, is not asked twice.
    local others, last = lists.untried(leg, before), leg.attempts[#leg.attempts]
    if has_failed or not others[1] or not spend(self) then return nil end
    local slow = (last and last.target or first).name
    self:note("nothing from %s after %.3f s: asking %s, too", slow, delay, others[1].name)
    return next(leg:with { targets = others })
  end
  local rest = request:with { targets = { unpack(targets, 2) } }
  return request:race(run_leg, { { request }, { rest, after = delay } })
end

function hedge:done(request) times.learn(self, request) end

return hedge
