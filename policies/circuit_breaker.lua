-- Leaves out targets that failed lately, until a probe finds them well again.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local tally   = require "policies.lib.breaker_tally"

local breaker = policy.define {
  summary  = "Rests targets that fail, and tries each with one request when its rest is over.",
  orders   = "target",
  settings = {
    failures = setting.integer { min = 1, max = 1000,
      help = "Failures within the window, without a success between, that rest a target; "
        .. "without it the stored failure_threshold (2)." },
    window   = setting.seconds { min = 1, max = 86400,
      help = "How long the first of these failures counts; without it the stored "
        .. "failure_window (300)." },
    rest     = setting.seconds { default = 30, min = 1, max = 3600,
      help = "The first rest; it doubles each time that the probe after it fails." },
    max_rest = setting.seconds { default = 600, min = 1, max = 86400, help = "The longest rest." },
    -- A 4xx is the client's, or (401, 402, 403, 429) about a key, which key_rotation looks after.
    counts   = setting.outcomes {
      default = { "5xx", "connect", "tls", "reset", "timeout", "protocol", "empty", "keyword" },
      help    = "Outcomes that count as a failure of the target.",
    },
  },
}

-- Whoever has rested and not answered since is for the probe alone where it would be tried
-- first; behind one that is well it may stand.
local function may_be_tried(target, is_first)
  return target.is_well
    or target.state == "ready" and (target.rests == 0 or not is_first or target:probe())
end

function breaker:run(request, next)
  local targets, well = request.targets, 0 -- a list of our own: who is well moves to its front
  local all = #targets
  for place = 1, all do
    local target = targets[place]
    if may_be_tried(target, well == 0) then
      well = well + 1
      targets[well] = target
    end
  end
  if well == all then return next(request) end
  if well == 0 then
    self:note("all %d targets rest: trying them nevertheless", all)
    return next(request)
  end
  for place = well + 1, all do targets[place] = nil end
  return next(request:with { targets = targets })
end

function breaker:done(request, outcome)
  local target = outcome.target
  if outcome.at_once and target and target.is_well then return end -- it still is
  tally.count(self, request.attempts, outcome)
end

return breaker
