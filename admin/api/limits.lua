--- admin.api.limits: the schema of limits of a span of time, as groups and tokens have them.
--- Nothing keeps these yet (docs/configuration.md).

local limits = {}

local whole = { type = "integer", minimum = 1, maximum = 2 ^ 31 }
local usd = { type = "number", minimum = 0, description = "USD." }

--- more: limits of its own.
---@param more table<string, table>?
function limits.schema(more)
  local properties = { requests_per_minute = whole, requests_per_day = whole,
    tokens_per_minute = whole, tokens_per_day = whole, in_flight = whole, cost_per_day = usd,
    cost_per_month = usd }
  for name, one in pairs(more or {}) do properties[name] = one end
  local bound = more and "`attempts` and `seconds` bound each request. " or ""
  return { type = "object", properties = properties, description = bound .. "What counts over "
    .. "time is checked and has no effect yet: the policy `rate_limit` counts by settings of its "
    .. "own." }
end

return limits
