-- Chooses targets by the time of day and the day of the week: off-peak prices, office hours.
local policy  = require "neap.policy"
local setting = require "neap.setting"

local schedule = policy.define {
  summary  = "Takes targets in some hours only, or before the others in some hours.",
  orders   = "target",
  settings = {
    allowed   = setting.map { of = setting.hours(), default = {},
      help = "By target or provider: the hours outside of which it is left out." },
    preferred = setting.map { of = setting.hours(), default = {},
      help = "By target or provider: the hours in which it goes before the others." },
    zone      = setting.zone { default = "UTC",
      help = "Whose clocks count: \"Europe/Berlin\", \"+08:00\"." },
  },
}

-- The hours of a target; what is said of it alone goes before what is said of its provider.
local function hours_of(rules, target) return rules[target.name] or rules[target.provider] end

function schedule:run(request, next)
  local settings, now = self.settings, self:calendar(self.settings.zone)
  local first, others = {}, {}
  for _, target in ipairs(request.targets) do
    local allowed = hours_of(settings.allowed, target)
    local preferred = hours_of(settings.preferred, target)
    if allowed and not allowed:covers(now) then
      self:note("%s: not at this hour", target.name)
    elseif preferred and preferred:covers(now) and target.state == "ready" then
      first[#first + 1] = target
    else
      others[#others + 1] = target
    end
  end
  for _, target in ipairs(others) do first[#first + 1] = target end
  if not first[1] then return request:refuse(503, "no target of the group is on at this hour") end
  return next(request:with { targets = first })
end

return schedule
