--- neap.record_values: a record as plain values, in the order in which the host takes them
--- (host/script/record_read.c, and the signatures in neap.host). For members that it looks up in a
--- table by their names the host needs three times as long.

local record_values = {}

--- Tells all of a record (neap.record) to who takes its values; returns what that says of it.
--- An attempt that has no end was under way when the request ended.
---@param self table
---@param to table record_attempt and end_record, as neap.host has them
function record_values.tell(self, to)
  local attempts = self.attempts
  for place = 1, #attempts do
    local attempt = attempts[place]
    to.record_attempt(place, attempt.status,
      attempt.seconds or self.start + self.seconds - attempt.started, attempt.first_event_seconds,
      attempt.target_name, attempt.key_id, attempt.failure, attempt.why)
  end
  local cost = self.cost_micros
  return to.end_record(self.usage, self.stream, #attempts, self.wall, self.seconds,
    self.first_byte_seconds, self.first_event_seconds, self.status, self.bytes_in, self.bytes_out,
    cost, cost and (self.prices and self.prices.version or 0), self.generation, self.id, self.token,
    self.group, self.endpoint, self.dialect_in, self.dialect_out, self.model, self.provider,
    self.target_model, self.key, self.conversation, self.client, self.uuid, self.path, self.policy,
    self.error, self.trace, self.origin, self.outcome)
end

return record_values
