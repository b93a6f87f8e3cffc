--- admin.api.time_steps: where minutes, hours, days and months of a zone begin.

local zone = require "neap.zone"

local time_steps = {}

local SECONDS = { minute = 60, hour = 3600 }
local DAY = 86400

--- The moment at which clocks of the zone show so many seconds, near another moment. Where they
--- never do, because they are put forward, it is the moment of that.
local function moment_of(self, shown, near)
  local guess = shown - zone.offset(self, near)
  return shown - zone.offset(self, guess)
end

local function first_of(self, step, at)
  local today = zone.calendar(self, at)
  if step == "day" then return (zone.days_of(today.year, today.month, today.day) + 1) * DAY end
  local year, month = today.year, today.month + 1
  if month == 13 then year, month = year + 1, 1 end
  return zone.days_of(year, month, 1) * DAY
end

--- The first beginning of a step that is later than the moment.
---@param self neap.zone
---@param step "minute"|"hour"|"day"|"month"
---@param at number seconds since 1970
---@return number
function time_steps.after(self, step, at)
  local size = SECONDS[step]
  if size then
    local offset = zone.offset(self, at)
    return (math.floor((at + offset) / size) + 1) * size - offset
  end
  local moment = moment_of(self, first_of(self, step, at), at)
  return moment > at and moment or at + DAY
end

--- from, every beginning of a step behind it, and until; nil where that is more than most.
---@return number[]?
function time_steps.edges(self, step, from, till, most)
  local edges, at = {}, from
  while at < till do
    edges[#edges + 1] = at
    if #edges >= most then return nil end
    at = time_steps.after(self, step, at)
  end
  edges[#edges + 1] = till
  return edges
end

return time_steps
