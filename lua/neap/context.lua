--- neap.context: which client request the running fiber works for.
---
--- A policy's `self` is one for all requests; what it does for one of them (a note, a sleep) finds
--- the request by the fiber that runs: the host knows whose it is. A coroutine of another kind,
--- such as a leg of a race, says so itself.

local host = require "neap.host"

local context = {}

local running = coroutine.running
local contexts = setmetatable({}, { __mode = "k" })

--- Says that the running coroutine works for the request; nil at its end, since fibers are used
--- again. Not needed in a fiber that the host has started for the request, as long as the request's
--- record has its context.
function context.set(of) contexts[running()] = of end

--- The request that the running coroutine works for, or nil.
function context.get()
  local fiber = running()
  local of = fiber and contexts[fiber]
  if of then return of end
  local record = host.running_record()
  return record and record.context
end

return context
