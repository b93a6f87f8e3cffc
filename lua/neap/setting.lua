--- neap.setting: what a policy lets its user set.
---
---     settings = {
---       tries = setting.integer { default = 2, min = 1, help = "Keys to try for one target." },
---       by    = setting.choice { values = { "weight", "price" }, default = "weight" },
---     }
---
--- The same schema checks router.lua, makes the admin form and writes the docs. Every kind takes
--- `default` and `help`. A setting without a default is nil where it is not given; one whose
--- default is `false` is off, and may be given as `false`.

local hours = require "neap.hours"
local suggest = require "neap.suggest"
local zone = require "neap.zone"

local setting = {}

---@class neap.schema one setting, immutable
---@field kind string
---@field default any
---@field help string?
---@field min number?
---@field max number?
---@field values any[]? of a choice
---@field of neap.schema? of a list or a map

---@class neap.setting_error
---@field setting string
---@field text string

--- The failures that an outcome may name. "exhausted" is not one of them: a loop that could
--- cover it would not end.
local FAILURES = {
  connect = true, timeout = true, tls = true, reset = true, protocol = true, empty = true,
  keyword = true,
}

local function refuse_change() error("settings are read-only", 2) end

local function read_only(values)
  return setmetatable({}, { __index = values, __newindex = refuse_change, __metatable = false })
end

--- A list stays a plain table, so that `ipairs` and `#` work; it only takes no new elements.
local function sealed(values)
  return setmetatable(values, { __newindex = refuse_change, __metatable = false })
end

--- What a wrong value is, without showing a text: it may be a secret in the wrong place.
local function shown(value)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return kind == "string" and "a text" or "a " .. kind
end

local function range(self, unit)
  unit = unit or ""
  if self.min and self.max then return (" from %s to %s%s"):format(self.min, self.max, unit) end
  if self.min then return (" of %s%s or more"):format(self.min, unit) end
  if self.max then return (" of %s%s or less"):format(self.max, unit) end
  return ""
end

local function is_inside(self, size)
  return size == size and (not self.min or size >= self.min) and (not self.max or size <= self.max)
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for key in pairs(value) do
    if type(key) ~= "number" then return false end
    count = count + 1
  end
  return count == #value
end

--- A kind checks a value: it returns what the policy gets, or nil and what would be right.
local kinds = {}

function kinds.number(self, value)
  local is_finite = type(value) == "number" and math.abs(value) < math.huge
  if is_finite and is_inside(self, value) then return value end
  return nil, ("must be a number%s, not %s"):format(range(self), shown(value))
end

function kinds.integer(self, value)
  if type(value) == "number" and value % 1 == 0 and is_inside(self, value) then return value end
  return nil, ("must be a whole number%s, not %s"):format(range(self), shown(value))
end

function kinds.seconds(self, value)
  local is_finite = type(value) == "number" and math.abs(value) < math.huge
  if is_finite and value >= 0 and is_inside(self, value) then return value end
  return nil, ("must be seconds%s, not %s"):format(
    range { min = self.min or 0, max = self.max }, shown(value))
end

function kinds.boolean(_, value)
  if type(value) == "boolean" then return value end
  return nil, ("must be true or false, not %s"):format(shown(value))
end

