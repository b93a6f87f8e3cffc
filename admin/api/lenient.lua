--- admin.api.lenient: what the replaced systems' clients send is read as these systems read it:
--- what is not known is left out, a truth may be written in more than one way, and a slash at the
--- end of a path is there or not. Their scripts send back whole objects that they were shown, and
--- Python writes True.
---
--- Of neap's own paths nothing here holds: there a slip is told.

local lenient = {}

local TRUTHS = { ["true"] = "true", ["1"] = "true", t = "true", y = "true", yes = "true",
  on = "true", ["false"] = "false", ["0"] = "false", f = "false", n = "false", no = "false",
  off = "false" }

--- The operation of a path that differs from the one asked for in the slash at its end, and the
--- values in it; nil where there is none of another system's.
---@param known table admin.api.routes
---@return table? op, string[]? values
function lenient.find(known, method, path)
  local other = path:find("./$") and path:sub(1, -2) or path .. "/"
  local methods, values = known:find(other)
  local op = methods and (methods[method] or (method == "HEAD" and methods.GET))
  if op and op.is_compat and op.scope ~= "open" then return op, values end
end

--- The parameters that are known, with truths as the schema reads them.
---@param specs table<string, table>
---@param given table<string, string>
---@return table<string, string>
function lenient.parameters(specs, given)
  local result = {}
  for name, text in pairs(given) do
    local spec = specs[name]
    if spec then result[name] = spec.type == "boolean" and TRUTHS[text:lower()] or text end
  end
  return result
end

--- Takes out of a value, in place, the members of its objects that the schema does not know.
function lenient.prune(self, value)
  if type(value) ~= "table" then return end
  for _, choice in ipairs(self.anyOf or {}) do lenient.prune(choice, value) end
  if self.items then
    for _, element in ipairs(value) do lenient.prune(self.items, element) end
  end
  if not self.properties or self.additionalProperties then return end
  local unknown = {}
  for name, member in pairs(value) do
    local property = self.properties[name]
    if property then lenient.prune(property, member) else unknown[#unknown + 1] = name end
  end
  for _, name in ipairs(unknown) do value[name] = nil end
end

return lenient
