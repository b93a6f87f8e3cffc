--- neap.conversation: which conversation a request belongs to.
---
--- A client that knows says so: the header X-Conversation-Id, or `conversation_id` in the body's
--- `metadata`. Where it does not, neap guesses: a request that repeats what the user of the same
--- token said in the last half hour goes on with the conversation in which that was said. A client
--- sends the whole conversation each time, so what was said last in an earlier request stands
--- before what is said now; in a first message that is sent again it stands there itself. A text
--- counts as the same if it is, else if its first twenty characters are.
---
--- A conversation that is new has the id of the record of its first request.

local host = require "neap.host"
local json = require "neap.json"

local conversation = {}

local SECONDS = 1800         -- for which a text is remembered
local MESSAGES_MAX = 256 * 1024 -- bytes; in a longer list of messages nothing is looked for
local TEXT_MAX = 2048        -- bytes of a text that tell it from another, with its size
local ID_MAX = 128

local SIMILAR = 20           -- characters

local function is_id(value)
  return value and #value <= ID_MAX and value:find("^[%w%-_.:]+$") ~= nil
end

--- What the client itself says, or nil.
local function given_by(handle)
  local id = handle:header("x-conversation-id")
  if is_id(id) then return id end
  local metadata, kind = handle:member("metadata")
  if not metadata or kind ~= "object" then return nil end
  id, kind = json.find(metadata, "conversation_id")
  id = kind == "string" and json.decode(id)
  return is_id(id) and id or nil
end

--- The keys of what was said: of just that, and of what begins like it.
local function keys_of(token, text, size)
  if #text > TEXT_MAX then text = text:sub(1, TEXT_MAX) end
  local prefix = host.prefix(text, SIMILAR)
  return host.recent_key(token .. "\0=" .. size, text),
    prefix and host.recent_key(token .. "\0^", prefix)
end

local function guess(of)
  local last, size, before, size_before = of.dialect.said(of.handle, MESSAGES_MAX, TEXT_MAX)
  if not last or last == "" then return nil end
  -- A token sees nothing of another's: its name is the scope of the texts.
  local token = of.token and of.token.name or ""
  local exact, similar = keys_of(token, last, size)
  local exact_before, similar_before
  if before then exact_before, similar_before = keys_of(token, before, size_before) end
  -- What stands before goes first.
  local id = host.recent_get(exact_before or exact)
    or before and host.recent_get(exact)
    or similar_before and host.recent_get(similar_before)
    or similar and host.recent_get(similar)
    or of.record.uuid
  host.recent_put(exact, id, SECONDS)
  if similar then host.recent_put(similar, id, SECONDS) end
  return id
end

--- The id of the conversation: at most 128 letters, digits and - _ . :; and again if the client
--- told it, else nil.
---@param is_guessed boolean whether to guess where the client says nothing
---@return string id, string? told
function conversation.of(of, is_guessed)
  local told = given_by(of.handle)
  return told or is_guessed and guess(of) or of.record.uuid, told
end

return conversation
