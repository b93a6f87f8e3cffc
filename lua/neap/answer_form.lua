--- neap.answer_form: answers in another form than they came in: a message of neap's own, another
--- dialect, a stream that becomes one answer, one answer that becomes a stream.

local canonical = require "neap.dialect.canonical"
local ending = require "neap.answer_end"
local fields_of = require "neap.answer_fields"
local host = require "neap.host"
local record = require "neap.record"
local redact = require "neap.redact"
local response = require "neap.response"

local answer_form = {}

local add, without, finish = fields_of.add, fields_of.without, ending.finish

local WHOLE_MAX = 8 * 1024 * 1024 -- bytes of an answer that is translated as a whole
local EVENTS_MAX = 100            -- that are translated before others have their turn
local LARGE = 256 * 1024          -- bytes that are worth a turn of their own

--- neap's own message: whole, or as a stream.
function answer_form.reply(of, message, fields)
  local dialect, handle = of.dialect, of.handle
  if not of.stream then
    local kind, body = dialect.response_out(message)
    add(fields, "content-type", kind)
    handle:reply(200, fields, body)
    return finish(of, 200, "ok", #body)
  end
  add(fields, "content-type", "text/event-stream")
  of.is_begun = true
  handle:start(200, fields_of.add_of_stream(fields), -1)
  ending.note_first_byte(of)
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
function answer_form.translate(of, inside)
  local handle, to = of.handle, of.dialect
  local state = { model = of.model, is_usage_wanted = of.is_usage_wanted }
  local outcome, why, size = "ok", nil, 0
  local fields = without(fields_of.upstream(of, inside), "content-type")
  add(fields, "content-type", "text/event-stream")
  of.is_begun = true
  handle:start(inside.status, fields_of.add_of_stream(fields), -1)
  ending.note_first_byte(of)
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
  return ending.refuse(of, 502, "the provider's answer could not be read: " .. problem,
    { final = true, code = "upstream_bad_answer" })
end

--- What the provider broke off while its answer was put together: nothing was sent yet.
local function refuse_broken(of, inside, failure, why)
  response.close(inside)
  inside.failure, inside.why = failure, why
  return ending.pass_failure(of, inside)
end

--- neap's own form of a provider's answer, in the client's.
local function reply_message(of, inside, message)
  of.record.usage = message.usage
  if not message.usage then record.estimate(of.record, of.handle, canonical.size(message)) end
  message.model = message.model or of.model
  if inside.way.dialect ~= of.dialect then message.whole = nil end
  local fields = without(fields_of.upstream(of, inside), "content-type")
  response.close(inside)
  return answer_form.reply(of, message, fields)
end

--- A stream that the client did not ask for, put together to one answer.
function answer_form.collect(of, inside)
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
  return ending.pass_error(of, inside)
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
function answer_form.convert(of, inside)
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

return answer_form
