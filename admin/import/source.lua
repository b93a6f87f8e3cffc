--- admin.import.source: the files of other routers, and their rows with the types that they should
--- have. Nothing in them is trusted: what is not of its type raises `source.problem`, so that
--- nothing is imported, rather than something else than was meant.

local host = require "neap.host"
local zone = require "neap.zone"

local source = {}

local SHOWN_MAX = 40    -- bytes of a value in a message
local SECRET_MAX = 4096 -- bytes of a key or a client's token

local Problem = {}
Problem.__index = Problem

--- Raises what is wrong with a file, in words that hold no secret.
function source.fail(text, ...)
  error(setmetatable({ text = text:format(...) }, Problem), 0)
end

--- The words of what `source.fail` raised, or nil for anything else.
---@return string?
function source.problem(raised)
  return getmetatable(raised) == Problem and raised.text or nil
end

-- ------------------------------------------------------------------------------------
-- Types

local function is_whole(value) return value % 1 == 0 and math.abs(value) < 2 ^ 53 end

--- SQLite keeps in a column whatever comes: the text of a number is one.
local function number_of(value)
  local number = type(value) == "number" and value
    or type(value) == "string" and value:find("^%s*[+-]?%d*%.?%d+[eE]?[+-]?%d*%s*$")
    and tonumber(value)
  if number and number == number and math.abs(number) < math.huge then return number end
end

local TYPES = {
  text = function(value)
    if type(value) == "number" then return ("%.14g"):format(value) end
    return not value:find("%z") and value or nil
  end,
  number = number_of,
  integer = function(value)
    local number = number_of(value)
    return number and is_whole(number) and number or nil
  end,
  flag = function(value)
    if value == 0 or value == 1 then return value == 1 end
    local word = type(value) == "string" and value:lower()
    if word == "true" or word == "t" or word == "1" then return true end
    if word == "false" or word == "f" or word == "0" then return false end
  end,
}

local NAMES = { text = "a text", number = "a number", integer = "a whole number",
  flag = "true or false" }

--- Seconds since 1970 of "2025-08-01 12:00:00.123", or nil; offset: of its clock, in seconds, where
--- the text does not say one ("Z", "+08:00").
---@param text any
---@param offset number|fun(naive: number): number
---@return number?
function source.moment(text, offset)
  if type(text) ~= "string" then return nil end
  local year, month, day, hour, minute, second, rest =
    text:match("^(%d%d%d%d)-(%d%d)-(%d%d)[ T](%d%d):(%d%d):(%d%d%.?%d*)(.*)$")
  if not year then return nil end
  local days = zone.days_of(tonumber(year), tonumber(month), tonumber(day))
  local naive = days * 86400 + hour * 3600 + minute * 60 + tonumber(second)
  if rest == "Z" then return naive end
  local sign, hours, minutes = rest:match("^([+-])(%d%d):?(%d%d)$")
  if sign then return naive - (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60) end
  if rest ~= "" then return nil end
  return naive - (type(offset) == "function" and offset(naive) or offset)
end

--- A value as its type, "!" behind which says that it must be there; nil is nil. where: for the
--- message, without the value.
---@param value any
---@param wanted string "text", "integer!", …
---@param where string
function source.typed(value, wanted, where)
  local name, must = wanted:match("^(%l+)(!?)$")
  if value == nil then
    if must == "!" then source.fail("%s is missing (NULL)", where) end
    return nil
  end
  local typed
  if type(value) == "number" or type(value) == "string" then typed = TYPES[name](value) end
  if typed == nil then source.fail("%s must be %s", where, NAMES[name]) end
  return typed
end

-- ------------------------------------------------------------------------------------
-- Databases

local Database = {}
Database.__index = Database

function Database:query(sql)
  local rows, why = self.handle:rows(sql)
  if not rows then source.fail("%s: %s", self.path, why) end
  return rows
end

local function columns_of(self, name)
  local set = {}
  for _, row in ipairs(self:query(("SELECT name FROM pragma_table_info('%s')"):format(name))) do
    set[row.name] = true
  end
  return set
end

--- Whether there is such a table, with these columns.
---@param name string of the program's own, not of the file
---@param ... string
function Database:has(name, ...)
  local columns = self.tables[name]
  if not columns then return false end
  for _, column in ipairs { ... } do
    if not columns[column] then return false end
  end
  return true
end

