--- neap.steps: what happened to a request, step by step: which layers it went through, what they
--- noted, what was raised. neap.trace tells it in words.
---
--- Every request takes steps and hardly any is told about, so they lie flat in one table, two
--- places each: a mark and the inside of the request that went inward, if one did. The first
--- place says which one was filled last, and those of the usual chain are there from the start.
--- That a policy has returned is no step: whatever it does next says that it has its turn again.

local steps = {}

--- No steps yet.
---@return table
function steps.new()
  return { 1, false, false, false, false, false, false, false, false }
end

--- What a step is, for many requests: its kind and the layer whose it is.
---@param kind string as in steps.add
---@param name string
---@return table
function steps.mark(kind, name) return { kind, name } end

--- Adds a step with such a mark. inside: of the request that goes inward, or false.
---@param self table
---@param mark table
---@param inside table|false
function steps.pass(self, mark, inside)
  local at = self[1] + 2
  self[at - 1] = mark
  self[at] = inside
  self[1] = at
end

--- Adds a step. kind: "next", "return", "note", "raised", "aside", "fallback", "leg".
---@param self table
---@param kind string
function steps.add(self, kind, a, b, c) steps.pass(self, { kind, a, b, c }, false) end

--- How many there are.
---@param self table
---@return number
function steps.count(self) return (self[1] - 1) / 2 end

--- For a loop over them: place, kind, and what belongs to it; to "next" a name and the inside of
--- the request (see request.narrowed_to).
---@param self table
function steps.each(self)
  local place = 0
  return function()
    place = place + 1
    if place > steps.count(self) then return nil end
    local mark, inside = self[2 * place], self[2 * place + 1]
    return place, mark[1], mark[2], inside or mark[3], mark[4]
  end
end

return steps
