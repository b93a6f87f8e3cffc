--- neap.dialect.canonical: what lies between two dialects.
---
--- A canonical *request* is a decoded body in the shape of OpenAI's chat completions (neap.json
--- tables). A canonical *message* is { id, model, text, reasoning, refusal, tools = { { id, name,
--- arguments } }, finish, usage }. A stream is a list of canonical *events*:
---
--- | kind | members |
--- |---|---|
--- | start | id, model |
--- | text, reasoning, refusal | text |
--- | tool | index (from 0), id, name, arguments |
--- | arguments | index, text |
--- | finish | reason: stop, length, tool_calls, content_filter |
--- | usage | usage, in the form of neap.usage |
--- | error | status, message |
--- | end | |

local canonical = {}

--- The events of a whole message, for a client that asked for a stream where the provider sent
--- none.
function canonical.events(message)
  local events = { { kind = "start", id = message.id, model = message.model } }
  local function add(kind, text)
    if text and text ~= "" then events[#events + 1] = { kind = kind, text = text } end
  end
  add("reasoning", message.reasoning)
  add("text", message.text)
  add("refusal", message.refusal)
  for index, tool in ipairs(message.tools or {}) do
    events[#events + 1] = { kind = "tool", index = index - 1, id = tool.id, name = tool.name,
      arguments = tool.arguments }
  end
  events[#events + 1] = { kind = "finish", reason = message.finish or "stop" }
  if message.usage then events[#events + 1] = { kind = "usage", usage = message.usage } end
  events[#events + 1] = { kind = "end" }
  return events
end

--- Bytes of content in a message.
function canonical.size(message)
  local size = #(message.text or "") + #(message.reasoning or "") + #(message.refusal or "")
  for _, tool in ipairs(message.tools or {}) do
    size = size + #(tool.name or "") + #(tool.arguments or "")
  end
  return size
end

--- Bytes of content in an event.
function canonical.event_size(event)
  return #(event.text or "") + #(event.name or "") + #(event.arguments or "")
end

local function append(message, name, text)
  message[name] = (message[name] or "") .. text
end

--- Adds an event to a message that is put together from a stream.
function canonical.collect(message, event)
  local kind = event.kind
  if kind == "start" then
    message.id, message.model = event.id, event.model
  elseif kind == "text" or kind == "reasoning" or kind == "refusal" then
    append(message, kind, event.text)
  elseif kind == "tool" then
    message.tools, message.by_index = message.tools or {}, message.by_index or {}
    local tool = { id = event.id, name = event.name, arguments = event.arguments or "" }
    message.tools[#message.tools + 1], message.by_index[event.index] = tool, tool
  elseif kind == "arguments" then
    local tool = message.by_index and message.by_index[event.index]
    if tool then append(tool, "arguments", event.text) end
  elseif kind == "finish" then
    message.finish = event.reason
  elseif kind == "usage" then
    message.usage = event.usage
  elseif kind == "error" then
    message.error = event
  end
  return message
end

return canonical
