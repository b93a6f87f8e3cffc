--- Where something stands in router.lua. Lua tells the line of a word, not of a field inside of
--- its table. Where the table is written out behind the word, neap.config_lines knows; else the
--- field is looked for in the text, from the word's line on to the next word's.

local config_lines = require "neap.config_lines"

local place = {}

---@class neap.config.place
---@field title string what a message calls it: `provider "a": timeouts.idle`
---@field private source neap.config.source
---@field private from integer the line from which on its parts are looked for
---@field private to integer
---@field private node neap.config.node? what is written out there
local Place = {}
Place.__index = Place

---@class neap.config.source
---@field lines string[]
---@field starts integer[] the lines where words stand, ascending
---@field tokens table? of neap.config_lines

---@param text string
---@param lines_of_words integer[]
---@param is_exact boolean? reads the text for its lines, which takes longer than all the rest
---@return neap.config.source
function place.source(text, lines_of_words, is_exact)
  local lines, at = {}, 1
  while at <= #text do
    local last = (text:find("\n", at, true) or #text + 1) - 1
    local line = text:sub(at, last)
    lines[#lines + 1] = line:find("^%s*%-%-") and "" or line
    at = last + 2
  end
  table.sort(lines_of_words)
  return { lines = lines, starts = lines_of_words,
    tokens = is_exact and config_lines.read(text) or nil }
end

local function escaped(name) return (name:gsub("%p", "%%%0")) end

local function find(source, from, to, is_here)
  for number = from, math.min(to, #source.lines) do
    if is_here(source.lines[number]) then return number end
  end
end

local function name_finder(name)
  local assigned = "%f[%w_]" .. escaped(name) .. "%s*=%f[^=]"
  local quoted = "%[%s*[\"']" .. escaped(name) .. "[\"']%s*%]"
  return function(line) return line:find(assigned) or line:find(quoted) end
end

--- The index of the first of these ascending numbers that is above this one.
local function behind(numbers, number)
  local low, high = 1, #numbers + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if numbers[middle] > number then high = middle else low = middle + 1 end
  end
  return low
end

--- A provider, group or token.
---@param source neap.config.source
---@param declaration neap.config.declaration
---@param title string
---@return neap.config.place
function place.of_word(source, declaration, title)
  local line = declaration.line
  local next_word = source.starts[behind(source.starts, line)]
  local to = next_word and next_word - 1 or #source.lines
  local node = source.tokens
    and config_lines.of_word(source.tokens, declaration.word, declaration.name, line)
  return setmetatable({ source = source, from = line, to = to, title = title, is_word = true,
    node = node }, Place)
end

--- A word that is set with `=`: Lua gives the line where its value ends, the word stands there
--- or before.
---@param source neap.config.source
---@param declaration neap.config.declaration
---@return neap.config.place
function place.of_top(source, declaration)
  local node = source.tokens
    and config_lines.of_top(source.tokens, declaration.word, declaration.line)
  if node then
    return setmetatable({ source = source, from = node.line, to = declaration.line, node = node,
      title = declaration.word }, Place)
  end
  local finder = name_finder(declaration.word)
  local from = declaration.line
  for number = declaration.line, 1, -1 do
    if finder(source.lines[number] or "") then
      from = number
      break
    end
  end
  return setmetatable({ source = source, from = from, to = declaration.line,
    title = declaration.word }, Place)
end

function Place:part(title, line, node)
  return setmetatable({ source = self.source, from = line or self.from, to = self.to,
    title = title, node = node }, Place)
end

--- A field or element of what is written out; what is not there itself stands where its table does.
function Place:known_part(title, key)
  local node = self.node.fields and self.node.fields[key]
  return self:part(title, node and node.line, node or { line = self.from })
end

--- A field of what stands here.
---@param name string
---@return neap.config.place
function Place:field(name)
  local title = self.title .. (self.is_word and ": " or ".") .. name
  if self.node then return self:known_part(title, name) end
  return self:part(title, find(self.source, self.from, self.to, name_finder(name)))
end

--- An element of a list that stands here; found by its text, if it is one.
---@param index integer
---@param value any
---@return neap.config.place
function Place:element(index, value)
  local title, line = ("%s[%d]"):format(self.title, index), nil
  if self.node then return self:known_part(title, index) end
  if type(value) == "string" and #value > 0 then
    local finder = "[\"']" .. escaped(value) .. "[\"']"
    line = find(self.source, self.from, self.to, function(text) return text:find(finder) end)
  end
  return self:part(title, line)
end

--- The same with a line that is known.
---@param line integer
---@return neap.config.place
function Place:at(line) return self:part(self.title, line, self.node) end

---@return integer
function Place:line() return self.from end

return place
