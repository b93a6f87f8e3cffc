--- neap.object: objects whose inside a policy cannot reach.
---
--- An object is a userdata; its fields live in a table that only the library can get at. Fields
--- are read by name, methods are called, writing raises, and so does reading a name that the
--- class does not have: a typo in a policy is an error with a line, not a silent nil. What is done
--- many times for each request is the host's (host/script/api_object.c).

local host = require "neap.host"

local object = {}

local specs = {} -- by the name of the class

--- Says that objects of that class have no such name. level: of who reads it, as for error here.
function object.raise_missing(name, key, level)
  local is_plain = type(key) == "string" or type(key) == "number"
  error(("a %s has no \"%s\""):format(name, is_plain and key or type(key)), level)
end

--- Makes a class: the metatable of its objects. fields: names that are read from the inside as they
--- are. getters: name → function(inside), which does not wait. methods: name → function(self, …).
--- index: what finds all of these by (self, name) and raises for others, in place of the host's
--- function; for a class that mostly knows the inside without asking.
function object.class(name, spec)
  local members = {}
  for method, run in pairs(spec.methods or {}) do members[method] = run end
  for _, field in ipairs(spec.fields or {}) do members[field] = true end
  for field, get in pairs(spec.getters or {}) do members[field] = { get } end
  setmetatable(members, { __index = function(_, key)
    object.raise_missing(name, key, 4) -- of whoever reads it, behind the host's __index
  end })
  specs[name] = spec
  local class = { name = name, __metatable = false }
  class.__index = spec.index or host.object_index(members)

  function class.__newindex(_, key)
    error(("a %s cannot be changed (\"%s\")"):format(name, tostring(key)), 2)
  end

  function class.__tostring(self)
    return ("%s %s"):format(name, tostring(object.inside(class, self).name or ""))
  end

  return class
end

--- What objects of the class of that name have: the names of what is read, sorted, and the
--- methods by name. For whoever describes them; nil where there is no such class.
---@param name string
---@return string[]? fields
---@return table<string, function>? methods
function object.members(name)
  local spec = specs[name]
  if not spec then return nil end
  local fields, methods = {}, {}
  for _, field in ipairs(spec.fields or {}) do fields[#fields + 1] = field end
  for _, field in ipairs(spec.of_health or {}) do fields[#fields + 1] = field end
  for field in pairs(spec.getters or {}) do fields[#fields + 1] = field end
  for method, run in pairs(spec.methods or {}) do methods[method] = run end
  table.sort(fields)
  return fields, methods
end

--- new(class, inside): an object of the class around the table inside, which the caller keeps.
object.new = host.object_new

--- An object of a class that lives long, and whose fields stay as they are: these and its methods
--- are read without a call. Only such a class has `of_health`: names that are read by asking the
--- method of that name of the inside's health.
function object.fixed(class, inside)
  local spec, members = specs[class.name], {}
  local getters, is_field, asks, health = spec.getters or {}, {}, {}, inside.health
  for method, run in pairs(spec.methods or {}) do members[method] = run end
  for _, field in ipairs(spec.fields or {}) do
    members[field], is_field[field] = inside[field], true
  end
  for _, name in ipairs(spec.of_health or {}) do asks[name] = health[name] end
  setmetatable(members, { __index = function(_, key)
    local ask = asks[key]
    if ask then return ask(health) end
    local get = getters[key]
    if get then return get(inside) end
    if is_field[key] then return nil end
    object.raise_missing(class.name, key, 3)
  end })
  return host.object_new(class, inside, {
    class, -- it must not go before its objects
    __index = members, __newindex = class.__newindex, __metatable = false,
    __tostring = class.__tostring,
  })
end

--- inside(class, value): the inside of an object of the class, or nil for anything else.
object.inside = host.object_inside

--- check(class, value, what): the same; raises for anything else, at the level of the caller's
--- caller.
object.check = host.object_check

return object
