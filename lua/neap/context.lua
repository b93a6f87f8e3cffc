--- neap.context: which client request the running fiber works for.
---
--- A policy's `self` is one for all requests; what it does for one of them (a note, a sleep) finds
--- the request by the coroutine that runs.

local context = {}

local running = coroutine.running
local contexts = setmetatable({}, { __mode = "k" })

--- Says that the running fiber works for the request; nil at its end, since fibers are used again.
function context.set(of) contexts[running()] = of end

--- The request that the running fiber works for, or nil.
function context.get()
  local fiber = running()
  return fiber and contexts[fiber]
end

return context
