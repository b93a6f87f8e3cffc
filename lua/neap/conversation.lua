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

local conversation = {}

local requests = host.request -- a method of a handle is found sooner here

local SECONDS = 1800 -- for which a text is remembered
local ID_MAX = 128   -- bytes

local function is_id(value)
  return #value <= ID_MAX and value:find("^[%w%-_.:]+$") ~= nil
end

--- The id of the conversation: at most 128 letters, digits and - _ . :; and again if the client
--- told it, else nil.
---@param of table the request's context; its told_conversation is what the body says
---@param is_guessed boolean whether to guess where the client says nothing
---@return string id, string? told
function conversation.of(of, is_guessed)
  local handle = of.handle
  local told = requests.header(handle, "x-conversation-id")
  if not (told and is_id(told)) then
    told = of.told_conversation
    if told and not is_id(told) then told = nil end
  end
  if told then return told, told end
  -- A token sees nothing of another's: its name is the scope of the texts.
  local token = of.token
  local guessed = is_guessed and requests.guess(handle, token and token.name or "", SECONDS)
  return guessed or handle:uuid()
end

return conversation
