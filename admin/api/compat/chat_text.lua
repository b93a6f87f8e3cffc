--- admin.api.compat.chat_text: what was said, out of bodies of chat completions that were kept.
---
--- A body that is not there, is too long or is none of these has no text: "".

local json = require "neap.json"

local chat_text = {}

local SIZE_MAX = 1024 * 1024 -- bytes of a body that is decoded

local function decode(body)
  if not body or #body > SIZE_MAX then return nil end
  local document = json.decode(body)
  return type(document) == "table" and document or nil
end

--- A message's content: a text, or the texts among its parts.
local function text_of(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return "" end
  local parts = {}
  for _, part in ipairs(content) do
    local text = type(part) == "table" and part.text
    if type(text) == "string" then parts[#parts + 1] = text end
  end
  return table.concat(parts)
end

--- What the user said last in a request.
---@param body string?
function chat_text.asked(body)
  local document = decode(body)
  local messages = document and document.messages
  for index = type(messages) == "table" and #messages or 0, 1, -1 do
    local message = messages[index]
    if type(message) == "table" and message.role == "user" then
      return text_of(message.content)
    end
  end
  return ""
end

local function content_of(document, name)
  local choice = type(document.choices) == "table" and document.choices[1]
  local message = type(choice) == "table" and choice[name]
  return type(message) == "table" and text_of(message.content) or ""
end

--- What was answered: of a whole answer, or of a stream's events.
---@param body string?
function chat_text.answered(body)
  local document = decode(body)
  if document then return content_of(document, "message") end
  local parts = {}
  for data in (body and #body <= SIZE_MAX and body or ""):gmatch("data:%s*([^\r\n]+)") do
    local event = decode(data)
    parts[#parts + 1] = event and content_of(event, "delta")
  end
  return table.concat(parts)
end

return chat_text
