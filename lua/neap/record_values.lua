--- neap.record_values: a record as plain values, in the order in which the host takes them
--- (host/script/record_read.c, and the signatures in neap.host). For members that it looks up in a
--- table by their names the host needs three times as long.

local host = require "neap.host"

local record_values = {}

local NONE = { seconds = 0 } -- the last attempt of a request that made none

--- Of an attempt that has no end: it was under way when the request ended.
local function seconds_so_far(attempt) return host.now() - attempt.started end

--- Tells each attempt but the last, which goes with the record: it is the only one of most.
local function tell_earlier(attempts, record_attempt)
  for place = 1, #attempts - 1 do
    local attempt = attempts[place]
    record_attempt(place, attempt.status, attempt.seconds or seconds_so_far(attempt),
      attempt.first_event_seconds, attempt.target_name, attempt.key_id, attempt.failure,
      attempt.why)
  end
end

--- Tells the host what it does not know itself of a request's record (neap.record) that still has
--- its context. prices: of the target that answered. Where the line in the log is left to the
--- caller it returns the request's id and when it arrived, in seconds since 1970; else nothing.
---@param self table
---@param prices table?
---@return string? id, number? wall
function record_values.tell(self, prices)
  local attempts, of, last, cost = self.attempts, self.context, self.last, self.cost_micros
  local count = #attempts
  local latest = attempts[count] or NONE
  if count > 1 then tell_earlier(attempts, host.record_attempt) end
  local token, group, provider, model, key, dialect = of.token, of.group, nil, nil, nil, nil
  if last then
    local way = last.way
    provider, model, key, dialect = way.provider, last.model or way.model, way.key_id, way.dialect
  end
  return host.end_record(of.handle, self.usage, of.stream, count, latest.status,
    latest.seconds or seconds_so_far(latest), latest.first_event_seconds, latest.target_name,
    latest.key_id, latest.failure, latest.why, self.seconds, self.first_byte_seconds,
    self.first_event_seconds, self.status, self.bytes_out, cost,
    cost and (prices and prices.version or 0), token and token.name, group and group.name,
    of.endpoint, of.dialect.name, dialect and dialect.name, of.model, provider, model, key,
    of.conversation, self.outcome, self.policy, self.error, self.trace, self.origin)
end

--- The same of a call in another router's log: all of it is in the record (admin.import.logs), by
--- the names that it has here, and its target's are `provider`, `target_model`, `key` and
--- `dialect_out`.
---@param self table
---@param journal table record_attempt and end_record, see host/script/import_journal.h
---@return boolean? is_taken, string? why
function record_values.tell_past(self, journal)
  local attempts, cost = self.attempts, self.cost_micros
  local latest = attempts[#attempts] or NONE
  tell_earlier(attempts, journal.record_attempt)
  return journal.end_record(self.uuid, self.wall, self.usage, self.stream, #attempts,
    latest.status, latest.seconds or seconds_so_far(latest), latest.first_event_seconds,
    latest.target_name, latest.key_id, latest.failure, latest.why,
    self.seconds, self.first_byte_seconds, self.first_event_seconds, self.status, self.bytes_out,
    cost, cost and (self.prices and self.prices.version or 0), self.token, self.group,
    self.endpoint, self.dialect_in, self.dialect_out, self.model, self.provider,
    self.target_model, self.key, self.conversation, self.outcome, self.policy, self.error,
    self.trace, self.origin)
end

return record_values
