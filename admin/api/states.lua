--- admin.api.states: how many keys and targets of the generation are ready, resting or disabled, by
--- provider.

local catalog = require "neap.catalog"
local fault = require "neap.fault"
local object = require "neap.object"
local router = require "neap.router"

local states = {}

states.NAMES = { "ready", "resting", "disabled" }

local function counts_of(provider)
  return { provider = provider, keys = { ready = 0, resting = 0, disabled = 0 },
    targets = { ready = 0, resting = 0, disabled = 0 } }
end

local function count(counts, health)
  local state = health:state()
  counts[state] = counts[state] + 1
end

--- One for each provider, in the order of the configuration: { provider, keys, targets }, the last
--- two with a count for each state. A target that several groups have counts once.
---@return table[]
function states.by_provider()
  local _, known = router.loaded()
  local list, by_name, seen = {}, {}, {}
  for index, provider in ipairs(known.provider_list) do
    list[index] = counts_of(provider.name)
    by_name[provider.name] = list[index]
    for _, key in ipairs(provider.keys) do count(list[index].keys, key.health) end
  end
  for _, group in ipairs(known.group_list) do
    for _, target in ipairs(group.targets) do
      local inside = object.inside(catalog.Target, target)
      if not seen[inside.name] then
        seen[inside.name] = true
        count(by_name[inside.provider].targets, inside.health)
      end
    end
  end
  return list
end

--- How many policies are set aside after their failures.
function states.policies_set_aside()
  local _, known = router.loaded()
  return fault.count(known)
end

return states
