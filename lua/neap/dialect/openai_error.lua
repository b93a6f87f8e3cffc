--- neap.dialect.openai_error: errors of OpenAI's chat completions, as providers tell them and as
--- neap tells them itself.

local json = require "neap.json"

local failure = {}

--- Whether a member says something: it is neither null nor false nor empty. Some send an empty
--- "error" with each answer.
function failure.is_said(value)
  if type(value) == "table" then return next(value) ~= nil end
  return value ~= nil and value ~= json.null and value ~= "" and value ~= false
end

local STATUS_OF = {
  rate_limit_error = 429, rate_limit_exceeded = 429, insufficient_quota = 429,
  authentication_error = 401, invalid_api_key = 401, permission_error = 403,
  invalid_request_error = 400, model_not_found = 404, overloaded_error = 529,
  server_error = 500, timeout = 504,
}

--- The status that an error object stands for: its own code if that is one, else by its type.
function failure.status(problem)
  if type(problem) ~= "table" then return 502 end
  for _, name in ipairs { "code", "status" } do
    local number = tonumber(problem[name])
    if number and number >= 400 and number < 600 then return math.floor(number) end
  end
  return STATUS_OF[problem.code] or STATUS_OF[problem.type] or 502
end

-- What is said of the key under a 400, in members that no quoted prompt can have: its quotes are
-- escaped there. The first is Gemini's, whose clients would be told that their own key is wrong.
local OF_KEY = {
  { "\"reason\"%s*:%s*\"API_KEY_INVALID\"", 401 },
  { "\"code\"%s*:%s*\"insufficient_quota\"", 429 },
}

--- The status that an error answer stands for where that is not its own; else nil.
function failure.meant(status, body)
  if status ~= 400 then return nil end
  for _, said in ipairs(OF_KEY) do
    if body:find(said[1]) then return said[2] end
  end
end

--- The message of an error: an object, or a text.
function failure.message(problem)
  local message = type(problem) == "table" and problem.message or problem
  return type(message) == "string" and message ~= "" and message or "no reason given"
end

local TYPES = {
  [400] = "invalid_request_error", [401] = "invalid_request_error", [402] = "insufficient_quota",
  [403] = "permission_error", [404] = "invalid_request_error", [408] = "invalid_request_error",
  [413] = "invalid_request_error", [417] = "invalid_request_error", [418] = "invalid_request_error",
  [429] = "rate_limit_error", [431] = "invalid_request_error",
}
local CODES = { [401] = "invalid_api_key", [429] = "rate_limit_exceeded", [504] = "timeout" }

--- An error in this dialect: content type and body.
function failure.out(status, message, code)
  local kind = TYPES[status] or (status >= 500 and "server_error" or "invalid_request_error")
  code = code or CODES[status]
  return "application/json", ("{\"error\":{\"message\":%s,\"type\":%s,\"param\":null,\"code\":%s}}")
    :format(json.encode(message), json.encode(kind), code and json.encode(code) or "null")
end

local REASON_MAX = 500 -- bytes that are shown of an error in no shape

--- The message of a provider's error that is no JSON object (a list, a text, a page, nothing, or
--- one that was cut off), so that it can be told in this dialect's shape; nil for what clients of
--- it read themselves.
function failure.reason_in(body)
  local document = json.decode(body)
  if document and body:find("^%s*{") then return nil end
  local first = type(document) == "table" and document[1] or document
  if type(first) == "table" then return failure.message(first.error or first) end
  local text = type(first) == "string" and first or body
  text = text:sub(1, REASON_MAX):gsub("%s+", " ")
  return "the provider said: " .. (text:find("%S") and text or "nothing")
end

return failure
