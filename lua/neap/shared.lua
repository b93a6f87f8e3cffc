--- neap.shared: `self.shared`, small values that all workers see at once.
---
--- `get set add swap` are atomic. Scope: policy and group; for a policy that walks or orders keys,
--- policy and provider, since a key is the same one in every group.

local context = require "neap.context"
local host = require "neap.host"
local object = require "neap.object"

local shared = {}

local function prefix(inside)
  if not inside.is_by_provider then return inside.prefix end
  local of = context.get()
  local provider = of and of.provider
  return inside.policy .. "\0provider\0" .. (provider or "") .. "\0"
end

local Shared

local function name(self, key)
  if type(key) ~= "string" then error("a shared value's key is a text", 3) end
  return prefix(object.check(Shared, self, "the shared store")) .. key
end

local function demand(value, problem)
  if value == nil and problem and problem ~= "over the limit" then error(problem, 3) end
  return value
end

--- The seconds that an entry lives, or nil.
local function life(ttl)
  if ttl == nil or (type(ttl) == "number" and ttl >= 0 and ttl < math.huge) then return ttl end
  error("a shared value lives for a number of seconds", 3)
end

local SHARED = { ["nil"] = true, number = true, boolean = true, string = true }

local function plain(value)
  if SHARED[type(value)] then return value end
  error(("a shared value is a number, a boolean or a text, not a %s"):format(type(value)), 3)
end

local function number(value, what)
  if type(value) == "number" then return value end
  error(("the %s of add is a number"):format(what), 3)
end

-- No tail calls: what is wrong is said where the policy is.
Shared = object.class("shared store", { methods = {
  --- The value, or nil where there is none any more.
  get = function(self, key) return host.shared_get(name(self, key)) end,
  --- A number, boolean or text; nil removes. ttl: seconds, from now.
  set = function(self, key, value, ttl)
    demand(host.shared_set(name(self, key), plain(value), life(ttl)))
  end,
  --- Adds and returns the sum; nil where it would pass limit, and then nothing is added. A ttl
  --- runs from the entry's making.
  add = function(self, key, step, ttl, limit)
    local sum = demand(host.shared_add(name(self, key), number(step, "step"), life(ttl),
      limit and number(limit, "limit")))
    return sum
  end,
  --- Sets new if the value is old; whether it did.
  swap = function(self, key, old, new, ttl)
    local did = demand(host.shared_swap(name(self, key), plain(old), plain(new), life(ttl)))
    return did
  end,
} })

function shared.new(policy, group, is_by_provider)
  return object.new(Shared, {
    policy = policy, is_by_provider = is_by_provider,
    prefix = policy .. "\0group\0" .. group.name .. "\0",
  })
end

return shared
