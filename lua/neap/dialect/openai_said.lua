--- neap.dialect.openai_said: what an answer of OpenAI's chat completions says, whole or in events:
--- content, the end, an error, nothing.

local failure = require "neap.dialect.openai_error"
local host = require "neap.host"
local json = require "neap.json"
local usage = require "neap.usage"

local said = {}

local is_said, status_of = failure.is_said, failure.status

-- With one of these a provider says why there is no content: that is its answer, and it would be
-- another provider's, too.
local SILENT = { length = true, content_filter = true }

local CONTENT = { "content", "reasoning_content", "reasoning", "reasoning_details", "refusal",
  "tool_calls", "function_call", "audio", "images" }

local function has_content(message)
  if type(message) ~= "table" then return false end
  for _, name in ipairs(CONTENT) do
    if is_said(message[name]) then return true end
  end
  return false
end

local function size_of(text) return type(text) == "string" and #text or 0 end

--- Bytes of text in a delta.
local function text_size(delta)
  local size = size_of(delta.content) + size_of(delta.reasoning_content)
    + size_of(delta.reasoning) + size_of(delta.refusal)
  for _, call in ipairs(type(delta.tool_calls) == "table" and delta.tool_calls or {}) do
    local made = type(call) == "table" and call["function"]
    if type(made) == "table" then size = size + size_of(made.name) + size_of(made.arguments) end
  end
  return size
end

--- What an event says: "lifecycle", "content", "finish", "end", or "error" and its status. With
--- "content" comes, as the third, how many bytes of the event are not content; with an error that
--- is not in this dialect's shape, one that is.
function said.classify(data, name)
  if data == "[DONE]" then return "end" end
  local chunk = host.json_read(data)
  if type(chunk) == "table" and is_said(chunk.error) then
    return "error", status_of(chunk.error)
  end
  if name == "error" then
    local status = status_of(chunk)
    local _, body = failure.out(status, failure.message(chunk or data))
    return "error", status, body
  end
  if type(chunk) ~= "table" then return "lifecycle" end
  local finished = false
  for _, choice in ipairs(type(chunk.choices) == "table" and chunk.choices or {}) do
    if type(choice) == "table" then
      if has_content(choice.delta) then
        return "content", nil, #data - text_size(choice.delta)
      end
      if has_content(choice.message) or is_said(choice.text)
        or SILENT[choice.finish_reason] then
        return "content"
      end
      finished = finished or is_said(choice.finish_reason)
    end
  end
  return finished and "finish" or "lifecycle"
end

--- The paths of what a choice of a whole answer can say.
local function said_in(names)
  local paths = { "choices/*/text" }
  for _, name in ipairs(names) do paths[#paths + 1] = "choices/*/message/" .. name end
  return paths
end

-- What is asked of a whole answer, for said.classify_body.
said.body_look = host.look {
  { take = "kind", "error" },
  { take = "kind", "choices" },
  { take = "is_some", unpack(said_in(CONTENT)) },
  usage = usage.questions,
}

local BLANK_MAX = 4 -- bytes: "{}" and a line's end, "null"; no answer is as short

--- What an answer says in which neither choices nor an error were found.
local function classify_odd(held, used)
  local begin = held:text(0, 512):match("^%s*(.?)")
  if begin == "" then return "empty" end
  if (begin == "{" or begin == "[") and not held:measure() then return "broken" end
  local listed = begin == "[" and held:find(1, "error")
  if listed then return "error", status_of(json.decode(listed)) end
  return "content", nil, used
end

--- What a whole answer says: "content", "empty", "broken" (JSON that ends too early), or "error"
--- and its status. held:find(path…) looks into the body, so that a large one is not decoded. A body
--- that is no JSON is the provider's own affair and passes. The last four: what said.body_look
--- found. With "content" comes, as the third, the usage, if it stands in its usual place.
function said.classify_body(held, size, problem, choices, is_content_there, used)
  if size <= BLANK_MAX then return "empty" end
  if problem == "object" or problem == "string" then
    local told = json.decode((held:find("error")))
    if is_said(told) then return "error", status_of(told) end
  end
  if not choices then return classify_odd(held, used) end
  if not used and not held:measure() then return "broken" end
  if not is_content_there and (choices == "array" or choices == "null") then
    local reason = held:find("choices", 1, "finish_reason")
    if not (reason and SILENT[json.decode(reason)]) then return "empty" end
  end
  return "content", nil, used
end

--- The text of a message or a delta.
function said.text_of(message)
  if type(message) ~= "table" then return "" end
  if type(message.content) == "string" then return message.content end
  local parts = {}
  for _, part in ipairs(type(message.content) == "table" and message.content or {}) do
    if type(part) == "table" and type(part.text) == "string" then parts[#parts + 1] = part.text end
  end
  return table.concat(parts)
end

--- The content text of an event, or of a whole answer.
function said.text(data)
  local document = host.json_read(data)
  local parts = {}
  if type(document) == "table" and type(document.choices) == "table" then
    for _, choice in ipairs(document.choices) do
      if type(choice) == "table" then
        parts[#parts + 1] = said.text_of(choice.delta)
        parts[#parts + 1] = said.text_of(choice.message)
        if type(choice.text) == "string" then parts[#parts + 1] = choice.text end
      end
    end
  end
  return table.concat(parts)
end

-- Sound and pictures are no text, however long they are in letters.
local text_look = host.look {
  { take = "bytes", unpack(said_in { "content", "reasoning_content", "reasoning",
    "reasoning_details", "refusal", "tool_calls", "function_call" }) },
}

--- Bytes of content in a whole answer, which held:look(look) looks into.
function said.content_size(held) return (held:look(text_look)) end

return said