function kinds.text(self, value)
  if type(value) == "string" and is_inside(self, #value) then return value end
  local problem = type(value) == "string" and ("one of %d"):format(#value) or shown(value)
  return nil, ("must be a text%s, not %s"):format(range(self, " bytes"), problem)
end

function kinds.words(self, value)
  if type(value) == "string" then value = { value } end
  if not is_list(value) then
    return nil, ("must be a list of texts, not %s"):format(shown(value))
  end
  if not is_inside(self, #value) then
    return nil, ("must be a list of texts%s, not of %d"):format(range(self), #value)
  end
  local words = {}
  for index, word in ipairs(value) do
    if type(word) ~= "string" or word == "" then
      return nil, ("must be a list of texts that are not empty: number %d is not"):format(index)
    end
    words[index] = word
  end
  return sealed(words)
end

function kinds.choice(self, value)
  local names = {}
  for index, possible in ipairs(self.values) do
    if value == possible then return value end
    names[index] = type(possible) == "string" and ("%q"):format(possible) or tostring(possible)
  end
  return nil, ("must be one of %s"):format(table.concat(names, ", "))
end

--- What a policy gets of a set of failures and statuses.
---@class neap.outcomes
local function outcomes_of(set)
  --- Whether the response is one of these outcomes. "exhausted" never is.
  ---@param response { status: integer?, failure: string? }
  ---@return boolean
  local function covers(_, response)
    return set[response.failure or response.status] == true
  end

  return read_only { covers = covers }
end

--- Adds an outcome to a set of failures and statuses. Returns what is wrong with it, or nil.
local function add_outcome(set, value)
  if type(value) == "number" then
    if value % 1 ~= 0 or value < 100 or value > 599 then
      return ("has no status %s: they go from 100 to 599"):format(value)
    end
    set[value] = true
    return nil
  end
  if type(value) ~= "string" then return ("can not hold %s"):format(shown(value)) end
  local class = value:match("^([1-5])xx$")
  if class then
    for status = class * 100, class * 100 + 99 do set[status] = true end
  elseif FAILURES[value] then
    set[value] = true
  elseif value == "exhausted" then
    return "can not hold \"exhausted\": a spent budget always ends a request"
  else
    local known = suggest.text(value, FAILURES)
    if not known:find("?", 1, true) then
      known = known .. ", statuses and classes such as \"5xx\""
    end
    return ("has no outcome %q%s"):format(value, known)
  end
end

function kinds.outcomes(_, value)
  if not is_list(value) then
    return nil, ("must be a list of statuses, classes such as \"5xx\" and failures, not %s")
      :format(shown(value))
  end
  local set = {}
  for _, outcome in ipairs(value) do
    local problem = add_outcome(set, outcome)
    if problem then return nil, problem end
  end
  return outcomes_of(set)
end

function kinds.hours(_, value)
  if type(value) == "string" then value = { value } end
  if not is_list(value) then
    return nil, ("must be hours such as \"mon-fri 22:00-06:00\", or a list of them, not %s")
      :format(shown(value))
  end
  for index, text in ipairs(value) do
    if type(text) ~= "string" then return nil, ("must be texts: number %d is not"):format(index) end
  end
  local compiled, problem = hours.parse(value)
  if not compiled then return nil, "must be hours: " .. problem end
  return read_only(compiled)
end

function kinds.zone(_, value)
  if type(value) ~= "string" then
    return nil, ("must be a zone such as \"Europe/Berlin\" or \"+08:00\", not %s"):format(
      shown(value))
  end
  local found, problem = zone.find(value)
  if not found then return nil, "must be a zone: " .. problem end
  return value
end

function kinds.list(self, value)
  if not is_list(value) then return nil, ("must be a list, not %s"):format(shown(value)) end
  if not is_inside(self, #value) then
    return nil, ("must be a list%s, not of %d"):format(range(self, " elements"), #value)
  end
  local list = {}
  for index, element in ipairs(value) do
    local compiled, problem = self.of:check(element)
    if problem then return nil, ("number %d %s"):format(index, problem) end
    list[index] = compiled
  end
  return sealed(list)
end

function kinds.map(self, value)
  if type(value) ~= "table" then return nil, ("must be a table, not %s"):format(shown(value)) end
  local map = {}
  for name, element in pairs(value) do
    if type(name) ~= "string" then return nil, "must have names, and has a value without one" end
    local compiled, problem = self.of:check(element)
    if problem then return nil, ("at %s %s"):format(name, problem) end
    map[name] = compiled
  end
  return sealed(map)
end

local COMMON = { default = true, help = true, min = true, max = true }
local OPTIONS = {
  boolean = { default = true, help = true },
  choice = { default = true, help = true, values = true },
  outcomes = { default = true, help = true },
  hours = { default = true, help = true },
  zone = { default = true, help = true },
  list = { default = true, help = true, min = true, max = true, of = true },
  map = { default = true, help = true, of = true },
}

--- Which objects are schemas; nothing else passes for one.
local schemas = setmetatable({}, { __mode = "k" })

--- Each kind's maker calls it as its last step, so that level 2 is the policy's line.
local function define(kind, options)
  options = options or {}
  local known = OPTIONS[kind] or COMMON
  local fields = { kind = kind }
  for name, value in pairs(options) do
    if not known[name] then
      error(("setting.%s has no %s%s"):format(kind, tostring(name),
        suggest.text(tostring(name), known)), 2)
    end
    fields[name] = value
  end
  if kind == "choice" and not is_list(fields.values) then
    error("setting.choice needs values, a list", 2)
  end
  if (kind == "list" or kind == "map") and not schemas[fields.of] then
    error(("setting.%s needs of, a setting"):format(kind), 2)
  end
  function fields:check(value)
    if value == false and self.default == false then return false end
    return kinds[kind](self, value)
  end
  local schema = read_only(fields)
  if fields.default ~= nil then
    local _, problem = schema:check(fields.default)
    if problem then error(("the default of setting.%s %s"):format(kind, problem), 2) end
  end
  schemas[schema] = true
  return schema
end

--- A whole number: `min`, `max`.
---@param options table?
---@return neap.schema
function setting.integer(options) return define("integer", options) end

--- Any number: `min`, `max`.
---@param options table?
---@return neap.schema
function setting.number(options) return define("number", options) end

--- A time of 0 or more: `min`, `max`.
---@param options table?
---@return neap.schema
function setting.seconds(options) return define("seconds", options) end

---@param options table?
---@return neap.schema
function setting.boolean(options) return define("boolean", options) end

--- A text: `min`, `max` bytes.
---@param options table?
---@return neap.schema
function setting.text(options) return define("text", options) end

--- A list of texts that are not empty; one text stands for a list of one. `min`, `max` texts.
---@param options table?
---@return neap.schema
function setting.words(options) return define("words", options) end

--- One of `values`.
---@param options table
---@return neap.schema
function setting.choice(options) return define("choice", options) end

--- Statuses (429), classes ("5xx") and failures ("timeout"); the policy asks
--- `self.settings.NAME:covers(response)`.
---@param options table?
---@return neap.schema
function setting.outcomes(options) return define("outcomes", options) end

--- Spans of the week, such as "mon-fri 22:00-06:00", or a list of them (neap.hours); the policy
--- asks `self.settings.NAME:covers(self:calendar(zone))`.
---@param options table?
---@return neap.schema
function setting.hours(options) return define("hours", options) end

--- A zone for `self:calendar`: "UTC", "+08:00", or a name such as "Europe/Berlin".
---@param options table?
---@return neap.schema
function setting.zone(options) return define("zone", options) end

--- A list whose elements are each `of` a setting: `min`, `max` elements.
---@param options table
---@return neap.schema
function setting.list(options) return define("list", options) end

--- A table from texts to values `of` a setting.
---@param options table
---@return neap.schema
function setting.map(options) return define("map", options) end

---@param value any
---@return boolean
function setting.is_schema(value) return schemas[value] == true end

--- Checks what was given and fills in the defaults. Returns the policy's read-only settings, or
--- nil and every error.
---@param schema table<string, neap.schema>
---@param given table<string, any>?
---@return table? compiled
---@return neap.setting_error[]? errors
function setting.compile(schema, given)
  local errors, values = {}, {}
  local function fail(name, text)
    errors[#errors + 1] = { setting = name, text = ("%s %s"):format(name, text) }
  end
  for name in pairs(given or {}) do
    if type(name) ~= "string" then
      errors[#errors + 1] = { setting = "", text = "settings have names: { name = value }" }
    elseif not schema[name] then
      local hint = next(schema) and suggest.text(name, schema) or ": it has no settings"
      errors[#errors + 1] = { setting = name, text = ("unknown setting %s%s"):format(name, hint) }
    end
  end
  for name, one in pairs(schema) do
    local value = given and given[name]
    if value == nil then value = one.default end
    if value ~= nil then
      local compiled, problem = one:check(value)
      if problem then fail(name, problem) end
      values[name] = compiled
    end
  end
  if #errors == 0 then return read_only(values) end
  table.sort(errors, function(a, b) return a.text < b.text end)
  return nil, errors
end

return setting
