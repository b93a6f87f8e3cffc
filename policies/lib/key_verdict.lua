-- What a response says about the key that it was asked with.
local verdict = {}

local QUOTA_SECONDS = 3600
local FORBIDDEN_SECONDS = 600
local BACKOFF_MAX = 60

-- 1, 2, 4 … 60 s for the rests in a row, up to a quarter less or more by chance, so that keys
-- that were limited together do not wake together.
local function backoff(rests, chance)
  return math.min(BACKOFF_MAX, 2 ^ math.min(rests, 6) * (0.75 + chance * 0.5))
end

local function says(body, text)
  return body ~= nil and body:find(text, 1, true) ~= nil
end

-- Returns what, why, seconds. what: "well", "nothing" (it says nothing about the key), "rest",
-- "rest_model" (for the target's model alone) or "disable". chance: from 0 to 1.
function verdict.of(response, key, chance)
  local status, body = response.status, response.body
  if not status then return "nothing" end
  if status < 400 then return "well" end
  if status == 401 or says(body, "API_KEY_INVALID") then
    return "disable", ("the provider refused the key (%d)"):format(status)
  end
  local is_quota = says(body, "insufficient_quota") or (status == 429 and says(body, "PerDay"))
  if status == 402 or is_quota then
    return "rest", ("its quota is used up (%d)"):format(status),
      response.retry_after or QUOTA_SECONDS
  end
  if status == 403 then
    return "rest_model", "the key may not use the model (403)", FORBIDDEN_SECONDS
  end
  if status == 429 then
    return "rest", "its rate is limited (429)",
      response.retry_after or backoff(key.rests, chance)
  end
  return "nothing"
end

return verdict
