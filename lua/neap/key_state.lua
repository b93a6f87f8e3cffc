--- neap.key_state: what the check of a key changes about the key.
---
--- Nothing here removes a key: the worst that a check does is to disable one that its provider
--- refuses, and that is asked again.

local key_state = {}

local PROBE_SECONDS = 600
local SPENT = "nothing is left" -- the beginning of why a key rests, by which it is known again

--- Notes a verdict. What says nothing about the key changes nothing.
---@param key table the catalog's inside of a key
---@param verdict neap.key_verdict
---@param rest_seconds number how long a key rests on which nothing is left
function key_state.note(key, verdict, rest_seconds)
  if verdict.balance then key.health:set_balance(verdict.balance) end
  if verdict.state == "refused" then
    key.health:disable(verdict.why, PROBE_SECONDS)
  elseif verdict.is_spent then
    key.health:rest(rest_seconds, ("%s: %s"):format(SPENT, verdict.why))
  elseif verdict.state == "good" then
    local view = key.health:view()
    -- Only this rest: one for a limit is its own affair.
    if view.state == "resting" and view.why:sub(1, #SPENT) == SPENT then key.health:well() end
  end
end

return key_state
