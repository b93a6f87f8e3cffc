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
--- | error | status, message; said: the text of an error that has its dialect's shape |
--- | end | |

local host = require "neap.host"
local suggest = require "neap.suggest"
local usage = require "neap.usage"

local canonical = {}

-- ------------------------------------------------------------------------------------
-- A message that a policy makes

local MEMBERS = { id = true, model = true, text = true, reasoning = true, refusal = true,
  finish = true, tools = true, usage = true }
local OF_TOOL = { id = true, name = true, arguments = true }

--- What is wrong with a table's names, or with one that is no text; nil where nothing is.
local function problem_with(given, known, what)
  for name, value in next, given do
    if not known[name] then
      name = tostring(name)
      return ("%s has no \"%s\"%s"):format(what, name, suggest.text(name, known))
    end
    if name ~= "tools" and name ~= "usage" and type(value) ~= "string" then
      return ("%s of %s is a string, not a %s"):format(name, what, type(value))
    end
  end
end

--- A copy of a message's tools; nil and what is wrong with them.
local function tools_of(given)
  if type(given) ~= "table" then
    return nil, ("tools of a message is a table, not a %s"):format(type(given))
  end
  local tools = {}
  for index, tool in ipairs(given) do
    if type(tool) ~= "table" then
      return nil, ("a tool of a message is a table, not a %s"):format(type(tool))
    end
    local problem = problem_with(tool, OF_TOOL, "a tool of a message")
    if problem then return nil, problem end
    tools[index] = { id = tool.id or "call_" .. host.id(), name = tool.name or "",
      arguments = tool.arguments or "" }
  end
  return tools
end

--- A policy's message as one that can be sent, a copy; or nil and what is wrong with it. model:
--- where it names none.
---@param given table<string, any>
---@param model string
function canonical.message(given, model)
  local problem = problem_with(given, MEMBERS, "a message")
  if problem then return nil, problem end
  if given.usage ~= nil and type(given.usage) ~= "table" then
    return nil, ("usage of a message is a table, not a %s"):format(type(given.usage))
  end
  local made = { usage = usage.new(given.usage or {}) }
  for name, value in next, given do made[name] = made[name] or value end
  made.model = given.model or model
  if given.tools ~= nil then
    made.tools, problem = tools_of(given.tools)
    if not made.tools then return nil, problem end
  end
  return made
end

-- ------------------------------------------------------------------------------------
-- Messages and events

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
