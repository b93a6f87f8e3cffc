-- Tries a target's keys in turn, and notes what each failure says about the key: a rate limit
-- rests it, a refusal disables it, a provider's own trouble says nothing about it.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local better  = require "policies.lib.better"
local verdict = require "policies.lib.key_verdict"

local rotation = policy.define {
  summary  = "Takes the provider's keys in turn and rests those that are limited.",
  walks    = "key",
  settings = {
    tries        = setting.integer { default = 2, min = 1, max = 100,
      help = "Keys to try for one target." },
    max_failures = setting.integer { default = 0, min = 0,
      help = "Refusals (401, 403, 429) in a row after which a key is disabled; 0: off." },
    last_resort  = setting.boolean { default = false,
      help = "When all keys rest, use the one that wakes first." },
  },
}

local function refuse_or_insist(self, request, next, keys)
  local key, wait = better.key(keys)
  local is_disabled = key.state == "disabled"
  self:note("all %d keys %s", #keys, is_disabled and "are disabled" or "rest")
  if self.settings.last_resort then
    local response = next(request:with { key = key })
    verdict.apply(self, response, key, request, true)
    return response
  end
  local whose = ("every key of the provider %q "):format(request.target.provider)
  if is_disabled then return request:refuse(503, whose .. "is disabled", wait) end
  return request:refuse(429, whose .. "rests for now", wait)
end

function rotation:run(request, next)
  local keys = request.keys
  if not keys[1] then return next(request) end
  local best, tried = nil, 0
  for _, key in ipairs(keys) do
    local is_ready = key.state == "ready"
    if is_ready or key:probe() then
      local response = next(request:with { key = key })
      local is_keys_fault = verdict.apply(self, response, key, request, not is_ready)
      if not is_keys_fault then return response end
      best, tried = better.response(best, response), tried + 1
      if tried == self.settings.tries then break end
    end
  end
  return best or refuse_or_insist(self, request, next, keys)
end

return rotation
