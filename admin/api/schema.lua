--- admin.api.schema: checks values against the part of JSON Schema that the admin API is described
--- in, and writes it for the OpenAPI document. One table is both, so that they cannot disagree.
---
---     local provider = schema.named("Provider", schema.object({
---       name  = { type = "string", format = "name" },
---       limit = { type = { "integer", "null" }, minimum = 1 },
---     }, { "name" }))
---     local pointer, message = schema.check(provider, value)
---
--- Known words: type enum const minimum maximum minLength maxLength format items minItems maxItems
--- uniqueItems properties required additionalProperties anyOf, and description, examples and
--- default, which are for readers (and default for query parameters). Unlike in JSON Schema, an
--- object takes no other members than its properties unless additionalProperties says so. A text is
--- described by a format, whose pattern is written down here once for Lua and once for the
--- document.

local json = require "neap.json"
local suggest = require "neap.suggest"
local zone = require "neap.zone"

local schema = {}

-- ------------------------------------------------------------------------------------
-- Making them

--- A schema that the document names and refers to.
function schema.named(name, self)
  self.component = name
  return self
end

---@param properties table<string, table>
---@param required string[]?
function schema.object(properties, required)
  return { type = "object", properties = properties, required = required or {} }
end

function schema.list(items, max)
  return { type = "array", items = items, maxItems = max }
end

local function copy(self)
  local result = {}
  for name, value in pairs(self) do result[name] = value end
  return result
end

