--- The kinds of fields that router.lua has, and what is right for each.
---
--- A kind is a function of (check, value, place, origin) that returns the value as neap uses it,
--- or notes at the place what would be right and returns nil. `value` is never an env or a file:
--- those are looked up before (`origin` says how it was written). Messages show no values that
--- could be secrets: only numbers, booleans and names of other things.

local suggest = require "neap.suggest"
local zone = require "neap.zone"

local fields = {}

---@alias neap.config.kind
---| fun(check: neap.config.check, value: any, place: neap.config.place, origin: string?): any

--- What a wrong value is, without showing a text.
local function shown(value)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return kind == "string" and "this text" or "a " .. kind
end
fields.shown = shown

local function must_be(check, place, what, value, as)
  check:fail(place, ("%s must be %s, not %s"):format(place.title, what, as or shown(value)))
end

local function has_control(text) return text:find("%c") ~= nil end

function fields.flag(check, value, place)
  if type(value) == "boolean" then return value end
  must_be(check, place, "true or false", value)
end

--- A number; options: min, max, above (it is more than that), is_whole, what (in messages).
---@return neap.config.kind
function fields.number(options)
  return function(check, value, place)
    local is_right = type(value) == "number" and value == value and math.abs(value) < math.huge
      and not (options.min and value < options.min)
      and not (options.above and value <= options.above)
      and not (options.max and value > options.max)
      and not (options.is_whole and value % 1 ~= 0)
    if is_right then return value end
    must_be(check, place, options.what, value)
  end
end

--- A text of one line that is not empty.
function fields.text(check, value, place)
  if type(value) == "string" and value ~= "" and not has_control(value) then return value end
  must_be(check, place, "a text of one line", value, value == "" and "empty")
end

--- A text that is a secret; min: of one that a client shows in a header, its least size.
---@param min integer?
---@return neap.config.kind
function fields.secret(min)
  return function(check, value, place)
    if type(value) ~= "string" then
      must_be(check, place, "a text, env \"NAME\" or file \"path\"", value)
    elseif value == "" or has_control(value) then
      check:fail(place, ("%s is empty or holds a line end or another control character")
        :format(place.title))
    elseif #value < (min or 1) then
      check:fail(place, ("%s is too short: a secret has at least %d characters")
        :format(place.title, min))
    elseif value:find("^\239\187\191") or (not min and value:find("^%s")) then
      check:fail(place, ("%s begins with a space or a byte order mark, which is no part of it")
        :format(place.title))
    elseif min and (value:find("^%s") or value:find("%s$")) then
      check:fail(place, ("%s begins or ends with a space, which no header can carry")
        :format(place.title))
    else
      return value
    end
  end
end

--- One of the values.
---@return neap.config.kind
function fields.choice(values)
  local names = {}
  for index, value in ipairs(values) do names[index] = ("%q"):format(value) end
  local text = "one of " .. table.concat(names, ", ")
  return function(check, value, place)
    for _, possible in ipairs(values) do
      if value == possible then return value end
    end
    must_be(check, place, text, value)
  end
end

