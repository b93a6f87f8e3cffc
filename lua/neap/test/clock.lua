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

local function earliest(fibers)
  local first
  for index, fiber in ipairs(fibers) do
    if not first or fiber.wake < fibers[first].wake then first = index end
  end
  return first
end

--- Runs functions side by side, each in a fiber, until all have returned. What one raises is
--- raised.
---@param functions function[]
function clock.run(functions)
  local fibers = {}
  for index, run in ipairs(functions) do
    fibers[index] = { thread = coroutine.create(run), wake = clock.time }
  end
  while fibers[1] do
    local index = earliest(fibers)
    local fiber = fibers[index]
    clock.time = math.max(clock.time, fiber.wake)
    local is_fine, wake = coroutine.resume(fiber.thread)
    if not is_fine then error(wake, 0) end
    if coroutine.status(fiber.thread) == "dead" then
      table.remove(fibers, index)
    else
      fiber.wake = wake
    end
  end
end

return clock
