-- Tries a target's keys in turn, and notes what each failure says about the key: a rate limit
-- rests it, a refusal disables it, a provider's own trouble says nothing about it.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local verdict = require "policies.lib.key_verdict"

local PROBE_SECONDS = 600

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

local function note_success(self, key)
  if key.state ~= "ready" or key.rests > 0 then key:well() end
  if self.settings.max_failures > 0 then self.shared:set("refused " .. key.id, nil) end
end

local function count_refusal(self, key, status)
  local limit = self.settings.max_failures
  if limit == 0 or (status ~= 401 and status ~= 403 and status ~= 429) then return end
  local count = self.shared:add("refused " .. key.id, 1)
  if count < limit then return end
  key:disable(("refused %d times in a row"):format(count), PROBE_SECONDS)
  self.shared:set("refused " .. key.id, nil)
end

-- Whether the failure was the key's own, so that another one may do better.
local function is_keys_fault(self, response, key, model)
  local what, why, seconds = verdict.of(response, key, self:random())
  if what == "well" then note_success(self, key) end
  if what == "well" or what == "nothing" then return false end
  if what == "disable" then key:disable(why, PROBE_SECONDS) end
  if what == "rest" then key:rest(seconds, why) end
  if what == "rest_model" then key:rest(seconds, why, model) end
  count_refusal(self, key, response.status)
  self:note("%s: %s", key.id, why)
  return true
end

local function first_to_wake(keys)
  local first, wait = keys[1], math.huge
  for _, key in ipairs(keys) do
    if (key.remaining or math.huge) < wait then first, wait = key, key.remaining end
  end
  return first, wait
end

function rotation:run(request, next)
  local keys, model = request.keys, request.target and request.target.model
  if not keys[1] then return next(request) end
  local response, tried = nil, 0
  for _, key in ipairs(keys) do
    if key.state == "ready" or key:probe() then
      response, tried = next(request:with { key = key }), tried + 1
      if not is_keys_fault(self, response, key, model) or tried == self.settings.tries then
        return response
      end
    end
  end
  if response then return response end
  local key, wait = first_to_wake(keys)
  self:note("all %d keys rest", #keys)
  if not self.settings.last_resort then
    return request:refuse(429, "every key of the provider rests for now", wait)
  end
  response = next(request:with { key = key })
  is_keys_fault(self, response, key, model)
  return response
end

return rotation
