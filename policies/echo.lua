-- Answers by itself with what the user said last: for a first try, and for tests of a client.
local messages = require "policies.lib.messages"
local policy   = require "neap.policy"

local echo = policy.define { summary = "Says back what it was told, without any provider." }

function echo:run(request)
  if not pcall(request.json, request) then
    return request:refuse(413, "that is too long for an echo")
  end
  local text = messages.last(request)
  return request:reply(text ~= "" and text or "(nothing was said)")
end

return echo
