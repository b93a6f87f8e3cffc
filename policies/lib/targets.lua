-- Which of a request's targets a setting means: a name is "provider/model", a provider, or a model.
local targets = {}

local function is_named(target, names)
  for _, name in ipairs(names) do
    if name == target.name or name == target.provider or name == target.model then return true end
  end
  return false
end

-- Those that are named, and the others; both keep their order.
function targets.split(list, names)
  local named, others = {}, {}
  for _, target in ipairs(list) do
    local part = is_named(target, names) and named or others
    part[#part + 1] = target
  end
  return named, others
end

local function join(before, behind)
  for _, target in ipairs(behind) do before[#before + 1] = target end
  return before
end

-- All of them, those that are named first: a preference, for the others still follow.
function targets.first(list, names)
  local named, others = targets.split(list, names)
  return join(named, others)
end

-- All of them, those that are named last.
function targets.last(list, names)
  local named, others = targets.split(list, names)
  return join(others, named)
end

return targets
