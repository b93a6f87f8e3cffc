-- Lists in the order of a number, and draws.
local rank = {}

-- A new list, smallest value first; the rest of two equals is as before.
function rank.by(list, value_of)
  local entries, sorted = {}, {}
  for place, element in ipairs(list) do
    entries[place] = { element = element, place = place, value = value_of(element) }
  end
  table.sort(entries, function(a, b)
    if a.value ~= b.value then return a.value < b.value end
    return a.place < b.place
  end)
  for place, entry in ipairs(entries) do sorted[place] = entry.element end
  return sorted
end

-- A lot. In the order of their lots elements are drawn without replacement, each draw with
-- probabilities proportional to weight: whoever waits for events of these rates meets them so.
-- chance: from 0 to below 1.
function rank.lot(weight, chance)
  if weight <= 0 then return math.huge end
  return -math.log(1 - chance) / weight
end

return rank
