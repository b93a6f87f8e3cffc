--- admin.api.setting_schema: a setting (of a policy, or of the whole) as a schema of the API, so
--- that what the API describes is what neap.setting checks.

local json = require "neap.json"
local suggest = require "neap.suggest"

local setting_schema = {}

local of -- below

local function with_default_off(self, schema)
  if self.default ~= false or self.kind == "boolean" then return schema end
  return { anyOf = { schema, { const = false } }, description = self.help }
end

local kinds = {}

function kinds.number(self) return { type = "number", minimum = self.min, maximum = self.max } end
function kinds.integer(self) return { type = "integer", minimum = self.min, maximum = self.max } end
function kinds.boolean() return { type = "boolean" } end

function kinds.seconds(self)
  return { type = "number", minimum = self.min or 0, maximum = self.max }
end

-- Lengths of texts are bytes there and characters here: the setting itself has the last word.
function kinds.text() return { type = "string" } end
function kinds.zone() return { type = "string", format = "zone" } end

local function one_or_list(item, self)
  return { anyOf = { item, { type = "array", items = item, minItems = self.min,
    maxItems = self.max } } }
end

function kinds.words(self) return one_or_list({ type = "string", minLength = 1 }, self) end
function kinds.hours(self) return one_or_list({ type = "string" }, self) end

function kinds.choice(self)
  local values = {}
  for index, value in ipairs(self.values) do values[index] = value end
  return { enum = values }
end

function kinds.outcomes()
  return { type = "array", items = { type = { "string", "integer" } },
    description = "Statuses (429), classes (\"5xx\") and failures (\"timeout\")." }
end

function kinds.list(self)
  return { type = "array", items = of(self.of), minItems = self.min, maxItems = self.max }
end

function kinds.map(self) return { type = "object", additionalProperties = of(self.of) } end

of = function(self)
  local schema = kinds[self.kind](self)
  schema.description = self.help or schema.description
  local default = self.default
  if type(default) == "table" then default = json.array { unpack(default) } end
  if default ~= false or self.kind == "boolean" then schema.default = default end
  return with_default_off(self, schema)
end

--- The schema of one setting.
---@param self neap.schema
function setting_schema.of(self) return of(self) end

--- The properties of all settings of a policy, or of the whole: { name = schema }.
---@param settings table<string, neap.schema>
---@return table<string, table> properties, string[] names sorted
function setting_schema.properties(settings)
  local properties, names = {}, suggest.sorted(settings)
  for _, name in ipairs(names) do properties[name] = of(settings[name]) end
  return properties, names
end

return setting_schema
