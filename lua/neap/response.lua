--- neap.response: what an attempt brought back, or what neap says itself; not yet sent.
---
--- A response holds its attempt open until another attempt begins, the request ends, or it is
--- committed. `peek` and `text` look at what the gate holds and consume nothing.

local host = require "neap.host"
local json_beginning = require "neap.json_beginning"
local object = require "neap.object"

local response = {}

local PEEK_MAX = 64 * 1024 -- bytes and characters that a policy sees at most

-- Why there is no event, where nothing is wrong.
local NO_FAILURE = { ["end"] = true, full = true, late = true }

local Response

-- A transfer that breaks while a policy holds the response is a failure like any other.
local function break_off(inside, failure)
  inside.status, inside.failure = nil, failure == "timeout" and "timeout" or "reset"
  response.close(inside)
end

local function time_left(until_time)
  return math.max(0, until_time - host.now())
end

local function peek(self, bytes, seconds)
  local inside = object.check(Response, self, "the response")
  local transfer = inside.transfer
  if inside.body or not transfer then return (inside.body or ""):sub(1, bytes or PEEK_MAX) end
  bytes = math.min(tonumber(bytes) or PEEK_MAX, PEEK_MAX)
  local held, failure = transfer:bytes(bytes, tonumber(seconds) or 0)
  if not held then
    break_off(inside, failure)
    return ""
  end
  return transfer:text(0, math.min(held, bytes))
end

-- A text's methods have the limits of policies, which are too low for the largest answers: these
-- are the plain functions. Each of the patterns looks at one byte only.
local find, gmatch, gsub = string.find, string.gmatch, string.gsub

--- The characters of a text in UTF-8: their first bytes are counted.
local function length(content)
  if not find(content, "[\128-\255]") then return #content end
  return select(2, gsub(content, "[^\128-\191]", ""))
end

local function cut(content, characters)
  if #content <= characters then return content end
  content = content:sub(1, 4 * characters + 4)
  if not find(content, "[\128-\255]") then return content:sub(1, characters) end
  local count = 0
  for at in gmatch(content, "()[^\128-\191]") do
    if count == characters then return content:sub(1, at - 1) end
    count = count + 1
  end
  return content
end

--- Reads events on from where text() stopped, until there are so many characters, the end, or the
--- time is over.
local function read_events(inside, characters, until_time)
  local dialect = inside.way.dialect
  local parts, size = inside.text_parts or {}, inside.text_size or 0
  inside.text_parts = parts
  while size < characters do
    local data, offset = inside.transfer:event(inside.text_offset or 0, time_left(until_time))
    if data == nil then
      if not NO_FAILURE[offset] then break_off(inside, offset) end
      break
    end
    inside.text_offset = offset
    if data then
      local text = dialect.text(data)
      parts[#parts + 1], size = text, size + length(text)
    end
  end
  inside.text_size = size
  return table.concat(parts)
end

local function text(self, characters, seconds)
  local inside = object.check(Response, self, "the response")
  characters = math.min(tonumber(characters) or PEEK_MAX, PEEK_MAX)
  if inside.reply_text then return cut(inside.reply_text, characters) end
  if not inside.transfer then return "" end
  local until_time = host.now() + (tonumber(seconds) or 0)
  if inside.is_stream then
    return cut(read_events(inside, characters, until_time), characters)
  end
  if not inside.content then
    local held, is_ended = inside.transfer:bytes(1e9, time_left(until_time))
    if not held then
      break_off(inside, is_ended)
      return ""
    end
    local body = inside.transfer:text(0)
    inside.content = inside.way.dialect.text(is_ended and body or json_beginning(body))
  end
  return cut(inside.content, characters)
end

local function fail(self, failure, why)
  local inside = object.check(Response, self, "the response")
  if not response.FAILURES[failure] then
    error(("\"%s\" is no failure"):format(tostring(failure)), 2)
  end
  response.close(inside)
  -- An answer that a policy refused is no answer to give up with, either.
  inside.status, inside.body = nil, nil
  inside.refusal, inside.reply, inside.reply_text = nil, nil, nil
  inside.failure, inside.why = failure, why and tostring(why)
  return self
end

response.FAILURES = {
  connect = true, timeout = true, tls = true, reset = true, protocol = true, empty = true,
  keyword = true, exhausted = true,
}

local function headers_of(inside)
  if not inside.headers then
    inside.headers = {}
    local list = inside.header_list or (inside.transfer and inside.transfer:headers()) or {}
    for index = 1, #list, 2 do inside.headers[list[index]:lower()] = list[index + 1] end
  end
  return inside.headers
end

Response = object.class("response", {
  fields = { "status", "failure", "seconds", "first_event_seconds", "retry_after", "body" },
  getters = { headers = headers_of },
  methods = { peek = peek, text = text, fail = fail },
})

-- The response that was made last, and its inside: most of what is asked about is this one.
local latest, latest_inside

local function new(inside)
  latest, latest_inside = object.new(Response, inside), inside
  return latest, inside
end

--- An attempt's response. inside: what neap.attempt found.
response.of_attempt = new

--- A failure without an attempt: the budget is spent, or there is nothing to try.
function response.failed(of, failure, why)
  return new { context = of, failure = failure, why = why }
end

--- An error of neap's own.
--- retry_after: seconds, or nil.
function response.refusal(of, status, message, retry_after)
  return new { context = of, status = status, refusal = message, body = message,
    retry_after = retry_after }
end

--- A complete answer of neap's own: a canonical message.
function response.reply(of, message)
  return new { context = of, status = 200, reply = message, reply_text = message.text or "" }
end

--- The inside of a response, or nil for anything else.
function response.inside(value)
  if value == latest then return latest_inside end
  return object.inside(Response, value)
end

--- Ends the transfer, if one is open. Error bodies stay.
function response.close(inside)
  if inside.transfer then
    inside.transfer:close()
    inside.transfer = nil
  end
  local of = inside.context -- nil: of a request that has ended
  if of and of.open == inside then of.open = nil end
end

return response
