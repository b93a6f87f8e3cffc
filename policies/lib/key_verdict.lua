-- What a response says about the key that it was asked with, and what is done about it.
local verdict = {}

local QUOTA_SECONDS = 3600
local FORBIDDEN_SECONDS = 600
local PROBE_SECONDS = 600
local BACKOFF_MAX = 60
local BODY_MAX = 16 * 1024 -- bytes of an error that are looked at

-- What `max_failures` counts. A spent quota, for one, is no refusal.
local REFUSALS = { [401] = true, [403] = true, [429] = true }

-- 1, 2, 4 … 60 s for the rests in a row, up to a quarter less or more by chance, so that keys
-- that were limited together do not wake together.
local function backoff(rests, chance)
  return math.min(BACKOFF_MAX, 2 ^ math.min(rests, 6) * (0.75 + chance * 0.5))
end

-- Whether the error names the code in one of its own members. A prompt that the provider quotes
-- cannot say so: its quotes are escaped there.
local function names(body, member, code)
  return body ~= nil and body:find('"' .. member .. '"%s*:%s*"' .. code .. '"') ~= nil
end

local function is_spent_quota(status, body)
  return status == 402 or names(body, "code", "insufficient_quota")
    or names(body, "type", "insufficient_quota")
end

-- Returns what, why, seconds. what: "well", "nothing" (it says nothing about the key), "rest",
-- "rest_model" (for the target's model alone) or "disable". policy: whose random() is asked.
function verdict.of(response, key, policy)
  local status = response.status
  -- What has no time was answered by neap itself: no key was asked.
  if not status or not response.seconds then return "nothing" end
  if status < 400 then return "well" end
  if status >= 500 then return "nothing" end
  local body = response.body and response.body:sub(1, BODY_MAX)
  if status == 401 or names(body, "reason", "API_KEY_INVALID") then
    return "disable", ("the provider refused the key (%d)"):format(status)
  end
  -- Gemini's retryDelay is that of the limit per minute, also where the day's quota is spent.
  if names(body, "quotaId", "[^\"]*PerDay[^\"]*") then
    return "rest", ("its quota of the day is used up (%d)"):format(status), QUOTA_SECONDS
  end
  if is_spent_quota(status, body) then
    return "rest", ("its quota is used up (%d)"):format(status),
      response.retry_after or QUOTA_SECONDS
  end
  if status == 403 then
    return "rest_model", "the key may not use the model (403)", FORBIDDEN_SECONDS
  end
  if status == 429 then
    return "rest", "its rate is limited (429)",
      response.retry_after or backoff(key.rests, policy:random())
  end
  return "nothing"
end

local function count_refusal(policy, key, status)
  local limit = policy.settings.max_failures
  if limit == 0 or not REFUSALS[status] then return end
  local count = policy.shared:add("refused " .. key.id, 1)
  if count < limit then return end
  key:disable(("refused %d times in a row"):format(count), PROBE_SECONDS)
  policy.shared:set("refused " .. key.id, nil)
end

-- A success that began before the key was rested or disabled must not take that back: only one
-- that was asked in spite of it does.
local function note_success(policy, key, is_test)
  if is_test or (key.rests > 0 and key.state == "ready") then key:well() end
  if policy.settings.max_failures > 0 then policy.shared:set("refused " .. key.id, nil) end
end

-- Does what the response says about the key; returns whether the failure was the key's own, so
-- that another one may do better. is_test: the key was asked though it was not ready.
function verdict.apply(policy, response, key, request, is_test)
  local what, why, seconds = verdict.of(response, key, policy)
  if what == "nothing" then return false end
  if what == "well" then
    note_success(policy, key, is_test)
    return false
  end
  if what == "disable" then key:disable(why, PROBE_SECONDS) end
  if what == "rest" then key:rest(seconds, why) end
  if what == "rest_model" then key:rest(seconds, why, request.target and request.target.model) end
  count_refusal(policy, key, response.status)
  policy:note("%s: %s", key.id, why)
  return true
end

return verdict
