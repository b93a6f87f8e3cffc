--- neap.answer_end: how answers end, with the record of their request; and errors, which do so at
--- once: neap's own and those that a provider gave.

local catalog = require "neap.catalog"
local fields_of = require "neap.answer_fields"
local host = require "neap.host"
local object = require "neap.object"
local record = require "neap.record"

local answer_end = {}

local add, without = fields_of.add, fields_of.without
local requests = host.request -- a method of a handle is found sooner here

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

--- The head of an answer went out, and with it what came first.
function answer_end.note_first_byte(of)
  of.record.first_byte_seconds = requests.elapsed(of.handle)
end

--- The end of a request whose answer has ended, with its record. size: bytes of body that went out.
--- seconds, is_gone: as of request:elapsed, where that is known.
local function finish(of, status, outcome, size, why, seconds, is_gone)
  local self = of.record
  if not seconds then seconds, is_gone = requests.elapsed(of.handle) end
  self.first_byte_seconds = self.first_byte_seconds or seconds
  self.status, self.outcome, self.bytes_out = status, outcome, size
  if why then self.error = why end -- a name without a value would need room, too
  if is_gone then self.outcome, self.status = "aborted", 499 end
  record.finish(self, seconds)
end
answer_end.finish = finish

--- An error of neap's own in the client's dialect. options: { retry_after, code, final (the client
--- need not try again), attempted, fields }.
function answer_end.refuse(of, status, message, options)
  options = options or {}
  local kind, body = of.dialect.error_out(status, message, options.code)
  local fields = fields_of.own(of)
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
answer_end.IS_RETRIED = IS_RETRIED

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
function answer_end.pass_error(of, inside)
  local status = inside.status
  if status == 401 or status == 402 or status == 403 then
    return answer_end.refuse(of, 503, ("the provider \"%s\" refused neap's own key (%d); "
      .. "its operator must look after it"):format(inside.way.provider, status),
      { final = true, code = "provider_key_refused" })
  end
  local fields = fields_of.upstream(of, inside)
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

--- An attempt without any answer, as an error of neap's own.
function answer_end.pass_failure(of, inside)
  local failure, why = inside.failure, inside.why
  if failure == "exhausted" then
    local last = last_real(of)
    if last and last.body then return answer_end.pass_error(of, last) end
    if last and last.failure then failure, why = last.failure, last.why end
  end
  local status = STATUS_OF[failure] or 503
  of.record.failure = failure
  answer_end.refuse(of, status, MESSAGE_OF[failure] or failure, { final = true,
    code = status == 504 and "timeout" or failure, why = failure .. (why and ": " .. why or "") })
end

return answer_end
