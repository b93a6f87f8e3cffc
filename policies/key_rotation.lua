-- Tries a target's keys in turn, and notes what each failure says about the key: a rate limit
-- rests it, a refusal disables it, a provider's own trouble says nothing about it.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local verdict = require "policies.lib.key_verdict"

local rotation = policy.define {
  summary  = "Takes the provider's keys in turn and rests those that are limited.",
  walks    = "key",
  settings = {
    tries        = setting.integer { default = 2, min = 1, max = 100, help = "Keys to try for one target." },
    max_failures = setting.integer { default = 0, min = 0,
      help = "Refusals (401, 403, 429) in a row after which a key is disabled; 0: off." },
    last_resort  = setting.boolean { default = false, help = "All resting: use the one that wakes first." },
  },
}

-- Keys that are ready, or due for a probe; and the shortest wait of the others.
local function split(keys)
  local ready, soonest, wait = {}, nil, math.huge
  for _, key in ipairs(keys) do
    if key.state == "ready" or (key.state == "disabled" and key:probe()) then
      ready[#ready + 1] = key
    elseif (key.remaining or math.huge) < wait then
      soonest, wait = key, key.remaining
    end
  end
  return ready, soonest, wait
end

local function count_refusal(self, key)
  local limit = self.settings.max_failures
  if limit == 0 then return end
  local count = self.shared:add("refused " .. key.id, 1)
  if count >= limit then
    key:disable(("refused %d times in a row"):format(count), 600)
    self.shared:set("refused " .. key.id, nil)
  end
end

function rotation:run(request, next)
  local keys = request.keys
  if not keys[1] then return next(request) end
  local ready, soonest, wait = split(keys)
  if not ready[1] and self.settings.last_resort then ready = { soonest or keys[1] } end
  if not ready[1] then
    self:note("all %d keys rest", #keys)
    return request:refuse(429, "every key of the provider rests for now", wait)
  end
  local response
  for tried = 1, math.min(self.settings.tries, #ready) do
    local key = ready[tried]
    response = next(request:with { key = key })
    local what, why, seconds = verdict.of(response, key, self:random())
    if what == "well" then
      if key.state ~= "ready" or key.rests > 0 then key:well() end
      if self.settings.max_failures > 0 then self.shared:set("refused " .. key.id, nil) end
    end
    if what == "well" or what == "nothing" then return response end
    if what == "disable" then key:disable(why, 600) end
    if what == "rest" then key:rest(seconds, why) end
    if what == "rest_model" then key:rest(seconds, why, request.target.model) end
    count_refusal(self, key)
    self:note("%s: %s", key.id, why)
  end
  return response
end

return rotation
