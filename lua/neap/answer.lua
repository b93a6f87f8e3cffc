--- neap.answer: commits a response: from here on nothing is retried.

local canonical = require "neap.dialect.canonical"
local catalog = require "neap.catalog"
local host = require "neap.host"
local object = require "neap.object"
local record = require "neap.record"
local redact = require "neap.redact"
local response = require "neap.response"
local trace = require "neap.trace"

local answer = {}

-- What each answer asks for, kept at hand.
local give_way = host.give_way.records
local inside_of, is_trace_wanted = response.inside, trace.is_wanted
local requests = host.request -- a method of a handle is found sooner here

local WHOLE_MAX = 8 * 1024 * 1024 -- bytes of an answer that is translated as a whole
local EVENTS_MAX = 100            -- that are translated before others have their turn
local LARGE = 256 * 1024          -- bytes that are worth a turn of their own

local STATUS_OF = { connect = 502, tls = 502, reset = 502, protocol = 502, empty = 502,
  keyword = 502, timeout = 504 }
local MESSAGE_OF = {
  connect = "the provider could not be reached",
  tls = "the provider's certificate or handshake was refused",
  reset = "the provider broke the connection off",
  protocol = "the provider answered something that is no valid answer",
  empty = "the provider's answer was empty",
  keyword = "the provider's answer was refused by a keyword",
  timeout = "the provider did not answer in time",
  exhausted = "the request's budget of attempts or time is spent",
}

-- ------------------------------------------------------------------------------------
-- Headers

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

--- Adds what only some clients or operators ask for.
local function add_wanted(of, fields)
  local cors = of.cors
  for index = 1, #cors do fields[#fields + 1] = cors[index] end
  if of.group and is_trace_wanted(of) then add(fields, "x-neap-trace", trace.compact(of)) end
  return fields
end

--- The fields that each answer of a request carries.
local function own_fields(of)
  local fields = { "x-request-id", of.handle:id() }
  if of.conversation then add(fields, "x-conversation-id", of.conversation) end
  return add_wanted(of, fields)
end

--- The same in a list of their own; nil where there are none.
local function wanted_fields(of)
  if not of.cors[1] and not (of.group and is_trace_wanted(of)) then return nil end
  return add_wanted(of, {})
end

--- What passes of the headers that a provider of a dialect sends; made at its first answer.
local filters = setmetatable({}, { __index = function(self, dialect)
  self[dialect] = host.filter(dialect.answer_headers)
  return rawget(self, dialect)
end })

--- Those of an answer that a provider gave and that is not sent as it came: the provider's headers
--- are among them. One that is sent as it came gets the same from the host (request:reply_held).
local function upstream_fields(of, inside)
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

local function without(fields, name)
  local kept = {}
  for index = 1, #fields, 2 do
    if fields[index] ~= name then add(kept, fields[index], fields[index + 1]) end
  end
  return kept
end

local function stream_fields(fields)
  add(fields, "cache-control", "no-cache")
  add(fields, "x-accel-buffering", "no")
  return fields
end

-- ------------------------------------------------------------------------------------
-- Errors

local function note_first_byte(of)
  of.record.first_byte_seconds = requests.elapsed(of.handle)
end

--- size: bytes of body that went out. seconds, is_gone: as of request:elapsed, where that is known.
local function finish(of, status, outcome, size, why, seconds, is_gone)
  local self = of.record
  if not seconds then seconds, is_gone = requests.elapsed(of.handle) end
  self.first_byte_seconds = self.first_byte_seconds or seconds
  self.status, self.outcome, self.bytes_out = status, outcome, size
  if why then self.error = why end -- a name without a value would need room, too
  if is_gone then self.outcome, self.status = "aborted", 499 end
  record.finish(self, seconds)
end

