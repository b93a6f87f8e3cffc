--- neap.crowd: does the same with every element of a list, a bounded number of them at once.

local fault = require "neap.fault"
local host = require "neap.host"

local crowd = {}

local LOOK_SECONDS = 0.02 -- between two looks at whether the others are through

--- Calls run(element, index) for each element, `limit` at once, in fibers. Waits until all that
--- were begun have ended. No more are begun once is_over() is true, or one of them has raised: then
--- that is raised here in the end.
---@param list any[]
---@param limit integer
---@param run fun(element: any, index: integer)
---@param is_over (fun(): boolean)?
---@return integer begun
function crowd.each(list, limit, run, is_over)
  local place, open, problem = 0, 0, nil

  local function one_after_another()
    while place < #list and not problem and not (is_over and is_over()) do
      place = place + 1
      local index = place
      local _, raised = fault.catch(function() run(list[index], index) end)
      problem = problem or raised
    end
    open = open - 1
  end

  local count = math.max(1, math.min(limit, #list))
  open = count
  for _ = 2, count do host.spawn(one_after_another) end
  one_after_another()
  while open > 0 do host.sleep(LOOK_SECONDS) end
  if problem then error(problem, 0) end
  return place
end

return crowd
