--- neap.object: objects whose inside a policy cannot reach.
---
--- An object is a userdata; its fields live in a table that only the library can get at. Fields
--- are read by name, methods are called, writing raises, and so does reading a name that the
--- class does not have: a typo in a policy is an error with a line, not a silent nil.

local object = {}

local get_inside, set_inside = debug.getfenv, debug.setfenv
local get_meta = debug.getmetatable

local specs = {} -- by the name of the class

--- Makes a class. fields: names that are read from the inside as they are. getters: name →
--- function(inside, self). methods: name → function(self, …).
function object.class(name, spec)
  local fields, getters, methods = {}, spec.getters or {}, spec.methods or {}
  for _, field in ipairs(spec.fields or {}) do fields[field] = true end
  specs[name] = spec
  local proto = newproxy(true)
  local meta = get_meta(proto)

  function meta.__index(self, key)
    if fields[key] then return get_inside(self)[key] end
    local method = methods[key]
    if method then return method end
    local getter = getters[key]
    if getter then return getter(get_inside(self), self) end
    error(("a %s has no \"%s\""):format(name, tostring(key)), 2)
  end

  function meta.__newindex(_, key)
    error(("a %s cannot be changed (\"%s\")"):format(name, tostring(key)), 2)
  end

  function meta.__tostring(self)
    return ("%s %s"):format(name, tostring(get_inside(self).name or ""))
  end

  meta.__metatable = false
  return { name = name, proto = proto, meta = meta }
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
  for field in pairs(spec.getters or {}) do fields[#fields + 1] = field end
  for method, run in pairs(spec.methods or {}) do methods[method] = run end
  table.sort(fields)
  return fields, methods
end

--- An object of the class around the table inside, which the caller keeps.
function object.new(class, inside)
  local self = newproxy(class.proto)
  set_inside(self, inside)
  return self
end

--- The inside of an object of the class, or nil for anything else.
function object.inside(class, value)
  if type(value) == "userdata" and get_meta(value) == class.meta then return get_inside(value) end
end

--- The same; raises for anything else, at the level of the caller's caller.
function object.check(class, value, what)
  local inside = object.inside(class, value)
  if inside then return inside end
  error(("%s is a %s, not a %s"):format(what, type(value), class.name), 3)
end

return object
