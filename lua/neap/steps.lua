--- neap.steps: what happened to a request, step by step: which layers it went through, what they
--- noted, what was raised. neap.trace tells it in words.
---
--- Every request takes steps and hardly any is told about, so they lie flat in one table, four
--- places each, and the places of the usual chain are there from the start.

local steps = {}

local WIDTH = 4 -- a kind and what belongs to it

--- No steps yet.
---@return table
function steps.new()
  return {
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    false, false, false, false, false, false, false, false, false, false, false, false,
    size = 0,
  }
end

--- Adds a step. kind: "next", "back", "return", "note", "raised", "aside", "fallback", "leg".
---@param self table
---@param kind string
function steps.add(self, kind, a, b, c)
  local at = self.size
  self[at + 1], self[at + 2], self[at + 3], self[at + 4] = kind, a, b, c
  self.size = at + WIDTH
end

--- How many there are.
---@param self table
---@return number
function steps.count(self) return self.size / WIDTH end

--- For a loop over them: place, kind, and what belongs to it.
---@param self table
function steps.each(self)
  local place = -1
  return function()
    place = place + 1
    local at = place * WIDTH
    if at < self.size then
      return place + 1, self[at + 1], self[at + 2], self[at + 3], self[at + 4]
    end
  end
end

return steps
