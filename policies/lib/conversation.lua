-- Which conversation a request belongs to: as the client says, else as it begins.
local json   = require "neap.json"
local policy = require "neap.policy"

local conversation = {}

-- Only text counts: marks for a cache, for one, move on as the conversation grows.
local function text_of(content)
  if type(content) == "string" then return content end
  local parts = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    local text = type(part) == "table" and part.text
    parts[#parts + 1] = type(text) == "string" and text or "?"
  end
  return table.concat(parts, "\n")
end

-- The messages up to the first one of the user: they stay while the others grow.
local function beginning(body)
  local parts = {}
  for _, message in ipairs(type(body.messages) == "table" and body.messages or {}) do
    if type(message) ~= "table" then return nil end
    parts[#parts + 1] = tostring(message.role) .. "\n" .. text_of(message.content)
    if message.role == "user" then return table.concat(parts, "\n\n") end
  end
end

local function filled(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- A number that is the same for all requests of a conversation, or nil where nothing tells. A body
-- above 1 MiB, or one that is no object, tells nothing. header: a name, or nil; is_by_beginning:
-- whether its first messages may tell.
function conversation.of(request, header, is_by_beginning)
  local id = header and filled(request.headers[header:lower()]) or request.told_conversation
  if not id then
    local is_read, body = pcall(request.json, request)
    if not is_read or not json.is_object(body) then return nil end
    id = filled(body.prompt_cache_key) or filled(body.user)
      or (is_by_beginning and beginning(body))
  end
  -- The same words of another client are another conversation.
  return id and policy.hash((request.token or "") .. "\0" .. id)
end

return conversation
