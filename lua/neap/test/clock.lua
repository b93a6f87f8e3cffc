--- neap.test.clock: time that passes only while everybody waits.
---
--- Fibers run until they wait for a moment; then the clock jumps to the earliest of these. An
--- hour of rests takes no time, and each run of a test sees the same moments.

local clock = { time = 0 }

--- Waits until the moment; others run meanwhile. Only in a fiber.
---@param moment number
function clock.wait(moment)
  if moment > clock.time then coroutine.yield(moment) end
end

local fibers -- of the run that is on: { thread, wake }
local this   -- the one that runs

local function earliest()
  local first
  for _, fiber in ipairs(fibers) do
    if not first or fiber.wake < first.wake then first = fiber end
  end
  return first
end

--- Begins a function in a fiber of its own, which runs when the present one waits.
---@param run function
---@return table fiber
function clock.start(run)
  local fiber = { thread = coroutine.create(run), wake = clock.time }
  fibers[#fibers + 1] = fiber
  return fiber
end

--- A fiber that waits runs no more.
function clock.stop(fiber)
  for index, one in ipairs(fibers) do
    if one == fiber then return table.remove(fibers, index) end
  end
end

--- A fiber that waits goes on now.
function clock.wake(fiber) fiber.wake = clock.time end

--- The fiber that runs.
function clock.this() return this end

--- Runs functions side by side, each in a fiber, until all have returned. What one raises is
--- raised.
---@param functions function[]
function clock.run(functions)
  fibers = {}
  for _, run in ipairs(functions) do clock.start(run) end
  while fibers[1] do
    this = earliest()
    clock.time = math.max(clock.time, this.wake)
    local is_fine, wake = coroutine.resume(this.thread)
    if not is_fine then error(wake, 0) end
    if coroutine.status(this.thread) == "dead" then
      clock.stop(this)
    else
      this.wake = wake
    end
  end
end

return clock
