--- admin.api.problem: what is wrong with a request, raised anywhere in a handler and answered in
--- one shape: {"error": {"code", "message", "field"?, "details"?}}.
---
--- Only what is the caller's to know is a problem; anything else that is raised becomes a 500
--- without its text, which goes into the log.

local json = require "neap.json"

local problem = {}

local Problem = {}
Problem.__index = Problem

--- Ends the handler with an error.
---@param status integer
---@param code string stable: programs decide by it
---@param message string for people; may change
---@param more { field: string?, details: string[]?, headers: (string|number)[]? }? field: a JSON
---pointer into the body, or the name of a parameter or header
function problem.raise(status, code, message, more)
  more = more or {}
  error(setmetatable({ status = status, code = code, message = message, field = more.field,
    details = more.details, headers = more.headers }, Problem), 0)
end

--- The problem that was raised, or nil for any other error.
function problem.of(raised)
  return getmetatable(raised) == Problem and raised or nil
end

--- The body of its answer. is_compat: for clients of other systems, who look for "detail".
function problem.document(self, is_compat)
  return json.object { error = json.object { code = self.code, message = self.message,
    field = self.field, details = self.details and json.array(self.details) or nil },
    detail = is_compat and self.message or nil }
end

function problem.not_found(what)
  problem.raise(404, "not_found", ("there is no %s"):format(what))
end

--- For a store or a queue that cannot take more for now.
function problem.busy(message, seconds)
  problem.raise(503, "busy", message, { headers = { "retry-after", seconds or 1 } })
end

return problem