--- The indices of a list in order; a nil in it leaves a hole, which is none of them. A name is
--- an error.
---@return integer[]
function fields.indices(check, value, place)
  local indices = {}
  for index in pairs(value) do
    if type(index) ~= "number" then
      check:fail(place, ("%s is a list: { a, b }, without names"):format(place.title))
      return {}
    end
    indices[#indices + 1] = index
  end
  table.sort(indices)
  return indices
end

--- A list; elements that are not set are left out.
---@param kind neap.config.kind
---@return neap.config.kind
function fields.list(kind)
  return function(check, value, place)
    if type(value) ~= "table" or check:is_looked_up(value) then
      return must_be(check, place, "a list: { … }", value)
    end
    local list = {}
    for _, index in ipairs(fields.indices(check, value, place)) do
      local element = value[index]
      list[#list + 1] = check:take(kind, element, place:element(index, element))
    end
    return list
  end
end

--- A list, or one element alone.
---@param kind neap.config.kind
---@return neap.config.kind
function fields.one_or_list(kind)
  local list = fields.list(kind)
  return function(check, value, place)
    if type(value) == "table" then return list(check, value, place) end
    local one = kind(check, value, place)
    return one and { one }
  end
end

--- A table from texts to values of a kind.
---@param kind neap.config.kind
---@param key_problem (fun(name: string): string?)? what is wrong with a name
---@return neap.config.kind
function fields.map(kind, key_problem)
  return function(check, value, place)
    if type(value) ~= "table" then
      return must_be(check, place, "a table: { [\"name\"] = … }", value)
    end
    local map = {}
    for name, element in pairs(value) do
      local problem = type(name) ~= "string" and "has a value without a name"
        or key_problem and key_problem(name)
      if problem then
        local at = type(name) == "string" and place:field(name) or place
        check:fail(at, ("%s %s"):format(place.title, problem))
      else
        map[name] = check:take(kind, element, place:field(name))
      end
    end
    return map
  end
end

--- A table of these fields and no others. required: { name = what is missing without it };
--- may_be_unset: which of these may be a variable that is not set.
---@param spec table<string, neap.config.kind>
---@param required table<string, string>?
---@param may_be_unset table<string, boolean>?
---@return neap.config.kind
function fields.record(spec, required, may_be_unset)
  local names = suggest.sorted(spec)
  required, may_be_unset = required or {}, may_be_unset or {}
  return function(check, value, place)
    if type(value) ~= "table" then return must_be(check, place, "a table: { … }", value) end
    local result = {}
    for name in pairs(value) do
      if type(name) ~= "string" then
        check:fail(place, ("%s has a value without a name"):format(place.title))
      elseif not spec[name] then
        check:fail(place:field(name), ("%s has no field %s%s"):format(place.title, name,
          suggest.text(name, spec)))
      end
    end
    for _, name in ipairs(names) do
      local given = value[name]
      if given ~= nil then
        result[name] = check:take(spec[name], given, place:field(name))
        if required[name] and not may_be_unset[name] and check:is_unset(given) then
          check:fail(place:at(given.line), ("%s has no %s: the variable %s is not set")
            :format(place.title, name, given.name))
        end
      elseif required[name] then
        check:fail(place, ("%s has no %s: %s"):format(place.title, name, required[name]))
      end
    end
    return result
  end
end

--- The list without the holes that elements leave which are not set.
local function close_ranks(list)
  local places = {}
  for place in pairs(list) do
    if type(place) == "number" then places[#places + 1] = place end
  end
  table.sort(places)
  for index, place in ipairs(places) do
    local element = list[place]
    list[place] = nil
    list[index] = element
  end
  return list
end

--- A copy of plain values: texts, numbers, booleans and tables of them.
function fields.plain(check, value, place, _, depth)
  depth = depth or 1
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return value end
  if kind ~= "table" or depth > 16 then
    return must_be(check, place, "made of texts, numbers, booleans and tables", value)
  end
  local copy, has_hole = {}, false
  for key, element in pairs(value) do
    local resolved, at = check:look_up(element, place)
    if resolved == nil then
      has_hole = has_hole or type(key) == "number"
    else
      copy[key] = fields.plain(check, resolved, at, nil, depth + 1)
    end
  end
  return has_hole and close_ranks(copy) or copy
end

--- Where to listen: host:port, [address]:port or :port.
function fields.address(check, value, place)
  local port
  if type(value) == "string" then
    port = value:match("^%[[%x:.]+%]:(%d+)$") or value:match("^[%w.-]*:(%d+)$")
  end
  port = tonumber(port)
  if port and port >= 1 and port <= 65535 then return value end
  must_be(check, place, "an address such as \"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\"", value)
end

--- A path, relative to the folder of router.lua.
function fields.path(check, value, place)
  local text = fields.text(check, value, place)
  return text and check:path(text)
end

--- The path of a file that can be read.
function fields.readable(check, value, place)
  local path = fields.path(check, value, place)
  if not path then return nil end
  local content, message = check.read(path)
  if content then return path end
  check:fail(place, ("%s: %s: %s"):format(place.title, value, message or "it can not be read"))
end

local UNITS = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }

--- Bytes: a number, or a text such as "20G".
function fields.bytes(check, value, place)
  local size = type(value) == "number" and value
  if type(value) == "string" then
    local number, unit = value:match("^(%d+%.?%d*)([KMGT]?)$")
    size = number and math.floor(tonumber(number) * UNITS[unit])
  end
  if size and size >= 0 and size < 2 ^ 53 and size % 1 == 0 then return size end
  must_be(check, place, "bytes: a whole number, or a text such as \"20G\" (K, M, G, T)", value)
end

local function is_date(year, month, day)
  if not day or month < 1 or month > 12 or day < 1 then return false end
  local next_year, next_month = year, month + 1
  if month == 12 then next_year, next_month = year + 1, 1 end
  return zone.days_of(year, month, day) < zone.days_of(next_year, next_month, 1)
end

--- A moment: "2027-01-31" (its first second, UTC) or "2027-01-31T12:00:00Z"; as epoch seconds.
function fields.moment(check, value, place)
  local text = type(value) == "string" and value or ""
  local year, month, day, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local hour, minute, second = 0, 0, 0
  if rest and rest ~= "" then
    hour, minute, second = rest:match("^T(%d%d):(%d%d):(%d%d)Z$")
    hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  end
  local is_right = is_date(year, month, day) and second and hour < 24 and minute < 60
    and second < 60
  if is_right then
    return zone.days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
  end
  must_be(check, place, "a date such as \"2027-01-31\" or \"2027-01-31T12:00:00Z\"", value)
end

local HEADER_NAME = "^[%w!#$%%&'*+.^_`|~-]+$"

--- Headers that neap itself writes for each transfer.
local FRAMING = {
  connection = true, ["content-length"] = true, expect = true, ["keep-alive"] = true,
  ["proxy-authorization"] = true, ["proxy-connection"] = true, te = true, trailer = true,
  ["transfer-encoding"] = true, upgrade = true,
}

--- What a client sends for neap and not for a provider.
local PRIVATE = {
  authorization = true, cookie = true, host = true, ["x-api-key"] = true,
  ["x-goog-api-key"] = true,
}

local function header_problem(name)
  if not name:find(HEADER_NAME) then return "has a name that is none of a header" end
  if FRAMING[name:lower()] then return ("can not set %s: neap does"):format(name) end
end

local function header_value(check, value, place)
  if type(value) == "string" and not value:find("[%z\r\n]") then return value end
  must_be(check, place, "a text of one line", value)
end

--- Headers to set: { ["Name"] = "value" }.
fields.headers = fields.map(header_value, header_problem)

--- The name of a header of the client that is sent on; in small letters.
function fields.forwarded(check, value, place)
  if type(value) ~= "string" or not value:find(HEADER_NAME) then
    return must_be(check, place, "a header's name", value)
  end
  local name = value:lower()
  if FRAMING[name] or PRIVATE[name] or name:find("^x%-forwarded%-")
    or name:find("^x%-stainless%-") then
    return check:fail(place, ("%s: %s is never sent on to a provider"):format(place.title, name))
  end
  return name
end

return fields
