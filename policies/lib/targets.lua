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

-- The targets that the request was not sent to yet, by the attempts behind the first `before`.
function targets.untried(request, before)
  local tried, list = {}, {}
  for place, attempt in ipairs(request.attempts) do
    if place > (before or 0) then tried[attempt.target] = true end
  end
  for _, target in ipairs(request.targets) do
    if not tried[target] then list[#list + 1] = target end
  end
  return list
end

return targets
