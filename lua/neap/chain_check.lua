--- Whether the policies of a group fit together, outermost first: found at load, so that no
--- request meets two loops around each other. Knows definitions only, not how they run.

local chain_check = {}

local function find(policies, field, thing)
  local found = {}
  for index, entry in ipairs(policies) do
    if entry.definition[field] == thing then
      found[#found + 1] = { index = index, name = entry.name }
    end
  end
  return found
end

local function check_thing(policies, thing, errors)
  local walkers = find(policies, "walks", thing)
  for index = 2, #walkers do
    errors[#errors + 1] = ("%s and %s both walk the %ss: use one of them"):format(
      walkers[1].name, walkers[index].name, thing)
  end
  if #walkers == 0 then return end
  for _, order in ipairs(find(policies, "orders", thing)) do
    if order.index > walkers[1].index then
      errors[#errors + 1] = ("%s orders the %ss inside of %s, which walks them: put it before")
        :format(order.name, thing, walkers[1].name)
    end
  end
end

--- Keys belong to the target that the walker has chosen: outside of it there are none yet.
local function check_keys(policies, errors)
  local walker = find(policies, "walks", "target")[1]
  if not walker then return end
  for _, field in ipairs { "orders", "walks" } do
    for _, one in ipairs(find(policies, field, "key")) do
      if one.index < walker.index then
        errors[#errors + 1] = ("%s %s the keys outside of %s, which walks the targets: "
          .. "put it after"):format(one.name, field, walker.name)
      end
    end
  end
end

--- Every reason why these policies can not be one chain; none if they can.
---@param policies { name: string, definition: neap.definition }[] outermost first
---@return string[] errors
function chain_check.check(policies)
  local errors = {}
  check_thing(policies, "target", errors)
  check_thing(policies, "key", errors)
  check_keys(policies, errors)
  for _, entry in ipairs(policies) do
    if type(entry.definition.run) ~= "function" then
      errors[#errors + 1] = ("%s has no run: function %s:run(request, next) … end"):format(
        entry.name, entry.name)
    end
  end
  return errors
end

return chain_check