--- An error of neap's own in the client's dialect. options: { retry_after, code, final (the client
--- need not try again), attempted, fields }.
function answer.refuse(of, status, message, options)
  options = options or {}
  local kind, body = of.dialect.error_out(status, message, options.code)
  local fields = own_fields(of)
  add(fields, "content-type", kind)
  if options.retry_after then
    add(fields, "retry-after", math.max(1, math.ceil(options.retry_after)))
  end
  if options.final then add(fields, "x-should-retry", "false") end
  if #of.attempts > 0 then
    add(fields, "x-neap-attempts", #of.attempts)
    local last = object.inside(catalog.Target, of.attempts[#of.attempts].target)
    if last then add(fields, "x-neap-provider", last.provider) end
  end
  for index = 1, #(options.fields or {}) do fields[#fields + 1] = options.fields[index] end
  of.handle:reply(status, fields, body)
  finish(of, status, "failed", #body, options.why or message)
end

-- What the client itself did wrong comes back as it is, in whatever shape.
local OF_CLIENT = { [400] = true, [413] = true, [422] = true }

-- Besides 5xx, what clients ask for again by themselves.
local IS_RETRIED = { [408] = true, [409] = true, [425] = true, [429] = true }

-- With what a wait goes; other errors may tell of limits that have nothing to do with them.
local MAY_WAIT = { [429] = true, [503] = true }

--- Adds the wait that a provider asks for where it does so in its body, or by its limits' resets.
local function add_wait(inside, fields)
  if not inside.retry_after or not MAY_WAIT[inside.status] then return end
  for index = 1, #fields, 2 do
    if fields[index]:find("^retry%-after") then return end
  end
  add(fields, "retry-after", math.max(1, math.ceil(inside.retry_after)))
end

--- The provider's own error, as it came, unless it is nothing that a client could read; a failure
--- of our key becomes 503.
local function pass_error(of, inside)
  local status = inside.status
  if status == 401 or status == 402 or status == 403 then
    return answer.refuse(of, 503, ("the provider \"%s\" refused neap's own key (%d); "
      .. "its operator must look after it"):format(inside.way.provider, status),
      { final = true, code = "provider_key_refused" })
  end
  local fields = upstream_fields(of, inside)
  -- neap has tried what there was: the client need not, unless the provider says otherwise.
  if (status >= 500 or IS_RETRIED[status]) and not inside.has_retry_advice then
    add(fields, "x-should-retry", "false")
  end
  add_wait(inside, fields)
  local body, kind = inside.body, "application/json"
  local is_native = inside.way.dialect == of.dialect and not inside.is_collected
  local is_event, reason = inside.is_error_event, nil
  if not is_native then
    reason = "the provider refused: " .. body:sub(1, 2000)
  elseif is_event or not OF_CLIENT[status] then
    reason = of.dialect.reason_in(body)
  end
  if reason then kind, body = of.dialect.error_out(status, reason) end
  if is_event or reason then
    -- The rest of the head is not an error's, or not this one's.
    fields = without(without(fields, "content-type"), "content-length")
    add(fields, "content-type", kind)
  end
  of.handle:reply(status, fields, body)
  finish(of, status, "failed", #body, "the provider answered " .. status)
end

--- The last real answer of a request whose budget is spent.
local function last_real(of)
  for index = #of.attempts, 1, -1 do
    local attempt = of.attempts[index]
    if attempt.status then return attempt end
    local failure = attempt.failure
    if failure and failure ~= "exhausted" and failure ~= "lost" then return attempt end
  end
end

local function pass_failure(of, inside)
  local failure, why = inside.failure, inside.why
  if failure == "exhausted" then
    local last = last_real(of)
    if last and last.body then return pass_error(of, last) end
    if last and last.failure then failure, why = last.failure, last.why end
  end
  local status = STATUS_OF[failure] or 503
  of.record.failure = failure
  answer.refuse(of, status, MESSAGE_OF[failure] or failure, { final = true,
    code = status == 504 and "timeout" or failure, why = failure .. (why and ": " .. why or "") })
end

-- ------------------------------------------------------------------------------------
-- Answers

--- neap's own message: whole, or as a stream.
local function reply(of, message, fields)
  local dialect, handle = of.dialect, of.handle
  if not of.stream then
    local kind, body = dialect.response_out(message)
    add(fields, "content-type", kind)
    handle:reply(200, fields, body)
    return finish(of, 200, "ok", #body)
  end
  add(fields, "content-type", "text/event-stream")
  of.is_begun = true
  handle:start(200, stream_fields(fields), -1)
  note_first_byte(of)
  local state, size = { model = of.model, is_usage_wanted = of.is_usage_wanted }, 0
  local function send(bytes)
    size = size + #bytes
    handle:write(bytes)
  end
  local own = dialect.whole_out and dialect.whole_out(message, of.is_usage_wanted)
  for _, bytes in ipairs(own or {}) do send(bytes) end
  for _, event in ipairs(own and {} or canonical.events(message)) do
    send(dialect.stream_out(state, event))
  end
  handle:finish()
  finish(of, 200, "ok", size)
end

--- The event of a stream that broke. after, name: as transfer:event tells it.
local function break_event(after, name)
  local is_late = after == "timeout"
  if after == "end" then after, name = "reset", "the provider's stream ended too early" end
  return { kind = "error", status = is_late and 504 or 502, is_break = true,
    failure = is_late and "timeout" or "reset", reason = name,
    why = name and after .. ": " .. name or after,
    message = is_late and "the provider's stream stalled and was given up"
      or "the provider's stream broke off before its end" }
end

--- An error may quote the key.
local function take_key_out(inside, event)
  event.message = redact.text(event.message, redact.of(inside.way))
  event.said = event.said and redact.text(event.said, redact.of(inside.way))
end

--- Hands each canonical event of the provider's stream to `take`, up to its end or its error; the
--- last is always one of these two, and before an end there is a finish. `take` gives a true value
--- to go no further. state: of the dialect's stream_in.
local function read_stream(inside, state, take)
  local transfer, from = inside.transfer, inside.way.dialect
  local count, is_finished, reason = 0, false, "stop"
  while true do
    local data, after, name = transfer:event(0)
    if data == nil then
      return take(after == "end" and is_finished and { kind = "end" } or break_event(after, name))
    end
    transfer:release(after)
    for _, event in ipairs(data and from.stream_in(state, data, name) or {}) do
      local kind = event.kind
      if kind == "error" then take_key_out(inside, event) end
      if kind == "finish" then is_finished = true end
      if kind == "tool" then reason = "tool_calls" end
      if kind == "end" and not is_finished then take { kind = "finish", reason = reason } end
      if take(event) or kind == "error" or kind == "end" then return end
    end
    count = count + 1
    if count % EVENTS_MAX == 0 then host.sleep(0) end
  end
end

--- A stream that is translated event by event.
local function translate(of, inside)
  local handle, to = of.handle, of.dialect
  local state = { model = of.model, is_usage_wanted = of.is_usage_wanted }
  local outcome, why, size = "ok", nil, 0
  local fields = without(upstream_fields(of, inside), "content-type")
  add(fields, "content-type", "text/event-stream")
  of.is_begun = true
  handle:start(inside.status, stream_fields(fields), -1)
  note_first_byte(of)
  of.content_size = 0
  local function send(bytes)
    if bytes == "" then return end
    size = size + #bytes
    handle:write(bytes)
  end
  read_stream(inside, {}, function(event)
    of.content_size = of.content_size + canonical.event_size(event)
    -- Some tell it with each event: the client gets the last one, once and at the end.
    if event.kind == "usage" then
      of.record.usage = event.usage
      return
    end
    if event.kind == "error" then
      outcome, why = event.is_break and "truncated" or "failed", event.why or event.message
    end
    if event.kind == "end" and of.record.usage then
      send(to.stream_out(state, { kind = "usage", usage = of.record.usage }))
    end
    send(to.stream_out(state, event))
  end)
  handle:finish()
  response.close(inside)
  if not of.record.usage then record.estimate(of.record, handle, of.content_size) end
  finish(of, inside.status, outcome, size, why)
end

local function refuse_unreadable(of, inside, problem)
  response.close(inside)
  return answer.refuse(of, 502, "the provider's answer could not be read: " .. problem,
    { final = true, code = "upstream_bad_answer" })
end

--- What the provider broke off while its answer was put together: nothing was sent yet.
local function refuse_broken(of, inside, failure, why)
  response.close(inside)
  inside.failure, inside.why = failure, why
  return pass_failure(of, inside)
end

--- neap's own form of a provider's answer, in the client's.
local function reply_message(of, inside, message)
  of.record.usage = message.usage
  if not message.usage then record.estimate(of.record, of.handle, canonical.size(message)) end
  message.model = message.model or of.model
  if inside.way.dialect ~= of.dialect then message.whole = nil end
  local fields = without(upstream_fields(of, inside), "content-type")
  response.close(inside)
  return reply(of, message, fields)
end

--- A stream that the client did not ask for, put together to one answer.
local function collect(of, inside)
  local message, size, is_too_long = {}, 0, false
  message.gathered = inside.way.dialect == of.dialect and {} or nil
  read_stream(inside, { gather = message.gathered }, function(event)
    size = size + canonical.event_size(event)
    of.content_size = size
    is_too_long = size > WHOLE_MAX
    if not is_too_long then canonical.collect(message, event) end
    return is_too_long
  end)
  if is_too_long then return refuse_unreadable(of, inside, "it is too long") end
  local problem = message.error
  if not problem then return reply_message(of, inside, message) end
  if problem.is_break then
    return refuse_broken(of, inside, problem.failure, problem.reason)
  end
  -- As if the provider had answered with this error at once.
  local said = inside.way.dialect == of.dialect and problem.said
  inside.status, inside.body = problem.status, said or problem.message
  inside.is_error_event, inside.is_collected = said and true, not said
  inside.header_list = inside.transfer:headers()
  inside.has_retry_advice = inside.transfer:header("x-should-retry") ~= nil
  response.close(inside)
  return pass_error(of, inside)
end

--- The whole body, also where it is longer than what a gate holds; nil and a failure, or nothing.
local function read_whole(inside)
  local transfer, parts, size = inside.transfer, {}, 0
  while true do
    local held, is_ended, why = transfer:bytes(1e9)
    if not held then return nil, is_ended, why end
    parts[#parts + 1] = transfer:text(0)
    size = size + held
    if is_ended then return table.concat(parts) end
    if size > WHOLE_MAX then return nil end
    transfer:release(held)
  end
end

--- A whole body in another form than the client's: another dialect, or a stream was asked for. One
--- that the gate held was read by the attempt.
local function convert(of, inside)
  if inside.message then return reply_message(of, inside, inside.message) end
  local text, failure, why = read_whole(inside)
  if failure then return refuse_broken(of, inside, failure, why) end
  if not text then return refuse_unreadable(of, inside, "it is too long") end
  if #text > LARGE then host.sleep(0) end
  local message, problem = inside.way.dialect.response_in(text)
  if not message then return refuse_unreadable(of, inside, problem) end
  if #text > LARGE then host.sleep(0) end
  return reply_message(of, inside, message)
end

local function relay(of, inside)
  local transfer = inside.transfer
  local fields, plan, rule = wanted_fields(of), nil, nil
  local length = tonumber(transfer:header("content-length")) or -1
  if inside.is_stream then
    plan, rule = inside.way.dialect.plan(inside.is_usage_hidden or false)
    fields, length = stream_fields(fields or {}), -1
  elseif transfer:header("content-encoding") then
    length = -1
  end
  of.record.status, of.record.usage_rule, of.record.frame = inside.status, rule, inside.frame
  note_first_byte(of)
  of.open = nil
  record.trim(of.record)
  requests.relay(of.handle, transfer, inside.status, filters[inside.way.dialect],
    of.conversation, inside.way.provider, #of.attempts, fields, length, plan)
end

--- The end of a request whose answer neap itself could not go on with.
function answer.break_off(of, why)
  of.handle:cut()
  if of.content_size and not of.record.usage then
    record.estimate(of.record, of.handle, of.content_size)
  end
  finish(of, of.record.status or 200, "truncated", nil, why)
end

--- A whole answer of the client's own dialect, as it came.
local function pass_whole(of, inside)
  local self, transfer, dialect = of.record, inside.transfer, of.dialect
  self.usage = inside.usage or dialect.usage(transfer)
  if not self.usage then record.estimate(self, of.handle, dialect.content_size(transfer)) end
  local seconds, is_gone = requests.reply_held(of.handle, transfer, inside.status,
    filters[dialect], of.conversation, inside.way.provider, #of.attempts, wanted_fields(of))
  inside.transfer, of.open, self.first_event_seconds = nil, nil, seconds
  give_way()
  return finish(of, inside.status, "ok", inside.size, nil, seconds, is_gone)
end

--- What is no provider's: a refusal, a policy's own message, a failure without an attempt.
local function send_own(of, inside)
  if inside.refusal then
    return answer.refuse(of, inside.status, inside.refusal,
      { final = inside.status >= 500 or IS_RETRIED[inside.status],
        retry_after = inside.retry_after })
  end
  if inside.reply then return reply(of, inside.reply, own_fields(of)) end
  return pass_failure(of, inside)
end

--- Sends the response that the chain returned. After a relay has begun, the end of the request
--- comes to neap.router by finish.
function answer.commit(of, got)
  local inside, open, self = inside_of(got), of.open, of.record
  local way = inside.way
  if open and open ~= inside then response.close(open) end
  if not way then return send_own(of, inside) end
  self.last = inside
  local is_native, is_good = way.dialect == of.dialect, not (inside.failure or inside.body)
  if inside.is_whole and is_native and is_good and not of.stream then
    return pass_whole(of, inside)
  end
  if inside.failure then return pass_failure(of, inside) end
  if inside.body then return pass_error(of, inside) end
  self.first_event_seconds = requests.elapsed(of.handle)
  local is_stream = inside.is_stream
  if is_stream and not of.stream then return collect(of, inside) end
  if is_stream and not is_native then return translate(of, inside) end
  if not is_stream and (of.stream or not is_native) then return convert(of, inside) end
  relay(of, inside)
end

return answer
