--- neap.answer_fields: the fields of an answer's head, as flat lists { name, value, … }.

local host = require "neap.host"
local trace = require "neap.trace"

local answer_fields = {}

local is_trace_wanted = trace.is_wanted

local function matches(name, patterns)
  for _, pattern in ipairs(patterns) do
    if pattern == name then return true end
    if pattern:sub(-1) == "*" and name:sub(1, #pattern - 1) == pattern:sub(1, -2) then
      return true
    end
  end
  return false
end

local function add(fields, name, value)
  fields[#fields + 1], fields[#fields + 2] = name, value
end
answer_fields.add = add

--- Adds what only some clients or operators ask for.
local function add_wanted(of, fields)
  local cors = of.cors
  for index = 1, #cors do fields[#fields + 1] = cors[index] end
  if of.group and is_trace_wanted(of) then add(fields, "x-neap-trace", trace.compact(of)) end
  return fields
end

--- The fields that each answer of a request carries.
function answer_fields.own(of)
  local fields = { "x-request-id", of.handle:id() }
  if of.conversation then add(fields, "x-conversation-id", of.conversation) end
  return add_wanted(of, fields)
end

--- The same in a list of their own; nil where there are none.
function answer_fields.wanted(of)
  if not of.cors[1] and not (of.group and is_trace_wanted(of)) then return nil end
  return add_wanted(of, {})
end

--- What passes of the headers that a provider of a dialect sends; made at its first answer.
answer_fields.filters = setmetatable({}, { __index = function(self, dialect)
  self[dialect] = host.filter(dialect.answer_headers)
  return rawget(self, dialect)
end })

--- Those of an answer that a provider gave and that is not sent as it came: the provider's headers
--- are among them. One that is sent as it came gets the same from the host (request:reply_held).
function answer_fields.upstream(of, inside)
  local fields = add_wanted(of, {
    "x-request-id", of.handle:id(), "x-conversation-id", of.conversation,
    "x-neap-provider", inside.way.provider, "x-neap-attempts", #of.attempts,
  })
  local list = inside.header_list or inside.transfer:headers()
  local patterns = inside.way.dialect.answer_headers
  for index = 1, #list, 2 do
    local name = list[index]:lower()
    if matches(name, patterns) then
      add(fields, name, list[index + 1])
    elseif name == "x-request-id" or name == "request-id" then
      add(fields, "x-neap-upstream-request-id", list[index + 1])
    end
  end
  return fields
end

--- These fields but those of that name.
function answer_fields.without(fields, name)
  local kept = {}
  for index = 1, #fields, 2 do
    if fields[index] ~= name then add(kept, fields[index], fields[index + 1]) end
  end
  return kept
end

--- Adds what a stream has. Returns the same list.
function answer_fields.add_of_stream(fields)
  add(fields, "cache-control", "no-cache")
  add(fields, "x-accel-buffering", "no")
  return fields
end

return answer_fields
