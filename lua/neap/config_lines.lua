--- Reads the text of router.lua for where its words stand, and what stands in the tables behind
--- them: Lua itself tells the line of a call, not that of a field. Knows only what is written out;
--- of what comes from variables and calls nothing is known here.

local lines = {}

--- A value that is written out: where it begins, and, of a table, its fields by name or index.
---@class neap.config.node
---@field line integer
---@field fields table<string|integer, neap.config.node>?

local TEXT_MAX = 1024 * 1024 -- bytes: nobody writes more by hand, and tokens need memory

-- Tokens -------------------------------------------------------------------------------------

local OPEN = { ["("] = true, ["{"] = true, ["["] = true }
local CLOSE = { [")"] = true, ["}"] = true, ["]"] = true }
local BLOCK = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true }
local BLOCK_END = { ["end"] = true, ["until"] = true }

--- What a text in quotes says, as far as names need it.
local function unquoted(text) return (text:sub(2, -2):gsub("\\(.)", "%1")) end

--- The end of a comment or a long text that begins here; nil: none does.
local function skip_long(text, at)
  local marks = text:match("^%[(=*)%[", at)
  if not marks then return nil end
  local _, last = text:find("]" .. marks .. "]", at, true)
  return last or #text
end

local function skip_quoted(text, at)
  local quote, from = text:sub(at, at), at + 1
  while true do
    local found = text:find("[\\\n" .. quote .. "]", from)
    if not found then return #text end
    if text:sub(found, found) ~= "\\" then return found end
    from = found + 2
  end
end

--- The last byte of what matches here.
local function end_of(text, pattern, at) return (select(2, text:find(pattern, at))) end

--- The last byte of what begins here, and its kind: nil is what means nothing.
local function scan(text, at)
  local first = text:sub(at, at)
  if first:find("[%a_]") then return end_of(text, "^[%w_]+", at), "name" end
  if first == '"' or first == "'" then return skip_quoted(text, at), "text" end
  if text:find("^%-%-", at) then
    return skip_long(text, at + 2) or (text:find("\n", at, true) or #text + 1) - 1
  end
  local last = skip_long(text, at)
  if last then return last, "long" end
  if first:find("%d") then return end_of(text, "^[%w.]+", at), "number" end
  return end_of(text, "^[=~<>]=", at) or at, "sign"
end

--- Lists of the tokens' words, kinds, lines and depths in brackets and blocks, and where in them
--- each line begins.
local function tokens_of(text)
  local words, kinds, places, depths, firsts = {}, {}, {}, {}, {}
  local line, at, depth = 1, 1, 0
  while true do
    local start = text:find("%S", at)
    local _, breaks = text:sub(at, (start or #text + 1) - 1):gsub("\n", "")
    line = line + breaks
    if not start then
      return { words = words, kinds = kinds, lines = places, depths = depths, firsts = firsts }
    end
    local last, kind = scan(text, start)
    local word = text:sub(start, last)
    if kind then
      if CLOSE[word] or BLOCK_END[word] then depth = depth - 1 end
      local place = #words + 1
      words[place], kinds[place] = kind == "text" and unquoted(word) or word, kind
      places[place], depths[place] = line, depth
      firsts[line] = firsts[line] or place
      if OPEN[word] or BLOCK[word] then depth = depth + 1 end
    end
    _, breaks = word:gsub("\n", "")
    line, at = line + breaks, last + 1
  end
end

-- Values -------------------------------------------------------------------------------------

--- Whether the token is this sign or keyword, and no text that says the same.
local function is_sign(tokens, at, word)
  return tokens.words[at] == word and tokens.kinds[at] ~= "text"
end

--- The key that begins here, and where its value begins; nil: the value has an index.
local function key_at(tokens, at)
  if tokens.kinds[at] == "name" and is_sign(tokens, at + 1, "=") then
    return tokens.words[at], at + 2
  end
  if not is_sign(tokens, at, "[") then return nil end
  if is_sign(tokens, at + 2, "]") and is_sign(tokens, at + 3, "=") then
    local is_number = tokens.kinds[at + 1] == "number"
    return is_number and tonumber(tokens.words[at + 1]) or tokens.words[at + 1], at + 4
  end
  return false, at + 1 -- one that is worked out
end

--- Behind the "," or ";", or at the "}", that ends the field that has begun here.
local function end_of_field(tokens, at, depth)
  while at <= #tokens.words do
    if tokens.depths[at] == depth - 1 then return at end
    if tokens.depths[at] == depth and (is_sign(tokens, at, ",") or is_sign(tokens, at, ";")) then
      return at + 1
    end
    at = at + 1
  end
  return at
end

---@return neap.config.node
local function value_at(tokens, at, line)
  local node = { line = line or tokens.lines[at] }
  if not is_sign(tokens, at, "{") then return node end
  local depth, index = tokens.depths[at] + 1, 0
  node.fields = {}
  at = at + 1
  while at <= #tokens.words and tokens.depths[at] >= depth do
    local key, value = key_at(tokens, at)
    if key == nil then
      index = index + 1
      key, value = index, at
    end
    if key then node.fields[key] = value_at(tokens, value, tokens.lines[at]) end
    at = end_of_field(tokens, at, depth)
  end
  return node
end

-- Words --------------------------------------------------------------------------------------

---@param text string
---@return table? tokens nil: the text is too long
function lines.read(text)
  if #text <= TEXT_MAX then return tokens_of(text) end
end

--- Behind the brackets that may stand around an argument.
local function skip_brackets(tokens, at)
  while is_sign(tokens, at, "(") or is_sign(tokens, at, ")") do at = at + 1 end
  return at
end

--- The table of a provider, group or token that is written out in this line.
---@return neap.config.node?
function lines.of_word(tokens, word, name, line)
  local at = tokens.firsts[line]
  while at and tokens.lines[at] == line do
    local named = skip_brackets(tokens, at + 1)
    local given = skip_brackets(tokens, named + 1)
    local is_here = is_sign(tokens, at, word) and tokens.kinds[named] == "text"
      and tokens.words[named] == name and is_sign(tokens, given, "{")
    if is_here then return value_at(tokens, given, line) end
    at = at + 1
  end
end

--- The value of a word that is set with =, the last time up to this line.
---@return neap.config.node?
function lines.of_top(tokens, word, line)
  for at = #tokens.words, 1, -1 do
    local is_here = tokens.lines[at] <= line and tokens.depths[at] == 0
      and is_sign(tokens, at, word) and is_sign(tokens, at + 1, "=")
    if is_here then return value_at(tokens, at + 2, tokens.lines[at]) end
  end
end

return lines
