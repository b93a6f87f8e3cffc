-- Answers by itself with what the user said last: for a first try, and for tests of a client.
local policy = require "neap.policy"

local echo = policy.define { summary = "Says back what it was told, without any provider." }

local function text_of(content)
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then
      parts[#parts + 1] = part.text
    end
  end
  return table.concat(parts, "\n")
end

function echo:run(request)
  local is_read, body = pcall(request.json, request)
  if not is_read then return request:refuse(413, "that is too long for an echo") end
  local messages = body.messages
  local last = type(messages) == "table" and messages[#messages]
  local text = type(last) == "table" and text_of(last.content) or ""
  return request:reply(text ~= "" and text or "(nothing was said)")
end

return echo