--- The same, or null.
function schema.nullable(self)
  if self.component or self.anyOf or self.const ~= nil then
    return { anyOf = { self, { type = "null" } } }
  end
  local result = copy(self)
  if type(self.type) == "table" then return result end
  result.type = self.type and { self.type, "null" }
  if self.enum then
    result.enum = copy(self.enum)
    result.enum[#result.enum + 1] = json.null
  end
  return result
end

--- What a merge patch (RFC 7396) of an object of the schema looks like: nothing is required, and
--- null takes a member away.
function schema.patch(self)
  local result = copy(self)
  result.component = self.component and self.component .. "Patch"
  result.required, result.properties = {}, {}
  for name, property in pairs(self.properties or {}) do
    local inner = property.type == "object" and schema.patch(property) or property
    result.properties[name] = schema.nullable(inner)
  end
  if type(self.additionalProperties) == "table" then
    result.additionalProperties = schema.nullable(self.additionalProperties)
  end
  return result
end

-- ------------------------------------------------------------------------------------
-- Formats of texts

local NAME = { lua = "^[%w_][%w_.-]*$", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$" }

local formats = {
  name = { what = "a name of letters, digits, _, - and .", matches = NAME },
  id = { what = "an id of letters, digits and -",
    matches = { lua = "^[%w-]+$", pattern = "^[A-Za-z0-9-]+$" } },
  line = { what = "a text of one line", matches = { lua = "^[^%c]*$",
    pattern = "^[^\\u0000-\\u001f\\u007f]*$" } },
  date = { what = "a date such as 2026-11-21", is_standard = true,
    matches = { lua = "^%d%d%d%d%-%d%d%-%d%d$", pattern = "^\\d{4}-\\d{2}-\\d{2}$" } },
  ["date-time"] = { what = "a moment such as 2026-11-21T08:00:00Z", is_standard = true,
    test = function(text) return schema.moment(text) ~= nil end },
  status = { what = "a status such as 429, or a class such as 4xx",
    matches = { pattern = "^[1-5]([0-9]{2}|xx)$" },
    test = function(text)
      return text:find("^[1-5]%d%d$") ~= nil or text:find("^[1-5]xx$") ~= nil
    end },
  uuid = { what = "an id such as 0193c0de-0000-7000-8000-000000000000", is_standard = true,
    test = function(text)
      local parts = { text:match("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$") }
      return #text == 36 and #parts == 5 and #parts[1] == 8 and #parts[2] == 4
        and #parts[3] == 4 and #parts[4] == 4
    end },
  zone = { what = "a time zone such as Europe/Berlin or +08:00",
    test = function(text) return zone.find(text) ~= nil end },
  cursor = { what = "a cursor that a page had",
    matches = { lua = "^%w+$", pattern = "^[A-Za-z0-9]+$" } },
  uri = { what = "a URL", is_standard = true, matches = { lua = "^%a[%w+.-]*:[^%s%c]*$",
    pattern = "^[A-Za-z][A-Za-z0-9+.-]*:[^\\s]*$" } },
}
schema.formats = formats

-- Years are written with four digits, in any zone.
local FIRST, END = zone.days_of(1, 1, 1) * 86400, zone.days_of(10000, 1, 1) * 86400

--- Days since 1970 of a date; nil where there is no such day.
local function day_of(year, month, day)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 1 or month > 12 or day < 1 then return nil end
  local next_year, next_month = year, month + 1
  if month == 12 then next_year, next_month = year + 1, 1 end
  local days = zone.days_of(year, month, day)
  return days < zone.days_of(next_year, next_month, 1) and days or nil
end

--- Seconds since 1970 of "2026-11-21T08:00:00.5+01:00"; nil for what is none.
function schema.moment(text)
  local year, month, day, hour, minute, second, rest =
    text:match("^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d%.?%d*)(.+)$")
  local days = year and day_of(year, month, day)
  if not days or second:find("%.$") then return nil end
  local sign, off_hour, off_minute = rest:match("^([+-])(%d%d):(%d%d)$")
  if not sign and rest ~= "Z" and rest ~= "z" then return nil end
  if tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) >= 61 then return nil end
  local offset = sign and (off_hour * 3600 + off_minute * 60) * (sign == "-" and -1 or 1) or 0
  local wall = days * 86400 + hour * 3600 + minute * 60 + second - offset
  if wall >= FIRST and wall < END then return wall end
end

local function fits_format(text, format)
  local known = formats[format]
  if known.test then return known.test(text) end
  return text:find(known.matches.lua) ~= nil
end

-- ------------------------------------------------------------------------------------
-- Checking

local function kind_of(value)
  if value == json.null then return "null" end
  if type(value) ~= "table" then return type(value) end
  return json.is_array(value) and "array" or "object"
end

local ARTICLES = { string = "a text", number = "a number", integer = "a whole number",
  boolean = "true or false", object = "an object", array = "a list", null = "null" }

local function is_of_type(value, kind, wanted)
  if wanted == "integer" then return kind == "number" and value % 1 == 0 end
  return kind == wanted
end

local function types_of(self)
  return type(self.type) == "table" and self.type or { self.type }
end

local function check_type(self, value, kind)
  if not self.type then return nil end
  local names = {}
  for index, wanted in ipairs(types_of(self)) do
    if is_of_type(value, kind, wanted) then return nil end
    names[index] = ARTICLES[wanted]
  end
  return ("must be %s, not %s"):format(table.concat(names, " or "), ARTICLES[kind] or kind)
end

local function shown(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function check_choice(self, value)
  if self.const ~= nil and value ~= self.const then
    return "must be " .. shown(self.const)
  end
  if not self.enum then return nil end
  local names = {}
  for index, choice in ipairs(self.enum) do
    if value == choice then return nil end
    names[index] = choice == json.null and "null" or shown(choice)
  end
  return "must be one of " .. table.concat(names, ", ")
end

local function check_number(self, value)
  if value ~= value then return "must be a number" end
  if self.minimum and value < self.minimum then
    return ("must be at least %s"):format(self.minimum)
  end
  if self.maximum and value > self.maximum then
    return ("must be at most %s"):format(self.maximum)
  end
end

local PIECE = 16384 -- bytes; a search in a whole policy or a file of keys would be refused

--- Characters, as JSON Schema counts them: bytes that continue one do not count.
local function length_of(text)
  local length = 0
  for from = 1, #text, PIECE do
    local _, count = text:sub(from, from + PIECE - 1):gsub("[^\128-\191]", "")
    length = length + count
  end
  return length
end

--- Bytes say enough where a text is far longer: a character has four of them at most.
local function is_shorter(value, length)
  return #value < 4 * length and length_of(value) < length
end

local function is_longer(value, length)
  return #value > length and (#value > 4 * length or length_of(value) > length)
end

local function check_text(self, value)
  if self.minLength and is_shorter(value, self.minLength) then
    return self.minLength == 1 and "must not be empty"
      or ("must have at least %d characters"):format(self.minLength)
  end
  if self.maxLength and is_longer(value, self.maxLength) then
    return ("must have at most %d characters"):format(self.maxLength)
  end
  if self.format and not fits_format(value, self.format) then
    return "must be " .. formats[self.format].what
  end
end

local check -- below

local function check_array(self, value, pointer)
  if self.minItems and #value < self.minItems then
    return pointer, ("must have at least %d elements"):format(self.minItems)
  end
  if self.maxItems and #value > self.maxItems then
    return pointer, ("must have at most %d elements"):format(self.maxItems)
  end
  local seen = {}
  for index, element in ipairs(value) do
    local at = pointer .. "/" .. (index - 1)
    if self.uniqueItems and seen[element] then return at, "is there twice" end
    seen[element] = true
    local place, text = check(self.items, element, at)
    if place then return place, text end
  end
end

local function escaped(name) return (name:gsub("~", "~0"):gsub("/", "~1")) end

local function check_object(self, value, pointer)
  local properties, others = self.properties or {}, self.additionalProperties
  for _, name in ipairs(self.required or {}) do
    if value[name] == nil then return pointer .. "/" .. escaped(name), "is missing" end
  end
  for _, name in ipairs(suggest.sorted(value)) do
    local at = pointer .. "/" .. escaped(name)
    local property = properties[name] or (type(others) == "table" and others) or nil
    if property then
      local place, text = check(property, value[name], at)
      if place then return place, text end
    elseif not others then
      return at, "is not known here" .. suggest.text(name, properties)
    end
  end
end

--- The first that fits; else what is wrong with the one of the value's own type.
local function check_any(self, value, pointer)
  local kind, place, text = kind_of(value), nil, nil
  for _, choice in ipairs(self.anyOf) do
    local at, problem = check(choice, value, pointer)
    if not at then return nil end
    if not place or not check_type(choice, value, kind) then place, text = at, problem end
  end
  return place, text
end

check = function(self, value, pointer)
  if self.anyOf then return check_any(self, value, pointer) end
  local kind = kind_of(value)
  local problem = check_type(self, value, kind) or check_choice(self, value)
  if not problem and kind == "number" then problem = check_number(self, value) end
  if not problem and kind == "string" then problem = check_text(self, value) end
  if problem then return pointer, problem end
  if kind == "array" and self.items then return check_array(self, value, pointer) end
  local is_described = self.properties or self.additionalProperties ~= nil
  if kind == "object" and is_described then return check_object(self, value, pointer) end
end

--- What is wrong with a decoded JSON value: the JSON pointer of the place and a text that goes on
--- from it; nothing where all is well.
---@return string? pointer "" is the whole value
---@return string? message "must be a text, not a number"
function schema.check(self, value) return check(self, value, "") end

--- The value that the text of a query parameter stands for; nil where it cannot be one.
function schema.from_text(self, text)
  for _, wanted in ipairs(types_of(self)) do
    if wanted == "string" then return text end
    if wanted == "boolean" and (text == "true" or text == "false") then return text == "true" end
    local number = (wanted == "integer" or wanted == "number")
      and text:find("^[+-]?%d+%.?%d*$") and tonumber(text)
    if number then return number end
  end
end

-- ------------------------------------------------------------------------------------
-- For the document

local COPIED = { "type", "const", "enum", "minimum", "maximum", "minLength", "maxLength",
  "minItems", "maxItems", "uniqueItems", "description", "default", "examples" }
local LISTS = { type = true, enum = true, examples = true }

local WORDS = { format = true, items = true, anyOf = true, properties = true, required = true,
  additionalProperties = true, component = true, is_required = true }
for _, word in ipairs(COPIED) do WORDS[word] = true end

--- What is none of these would check nothing, and nobody would see it.
local function check_words(self)
  for word in pairs(self) do
    if not WORDS[word] then error(("%q is no word of a schema"):format(tostring(word)), 0) end
  end
end

local function add_format(result, name)
  local known = formats[name]
  if known.is_standard then result.format = name end
  if known.matches then result.pattern = known.matches.pattern end
  result.description = result.description or ("%s%s."):format(known.what:sub(1, 1):upper(),
    known.what:sub(2))
end

local document -- below

local function add_object(result, self, components)
  if self.properties then
    result.properties = json.object {}
    for name, property in pairs(self.properties) do
      result.properties[name] = document(property, components)
    end
  end
  if self.required and self.required[1] then result.required = json.array(copy(self.required)) end
  local others = self.additionalProperties
  if type(others) == "table" then others = document(others, components) end
  if self.properties or others ~= nil then result.additionalProperties = others or false end
end

local function plain(self, components)
  check_words(self)
  local result = json.object {}
  for _, word in ipairs(COPIED) do
    local value = self[word]
    if LISTS[word] and type(value) == "table" then value = json.array(copy(value)) end
    result[word] = value
  end
  if self.format then add_format(result, self.format) end
  if self.items then result.items = document(self.items, components) end
  if self.anyOf then
    result.anyOf = json.array {}
    for index, choice in ipairs(self.anyOf) do
      result.anyOf[index] = document(choice, components)
    end
  end
  add_object(result, self, components)
  return result
end

document = function(self, components)
  if not self.component then return plain(self, components) end
  if not components[self.component] then
    components[self.component] = true -- it may refer to itself
    components[self.component] = plain(self, components)
  end
  return json.object { ["$ref"] = "#/components/schemas/" .. self.component }
end

--- The schema as JSON Schema; named ones go into components and are referred to.
---@param components table<string, table>
function schema.document(self, components) return document(self, components) end

return schema
