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
  local targets, well = request.targets, {}
  for _, target in ipairs(targets) do
    if may_be_tried(target, #well == 0) then well[#well + 1] = target end
  end
  if #well == #targets then return next(request) end
  if well[1] then return next(request:with { targets = well }) end
  self:note("all %d targets rest: trying them nevertheless", #targets)
  return next(request)
end

-- The place of the attempt that the client was answered with: in a race others may come behind it.
local function answered_with(attempts, target)
  for place = #attempts, 1, -1 do
    local attempt = attempts[place]
    if attempt.failure ~= "lost" and (not target or attempt.target == target) then return place end
  end
end

function breaker:done(request, outcome)
  local target = outcome.target
  if outcome.at_once and target and target.is_well then return end -- it still is
  local attempts = request.attempts
  local last = answered_with(attempts, target)
  for index, attempt in ipairs(attempts) do
    local status, failure = attempt.status, attempt.failure
    local is_answer = not failure and status and status < 400
    local at = attempt.started + (attempt.seconds or 0)
    if is_answer and index == last and outcome.failure and not outcome.aborted then
      is_answer, failure, at = false, outcome.failure, self:now() -- it broke off later
    end
    if attempt.target and is_answer then
      attempt.target:well(at)
    elseif attempt.target and (status or failure) -- neither: it was cut short
      and self.settings.counts:covers { status = status, failure = failure } then
      tally.failure(self, attempt.target, at)
    end
  end
end

return breaker