--- The rows of a table, in the order of a column: of each the fields of the spec, { column =
--- "integer!" }. A column that the table does not have is nil in all rows; so is a table.
---@param name string
---@param spec table<string, string>
---@param order string
---@return table[]
function Database:read(name, spec, order)
  local columns, wanted = self.tables[name], {}
  if not columns then return {} end
  for column, kind in pairs(spec) do
    if columns[column] then
      wanted[#wanted + 1] = ('"%s"'):format(column)
    elseif kind:find("!", 1, true) then
      source.fail("%s: the table %s has no column %s", self.path, name, column)
    end
  end
  table.sort(wanted)
  local sql = ('SELECT %s FROM "%s" ORDER BY "%s", rowid'):format(table.concat(wanted, ", "), name,
    order)
  local rows = self:query(sql)
  for index, row in ipairs(rows) do
    for column, kind in pairs(spec) do
      row[column] = source.typed(row[column], kind,
        ("%s: %s, row %d: %s"):format(self.path, name, index, column))
    end
  end
  return rows
end

--- The rows of a query, one after the other, however many there are: an iterator.
---@param sql string of the program's own, not of the file
---@return fun(): table?
function Database:each(sql)
  local rows, why = self.handle:open_rows(sql)
  if not rows then source.fail("%s: %s", self.path, why) end
  local page, at, is_over = {}, 0, false
  return function()
    at = at + 1
    while at > #page and not is_over do
      page, is_over = rows:page()
      if not page then source.fail("%s: %s", self.path, is_over) end
      at = 1
    end
    return page[at]
  end
end

--- The rows of a table for which a condition holds, in the order of their numbers, which are
--- their `row`; of each the columns that the table has. Their values are of any type.
---@param name string
---@param columns string[]
---@param condition string
---@return fun(): table?
function Database:stream(name, columns, condition)
  local wanted = { "rowid AS row" }
  for _, column in ipairs(columns) do
    if self:has(name, column) then wanted[#wanted + 1] = ('"%s"'):format(column) end
  end
  return self:each(('SELECT %s FROM "%s" WHERE %s ORDER BY rowid'):format(
    table.concat(wanted, ", "), name, condition))
end

--- How many rows of a table a condition holds for.
function Database:count_where(name, condition)
  return self:query(('SELECT count(*) AS n FROM "%s" WHERE %s'):format(name, condition))[1].n
end

--- How many rows a table has; 0 where there is none.
function Database:count(name)
  if not self.tables[name] then return 0 end
  return self:query(('SELECT count(*) AS n FROM "%s"'):format(name))[1].n
end

local function database(path, handle)
  local self = setmetatable({ path = path, handle = handle, tables = {}, kind = "database" },
    Database)
  local found = self:query("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
  for _, row in ipairs(found) do
    if type(row.name) == "string" and row.name:find("^[%w_]+$") then
      self.tables[row.name] = columns_of(self, row.name)
    end
  end
  return self
end

-- ------------------------------------------------------------------------------------
-- Texts

local function unquoted(value)
  local quote, inside = value:match("^(['\"`])(.*)%1%s*$")
  if quote == '"' then
    return (inside:gsub("\\(.)", function(char) return ({ n = "\n", t = "\t" })[char] or char end))
  elseif quote then
    return inside
  end
  return (value:gsub("%s+#.*$", ""):match("^(.-)%s*$"))
end

--- The variables of a text like a `.env` file, { NAME = value }, or nil where it is none: a value
--- in quotes may go over several lines, as lists of keys do.
---@param text string
---@return table<string, string>?
function source.variables(text)
  local variables, is_any = {}, false
  local open_name, open_quote, open_text
  text = text:gsub("^\239\187\191", ""):gsub("\r\n?", "\n")
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    if open_name then
      open_text = open_text .. "\n" .. line
      if line:find(open_quote .. "%s*$") then
        variables[open_name], open_name = unquoted(open_text), nil
      end
    elseif not line:find("^%s*#") and line:find("%S") then
      local name, value = line:match("^%s*([%a_][%w_]*)%s*=%s*(.-)%s*$")
      if not name then name, value = line:match("^%s*export%s+([%a_][%w_]*)%s*=%s*(.-)%s*$") end
      if not name then return nil end
      is_any = true
      local quote = value:match("^(['\"])")
      if quote and not value:find("^" .. quote .. ".*" .. quote .. "%s*#?[^" .. quote .. "]*$") then
        open_name, open_quote, open_text = name, quote, value
      else
        if quote then value = value:match("^" .. quote .. ".*" .. quote) or value end
        variables[name] = unquoted(value)
      end
    end
  end
  if open_name then return nil end
  return is_any and variables or nil
end

-- ------------------------------------------------------------------------------------

--- How a secret is shown: "sk-…abcd".
---@param secret string
---@return string
function source.mask(secret)
  if #secret < 16 then return "…" end
  return (secret:match("^sk%-") or "") .. "…" .. secret:sub(-4)
end

--- Why a text is no secret of a provider or a client, or nil.
---@param secret string
---@return string?
function source.secret_problem(secret)
  if secret == "" then return "it is empty" end
  if #secret > SECRET_MAX then return ("it is longer than %d bytes"):format(SECRET_MAX) end
  if secret:find("[%c\127]") then return "it has line ends or other control characters" end
end

--- "1 key", "2 keys"
---@param count integer
---@param what string
---@return string
function source.count(count, what)
  return ("%d %s%s"):format(count, what, count == 1 and "" or "s")
end

--- A name in a message: one line, of a bounded size.
---@param text string
---@return string
function source.shown(text)
  text = text:gsub("%c", " ")
  if #text <= SHOWN_MAX then return text end
  return (text:sub(1, SHOWN_MAX):gsub("[\128-\191]*$", ""):gsub("[\192-\255]$", "")) .. "…"
end

--- A file as what it is: a database, or a text with `variables` or `document` (of YAML). Raises
--- source.problem.
---@param path string
---@param given table what the program can: open_database, yaml
---@return table { path, kind = "database"|"env"|"yaml", … }
function source.open(path, given)
  local handle, why = given.open_database(path)
  if handle then return database(path, handle) end
  if why ~= "it is no SQLite database" then source.fail("%s: %s", path, why) end
  local text, problem = host.read(path)
  if not text then source.fail("%s: %s", path, problem) end
  if text:find("%z") then
    source.fail("%s is no SQLite database, and no text either: is it complete?", path)
  end
  local variables = source.variables(text)
  if variables then return { path = path, kind = "env", variables = variables } end
  local json_text, yaml_problem = given.yaml(text)
  if not json_text then source.fail("%s: %s", path, yaml_problem) end
  return { path = path, kind = "yaml", text = json_text }
end

return source
