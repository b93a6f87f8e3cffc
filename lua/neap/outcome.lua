--- neap.outcome: how a request ended, as a policy's `done` sees it.
---
--- An object around the finished record: of what nobody reads, nothing is made.

local object = require "neap.object"
local usage = require "neap.usage"

local outcome = {}

local NONE = {}

--- Whether the first attempt brought the answer, and the client got all of it.
local function is_at_once(self)
  local first = self.attempts[1]
  return self.outcome == "ok" and first ~= nil and self.attempts[2] == nil
    and first.status ~= nil and first.status < 400
end

local function usage_of(self)
  if self.usage and not self.seen_usage then self.seen_usage = usage.view(self.usage) end
  return self.seen_usage
end

local Outcome = object.class("outcome", {
  fields = { "status", "failure", "seconds" },
  getters = {
    aborted = function(self) return self.outcome == "aborted" end,
    cost = function(self) return self.cost_micros and self.cost_micros / 1e6 or nil end,
    at_once = is_at_once,
    first_event_seconds = function(self) return self.first_event_seconds or nil end,
    target = function(self) return (self.last or NONE).target end,
    key = function(self) return (self.last or NONE).key end,
    usage = usage_of,
  },
})

--- The outcome of a finished record (neap.record).
---@param record table
function outcome.of(record) return object.new(Outcome, record) end

return outcome
