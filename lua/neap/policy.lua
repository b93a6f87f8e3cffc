--- neap.policy: what makes a Lua file a policy.
---
---     local policy = require "neap.policy"
---
---     local mine = policy.define { summary = "Passes everything on." }
---
---     function mine:run(request, next)
---       return next(request)
---     end
---
---     return mine

local host = require "neap.host"
local setting = require "neap.setting"
local suggest = require "neap.suggest"

local policy = {}

---@class neap.definition
---@field summary string one sentence, shown in the admin pages
---@field settings table<string, neap.schema>
---@field walks "target"|"key"|nil tries one after the other
---@field orders "target"|"key"|nil hands an order or a selection inward
---@field run fun(self, request, next): table set by the script
---@field done fun(self, request, outcome)? set by the script

local FIELDS = { summary = true, settings = true, walks = true, orders = true }
local THINGS = { target = true, key = true }
local METHODS = { run = true, done = true }

--- Which tables are definitions; a table that merely looks like one is refused.
local definitions = setmetatable({}, { __mode = "k" })

local function check_thing(field, value)
  if value ~= nil and not THINGS[value] then
    error(("%s must be \"target\" or \"key\""):format(field), 3)
  end
end

local function copy_settings(settings)
  if settings == nil then return {} end
  if type(settings) ~= "table" then error("settings must be a table of settings", 3) end
  local copy = {}
  for name, schema in pairs(settings) do
    if type(name) ~= "string" then error("each setting has a name: { name = setting.… }", 3) end
    if not setting.is_schema(schema) then
      error(("settings.%s must be made by neap.setting, such as setting.integer { }"):format(name),
        3)
    end
    copy[name] = schema
  end
  return copy
end

local function method_setter(definition, fields)
  return function(_, name, value)
    if not METHODS[name] then
      error(("a policy has no %s: it has run and done%s"):format(tostring(name),
        "; keep helpers in local functions"), 2)
    end
    if type(value) ~= "function" then error(("%s must be a function"):format(name), 2) end
    if definitions[definition] then fields[name] = value end
  end
end

--- Describes a policy. The script then defines its `run`, and `done` if it needs one, and returns
--- the definition.
---@param fields { summary: string, settings: table?, walks: string?, orders: string? }
---@return neap.definition
function policy.define(fields)
  if type(fields) ~= "table" then error("policy.define takes a table: { summary = … }", 2) end
  for name in pairs(fields) do
    if not FIELDS[name] then
      error(("policy.define does not know %s%s"):format(tostring(name),
        suggest.text(tostring(name), FIELDS)), 2)
    end
  end
  if type(fields.summary) ~= "string" or fields.summary == "" then
    error("summary must be a sentence that says what the policy does", 2)
  end
  check_thing("walks", fields.walks)
  check_thing("orders", fields.orders)
  local values = {
    summary = fields.summary,
    settings = copy_settings(fields.settings),
    walks = fields.walks,
    orders = fields.orders,
  }
  local definition = {}
  definitions[definition] = true
  return setmetatable(definition, {
    __index = values,
    __newindex = method_setter(definition, values),
    __metatable = false,
  })
end

--- The text in lower case, in every script that has one: for comparing in any case.
---@param text string
---@return string
function policy.fold(text)
  if type(text) ~= "string" then error("policy.fold takes a text", 2) end
  return host.fold(text)
end

--- Whether the value was made by `policy.define`.
---@param value any
---@return boolean
function policy.is_definition(value) return definitions[value] == true end

--- A number that is the same for the same text, in every worker and after every restart.
---@param text string
---@return number
function policy.hash(text)
  if type(text) ~= "string" then error("policy.hash takes a text", 2) end
  return host.hash(text)
end

return policy
