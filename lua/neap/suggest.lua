--- Names that were probably meant, for the messages of configuration and settings.

local suggest = {}

--- How many single changes (a letter more, less, another, or two swapped) lie between two
--- words, counted up to 3.
local function distance(a, b)
  if math.abs(#a - #b) > 2 then return 3 end
  local before, row = {}, {}
  for column = 0, #b do row[column] = column end
  for line = 1, #a do
    local older
    older, before, row = before, row, { [0] = line }
    for column = 1, #b do
      local is_same = a:byte(line) == b:byte(column)
      local best = math.min(before[column] + 1, row[column - 1] + 1,
        before[column - 1] + (is_same and 0 or 1))
      if line > 1 and column > 1 and a:byte(line) == b:byte(column - 1)
        and a:byte(line - 1) == b:byte(column) then
        best = math.min(best, older[column - 2] + 1)
      end
      row[column] = best
    end
  end
  return math.min(row[#b], 3)
end

--- The sorted names of a table.
---@param names table<string, any>
---@return string[]
function suggest.sorted(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The end of a message about an unknown name: the nearest of the known ones, else all of
--- them while they are few, else nothing.
---@param name string
---@param known table<string, any> the known names are its keys
---@return string
function suggest.text(name, known)
  local names = suggest.sorted(known)
  local nearest, least = nil, math.min(3, math.floor(#name / 2) + 1)
  for _, candidate in ipairs(names) do
    local changes = distance(name:lower(), candidate:lower())
    if changes < least then nearest, least = candidate, changes end
  end
  if nearest then return (": did you mean %s?"):format(nearest) end
  if #names == 0 or #names > 20 then return "" end
  return (": known are %s"):format(table.concat(names, ", "))
end

return suggest
