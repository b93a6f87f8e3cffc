--- neap.test.legs: functions that run beside a fiber, on the virtual clock. It keeps to the rules
--- of the host's own (neap.host.legs).

local clock = require "neap.test.clock"

local legs = {}

local Legs = {}
Legs.__index = Legs

local by_fiber = setmetatable({}, { __mode = "k" }) -- what a fiber has begun

function Legs:start(run)
  local place = #self.fibers + 1
  self.fibers[place] = clock.start(function()
    local is_fine, problem = pcall(run)
    self.fibers[place] = false
    self.ended[#self.ended + 1] = { place, not is_fine and tostring(problem) or nil }
    if self.waiter then clock.wake(self.waiter) end
  end)
  return place
end

function Legs:wait(seconds)
  local give_up = seconds and clock.time + seconds or math.huge
  self.waiter = clock.this()
  while not self.ended[1] and clock.time < give_up do clock.wait(give_up) end
  self.waiter = nil
  if self.ended[1] then return unpack(table.remove(self.ended, 1), 1, 2) end
end

function Legs:close()
  for _, fiber in ipairs(self.fibers) do
    if fiber then
      clock.stop(fiber)
      for _, own in ipairs(by_fiber[fiber] or {}) do own:close() end
    end
  end
  self.fibers = {}
end

--- Legs of the running fiber, none of which has started.
function legs.new()
  local self = setmetatable({ fibers = {}, ended = {} }, Legs)
  local fiber = clock.this()
  by_fiber[fiber] = by_fiber[fiber] or {}
  table.insert(by_fiber[fiber], self)
  return self
end

return legs
