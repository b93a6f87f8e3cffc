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
    to.record_attempt(place, attempt.target_name, attempt.key_id, attempt.status, attempt.failure,
      attempt.why, attempt.seconds or self.start + self.seconds - attempt.started,
      attempt.first_event_seconds)
  end
  return to.end_record(#attempts, self.usage, self.uuid, self.id, self.origin or "client",
    self.client, self.path, self.endpoint, self.wall, self.seconds, self.generation, self.token,
    self.group, self.model, self.stream, self.conversation, self.dialect_in, self.bytes_in,
    self.status, self.outcome, self.provider, self.target_model, self.key, self.dialect_out,
    self.bytes_out, self.first_byte_seconds, self.first_event_seconds, self.cost_micros,
    self.cost_micros and (self.prices and self.prices.version or 0), self.error, self.policy,
    self.trace)
end

return record_values
