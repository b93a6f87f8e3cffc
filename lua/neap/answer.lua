--- neap.answer: commits a response: from here on nothing is retried. One of the client's dialect
--- and form passes as it came; others go through neap.answer_form, errors through neap.answer_end.

local ending = require "neap.answer_end"
local fields_of = require "neap.answer_fields"
local form = require "neap.answer_form"
local host = require "neap.host"
local record = require "neap.record"
local response = require "neap.response"

local answer = { refuse = ending.refuse }

-- What each answer asks for, kept at hand.
local give_way = host.give_way.records
local inside_of, finish = response.inside, ending.finish
local filters, wanted = fields_of.filters, fields_of.wanted
local requests = host.request -- a method of a handle is found sooner here

local function relay(of, inside)
  local transfer = inside.transfer
  local fields, plan, rule = wanted(of), nil, nil
  local length = tonumber(transfer:header("content-length")) or -1
  if inside.is_stream then
    plan, rule = inside.way.dialect.plan(inside.is_usage_hidden or false)
    fields, length = fields_of.add_of_stream(fields or {}), -1
  elseif transfer:header("content-encoding") then
    length = -1
  end
  of.record.status, of.record.usage_rule, of.record.frame = inside.status, rule, inside.frame
  ending.note_first_byte(of)
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
    filters[dialect], of.conversation, inside.way.provider, #of.attempts, wanted(of))
  inside.transfer, of.open, self.first_event_seconds = nil, nil, seconds
  give_way()
  return finish(of, inside.status, "ok", inside.size, nil, seconds, is_gone)
end

--- What is no provider's: a refusal, a policy's own message, a failure without an attempt.
local function send_own(of, inside)
  if inside.refusal then
    return ending.refuse(of, inside.status, inside.refusal,
      { final = inside.status >= 500 or ending.IS_RETRIED[inside.status],
        retry_after = inside.retry_after })
  end
  if inside.reply then return form.reply(of, inside.reply, fields_of.own(of)) end
  return ending.pass_failure(of, inside)
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
  if inside.failure then return ending.pass_failure(of, inside) end
  if inside.body then return ending.pass_error(of, inside) end
  self.first_event_seconds = requests.elapsed(of.handle)
  local is_stream = inside.is_stream
  if is_stream and not of.stream then return form.collect(of, inside) end
  if is_stream and not is_native then return form.translate(of, inside) end
  if not is_stream and (of.stream or not is_native) then return form.convert(of, inside) end
  relay(of, inside)
end

return answer
