-- Refuses what goes beyond a limit before any provider is asked, with the seconds until there is
-- room again. What a request's tokens are is estimated first, and corrected at its end.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local quota   = require "policies.lib.quota"

local function most(what)
  return setting.integer { min = 1, help = "At most so many " .. what .. "; none: no limit." }
end

local limit = policy.define {
  summary  = "Limits requests and tokens by token, group or model.",
  settings = {
    by                  = setting.choice { values = { "token", "group", "model" },
      default = "token", help = "What each limit counts for." },
    requests_per_minute = most "requests in a minute",
    requests_per_day    = most "requests in a day",
    tokens_per_minute   = most "tokens, in and out, in a minute",
    tokens_per_day      = most "tokens, in and out, in a day",
    in_flight           = setting.integer { min = 1, max = 1000,
      help = "At most so many requests at once; none: no limit." },
    utc_offset          = setting.number { default = 0, min = -12, max = 14,
      help = "Hours east of UTC of the midnight at which a day begins." },
  },
}

local function refuse(request, kind, allowed, wait)
  local text = ("the limit of %d %s %s"):format(allowed, kind.unit,
    kind.window and "per " .. kind.window or "at once")
  if wait then return request:refuse(429, text .. " is reached", wait) end
  return request:refuse(413, ("the request has about %d tokens, and %s is below that"):format(
    request.tokens_estimate, text))
end

function limit:run(request, next)
  if self:remembered() then return next(request) end -- again, for a policy outside that retries
  local who, taken = request[self.settings.by] or "nobody", {}
  for _, kind in ipairs(quota.KINDS) do
    local allowed = self.settings[kind.setting]
    local amount = kind.unit == "tokens" and request.tokens_estimate or 1
    if allowed then
      local one, wait = quota.take(self, kind, who, amount, allowed)
      if not one then
        for _, earlier in ipairs(taken) do quota.give_back(self, earlier) end
        self:note("%s of %s: %d are used up", kind.setting, who, allowed)
        return refuse(request, kind, allowed, wait)
      end
      taken[#taken + 1] = one
    end
  end
  self:remember(taken)
  return next(request)
end

function limit:done(request, outcome)
  local used = quota.tokens_of(request, outcome)
  for _, one in ipairs(self:remembered() or {}) do quota.settle(self, one, used) end
end

return limit
