-- What the client says in a request, whatever shape its body has. A body that is too long to be
-- decoded (more than 1 MiB) or is no JSON inside has no messages here.
local messages = {}

-- The list of messages; empty where there is none.
function messages.of(request)
  local is_read, body = pcall(request.json, request)
  local list = is_read and type(body) == "table" and body.messages
  return type(list) == "table" and list or {}
end

local function parts_of(message)
  local content = type(message) == "table" and message.content
  return type(content) == "table" and content or {}
end

-- The text of a message: its content, or the texts among its parts, line by line.
function messages.text(message)
  if type(message) == "table" and type(message.content) == "string" then return message.content end
  local texts = {}
  for _, part in ipairs(parts_of(message)) do
    if type(part) == "table" and type(part.text) == "string" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts, "\n")
end

-- The text of the last message.
function messages.last(request)
  local list = messages.of(request)
  return messages.text(list[#list])
end

-- Whether any message has a part of that type: "image_url", "input_audio", "file".
function messages.has_part(request, kind)
  for _, message in ipairs(messages.of(request)) do
    for _, part in ipairs(parts_of(message)) do
      if type(part) == "table" and part.type == kind then return true end
    end
  end
  return false
end

return messages
