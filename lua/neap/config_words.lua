--- Runs the text of router.lua and takes down what it says, each word with its line. Judges
--- nothing but the words themselves: what they hold is checked by neap.config_check.
---
--- The text sees the words, harmless parts of the base library, and nothing of the machine. A
--- word that does not exist is noted and stands for nothing, so that the rest is checked too.

local suggest = require "neap.suggest"

local words = {}

--- The name under which the text runs: short, so that messages begin with "router.lua:LINE:".
local CHUNK = "=router.lua"

--- Set by assignment.
local TOP = {
  listen = true, admin = true, storage = true, policies = true, workers = true,
  drain_timeout = true, watch = true, journal = true, cors = true, tls = true, spool = true,
  private_upstreams = true, log = true, guess_conversations = true,
}

local BASE = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, select = select,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
}

--- `env "NAME"` or `file "path"`: what it holds is looked up by the check.
---@class neap.config.value
---@field kind "env"|"file"
---@field name string
---@field line integer
local Value = {}

--- `use("policy", { settings })`.
---@class neap.config.use
---@field name any
---@field settings any
---@field line integer
local Use = {}

--- What an unknown word stands for: any use of it is another of the same.
local Nothing = {}
local nothing = setmetatable({}, Nothing)
local function same() return nothing end
Nothing.__call, Nothing.__index, Nothing.__concat = same, same, same

---@class neap.config.declaration
---@field word string "provider", "group", "token", or a top word
---@field name any
---@field fields any the table, or a top word's value
---@field line integer

---@class neap.config.script
---@field list neap.config.declaration[] providers, groups and tokens, as they stand in the file
---@field top table<string, neap.config.declaration>
---@field errors { line: integer, text: string }[]
---@field is_whole boolean the text ran to its end

---@param value any
---@return boolean
function words.is_value(value) return getmetatable(value) == Value end

---@param value any
---@return boolean
function words.is_use(value) return getmetatable(value) == Use end

--- A policy with settings, as `use` makes it.
---@param name any
---@param settings any
---@param line integer
---@return neap.config.use
function words.use(name, settings, line)
  return setmetatable({ name = name, settings = settings, line = line }, Use)
end

---@param value any
---@return boolean
function words.is_nothing(value) return value == nothing end

Value.__concat = function() error("env and file can not be joined with ..: they are looked up "
  .. "after the file has run", 2) end

--- The line of the text that is running: the innermost frame of it.
local function current_line()
  for level = 3, 250 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.source == CHUNK then return info.currentline end
  end
  return 1
end

local function copy(library, left_out)
  local result = {}
  for name, value in pairs(library) do
    if name ~= left_out then result[name] = value end
  end
  return result
end

local function declarer(script, word)
  return function(name, fields)
    local declaration = { word = word, name = name, fields = fields, line = current_line() }
    script.list[#script.list + 1] = declaration
    return function(value)
      if declaration.fields == nil then
        declaration.fields = value
      else
        script:fail(current_line(), ("%s is followed by one table"):format(word))
      end
    end
  end
end

local function value_maker(script, kind)
  return function(name)
    local line = current_line()
    if type(name) == "string" and name ~= "" then
      return setmetatable({ kind = kind, name = name, line = line }, Value)
    end
    script:fail(line, ("%s is followed by a name: %s \"%s\""):format(kind, kind,
      kind == "env" and "NAME" or "path"))
    return nothing
  end
end

local function names_of(script)
  local names = copy(BASE)
  names.string, names.table, names.math = copy(string, "dump"), copy(table), copy(math)
  for _, word in ipairs { "provider", "group", "token" } do names[word] = declarer(script, word) end
  for _, kind in ipairs { "env", "file" } do names[kind] = value_maker(script, kind) end
  function names.use(name, settings) return words.use(name, settings, current_line()) end
  return names
end

--- How an unknown word would be written.
local function unknown_word(script, name, names)
  if script.unknown[name] then return end
  script.unknown[name] = true
  local known = copy(TOP)
  for word in pairs(names) do
    if not BASE[word] then known[word] = true end
  end
  script:fail(current_line(), ("unknown word %s%s"):format(tostring(name),
    suggest.text(tostring(name), known)))
end

local function environment(script)
  local names = names_of(script)
  local function read(_, name)
    if names[name] ~= nil then return names[name] end
    if TOP[name] then return script.top[name] and script.top[name].fields end
    unknown_word(script, name, names)
    return nothing
  end
  local function write(_, name, value)
    if TOP[name] then
      script.top[name] = { word = name, fields = value, line = current_line() }
    elseif names[name] ~= nil then
      script:fail(current_line(), ("%s is not set with =: %s \"name\" { … }"):format(name, name))
    else
      unknown_word(script, name, names)
    end
  end
  return setmetatable({}, { __index = read, __newindex = write, __metatable = false })
end

--- The message without what stands in quotes there, unless that is a sign or a keyword: a
--- syntax error shows the text around it, which may be a secret.
local function without_text(message)
  local text, near = message:match("^(.*) near '(.*)'$")
  if not text then return message end
  if near == "<eof>" then return text .. " at the end of the file" end
  local is_harmless = near:find("^%p+$") or ("and break do else elseif end false for function goto "
    .. "if in local nil not or repeat return then true until while "):find(near .. " ", 1, true)
  return is_harmless and message or text
end

local function note_lua_error(script, message)
  local line, text = tostring(message):match("^router%.lua:(%d+): (.*)$")
  -- A place in the library helps nobody: there the text was when its time ran out.
  text = text or tostring(message):gsub("^lua/%S+:%d+: ", "")
  script:fail(tonumber(line) or 1, without_text(text))
end

--- Runs the text. Never raises.
---@param text string
---@param run_protected (fun(run: function): boolean, any)? as pcall, which it is without
---@return neap.config.script
function words.run(text, run_protected)
  local script = { list = {}, top = {}, errors = {}, unknown = {}, is_whole = false }
  function script:fail(line, problem)
    self.errors[#self.errors + 1] = { line = line, text = problem }
  end
  text = text:gsub("^\239\187\191", "")
  if text:byte() == 27 then
    script:fail(1, "is compiled code: only a text is read")
    return script
  end
  -- Without what is empty at its end, so that a missing "}" is told with the last line. One pattern
  -- over all of a long text would take too many steps.
  local last = #text
  while last > 0 and text:find("^%s", last) do last = last - 1 end
  local chunk, message = loadstring(text:sub(1, last), CHUNK)
  if not chunk then
    note_lua_error(script, message)
    return script
  end
  script.is_whole, message = (run_protected or pcall)(setfenv(chunk, environment(script)))
  if not script.is_whole then note_lua_error(script, message) end
  return script
end

return words
