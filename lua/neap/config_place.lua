--- Where something stands in router.lua. Lua tells the line of a word, not of a field inside of
--- its table: that is looked for in the text, from the word's line on to the next word's.

local place = {}

---@class neap.config.place
---@field title string what a message calls it: `provider "a": timeouts.idle`
---@field private source neap.config.source
---@field private from integer the line from which on its parts are looked for
---@field private to integer
local Place = {}
Place.__index = Place

---@class neap.config.source
---@field lines string[]
---@field starts integer[] the lines where words stand, ascending

---@param text string
---@param lines_of_words integer[]
---@return neap.config.source
function place.source(text, lines_of_words)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    lines[#lines + 1] = line:find("^%s*%-%-") and "" or line
  end
  table.sort(lines_of_words)
  return { lines = lines, starts = lines_of_words }
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

--- A provider, group or token.
---@param source neap.config.source
---@param declaration neap.config.declaration
---@param title string
---@return neap.config.place
function place.of_word(source, declaration, title)
  local line, to = declaration.line, #source.lines
  for _, start in ipairs(source.starts) do
    if start > line then
      to = start - 1
      break
    end
  end
  return setmetatable({ source = source, from = line, to = to, title = title, is_word = true },
    Place)
end

--- A word that is set with `=`: Lua gives the line where its value ends, the word stands there
--- or before.
---@param source neap.config.source
---@param declaration neap.config.declaration
---@return neap.config.place
function place.of_top(source, declaration)
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

function Place:part(title, line)
  return setmetatable({ source = self.source, from = line or self.from, to = self.to,
    title = title }, Place)
end

--- A field of what stands here.
---@param name string
---@return neap.config.place
function Place:field(name)
  local line = find(self.source, self.from, self.to, name_finder(name))
  return self:part(self.title .. (self.is_word and ": " or ".") .. name, line)
end

--- An element of a list that stands here; found by its text, if it is one.
---@param index integer
---@param value any
---@return neap.config.place
function Place:element(index, value)
  local line
  if type(value) == "string" and #value > 0 then
    local finder = "[\"']" .. escaped(value) .. "[\"']"
    line = find(self.source, self.from, self.to, function(text) return text:find(finder) end)
  end
  return self:part(("%s[%d]"):format(self.title, index), line)
end

--- The same with a line that is known.
---@param line integer
---@return neap.config.place
function Place:at(line) return self:part(self.title, line) end

---@return integer
function Place:line() return self.from end

return place
