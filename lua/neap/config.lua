--- router.lua: from its text to a configuration, or to every error that it holds.
---
---     local configuration, errors = config.load {
---       path = "/etc/neap/router.lua",
---       getenv = host.getenv,
---       read = host.read_file,
---     }
---
--- The text runs first and only says what it wants (neap.config_words); all of it is then checked
--- (neap.config_check). An error never shows a secret.

local config_check = require "neap.config_check"
local place = require "neap.config_place"
local words = require "neap.config_words"

local config = {}

---@class neap.config.error
---@field path string
---@field line integer
---@field text string

---@class neap.config.options
---@field path string router.lua; relative paths in it are relative to its folder
---@field text string? its text, if it is at hand
---@field getenv fun(name: string): string?
---@field read fun(path: string): string?, string? the content of a file, or nil and why not
---@field dialects string[]? the dialects that exist; else those of the program
---@field certificate_problem (fun(certificate: string, key: string): string?)? of two paths
---@field run_protected (fun(run: function): boolean, any)? instead of pcall, for the text

--- What the checks of one file share: where errors go, and what can be looked up.
---@class neap.config.check
---@field router string
---@field folder string
---@field dialects string[]?
---@field read fun(path: string): string?, string?
---@field certificate_problem (fun(certificate: string, key: string): string?)?
local Check = {}
Check.__index = Check

---@param at neap.config.place
---@param text string
function Check:fail(at, text) self:fail_line(at:line(), text) end

function Check:fail_line(line, text)
  local errors = self.errors
  errors[#errors + 1] = { path = self.router, line = line, text = text }
end

---@param declaration neap.config.declaration
---@return neap.config.place
function Check:place(declaration)
  if declaration.name == nil then return place.of_top(self.source, declaration) end
  return place.of_word(self.source, declaration, ("%s %q"):format(declaration.word,
    declaration.name))
end

---@param path string
---@return string
function Check:path(path)
  if path:sub(1, 1) == "/" then return path end
  return self.folder == "/" and "/" .. path or self.folder .. "/" .. path
end

---@param value neap.config.value
---@return boolean
function Check:is_set(value) return (self.getenv(value.name) or "") ~= "" end

--- Whether it is a variable that is not set.
function Check:is_unset(value)
  return words.is_value(value) and value.kind == "env" and not self:is_set(value)
end

function Check:is_looked_up(value) return words.is_value(value) end

--- The value itself, or what an env or file holds; nil if that is not set. Then where it stands
--- and how it was written.
---@return any value, neap.config.place place, string? origin
function Check:look_up(value, at)
  if words.is_nothing(value) then return nil, at end
  if not words.is_value(value) then return value, at end
  local origin = ("%s %q"):format(value.kind, value.name)
  at = at:at(value.line)
  if value.kind == "env" then
    return self:is_set(value) and self.getenv(value.name) or nil, at, origin
  end
  local content, message = self.read(self:path(value.name))
  if not content then
    self:fail(at, ("%s: %s: %s"):format(at.title, origin, message or "it can not be read"))
    return nil, at, origin
  end
  return (content:gsub("\r?\n$", "")), at, origin
end

--- Checks one value as this kind.
---@param kind neap.config.kind
---@return any
function Check:take(kind, value, at)
  local found, where, origin = self:look_up(value, at)
  if found == nil then return nil end
  return kind(self, found, where, origin)
end

--- Notes that a provider or group is named here; it may be declared further down.
function Check:refer(word, name, at)
  self.references[#self.references + 1] = { word = word, name = name, at = at }
end

--- A check of what stands in no file: messages have no lines.
---@param options { path: string, dialects: string[]? }
---@return neap.config.check
function config.new_check(options)
  return setmetatable({
    router = options.path, folder = "/", source = place.source("", {}),
    getenv = function() end, read = function() return nil, "no files are read here" end,
    dialects = options.dialects, errors = {}, references = {},
  }, Check)
end

local function new_check(options, script, text, is_exact)
  local starts = {}
  for _, declaration in ipairs(script.list) do starts[#starts + 1] = declaration.line end
  for _, declaration in pairs(script.top) do
    starts[#starts + 1] = place.of_top(place.source(text, {}), declaration):line()
  end
  return setmetatable({
    router = options.path,
    folder = options.path:match("^(.+)/[^/]*$") or options.path:match("^(/)") or ".",
    source = place.source(text, starts, is_exact),
    getenv = options.getenv,
    read = options.read,
    dialects = options.dialects,
    certificate_problem = options.certificate_problem,
    errors = {},
    references = {},
  }, Check)
end

--- What is wrong with a word before its fields are looked at.
---@param declaration neap.config.declaration
---@param names table<string, integer> of the word, with their lines
---@return string?
function config.word_problem(declaration, names)
  local word, name = declaration.word, declaration.name
  if type(name) ~= "string" or name == "" or #name > 200 or name:find("%c") then
    return ("%s is followed by its name: %s \"name\" { … }"):format(word, word)
  end
  if type(declaration.fields) ~= "table" or words.is_value(declaration.fields) then
    return ("%s %q is followed by its fields: %s %q { … }"):format(word, name, word, name)
  end
  if word == "provider" and not config_check.is_provider_name(name) then
    return ("provider %q: a name has letters, digits, _, - and . only"):format(name)
  end
  if names[name] then
    return ("%s %q is there twice, first in line %d"):format(word, name, names[name])
  end
end

local LISTS = { provider = "providers", group = "groups", token = "tokens" }

local function check_declarations(check, script, configuration)
  local names = { provider = {}, group = {}, token = {} }
  for _, declaration in ipairs(script.list) do
    local word = declaration.word
    local problem = config.word_problem(declaration, names[word])
    -- An error in its table ended the file: that it has none is not worth another.
    local is_cut_off = declaration.fields == nil and not script.is_whole
      and type(declaration.name) == "string"
    if is_cut_off then
      names[word][declaration.name] = declaration.line
    elseif problem then
      check:fail_line(declaration.line, problem)
    else
      names[word][declaration.name] = declaration.line
      local entries = configuration[LISTS[word]]
      entries[#entries + 1] = config_check[word](check, declaration)
    end
  end
  return names
end

local function check_references(check, names)
  for _, reference in ipairs(check.references) do
    if not names[reference.word][reference.name] then
      check:fail(reference.at, ("%s: there is no %s %q"):format(reference.at.title,
        reference.word, reference.name))
    end
  end
end

local function check_secrets(check, tokens)
  local owners = {}
  for _, token in ipairs(tokens) do
    local owner = token.secret and owners[token.secret]
    if owner then
      check:fail_line(token.line, ("token %q has the same secret as token %q"):format(token.name,
        owner))
    elseif token.secret then
      owners[token.secret] = token.name
    end
  end
end

--- Errors in the order of their lines; those of one line in the order in which they were found.
---@param errors neap.config.error[]
---@return neap.config.error[] errors
local function sorted(errors)
  for order, problem in ipairs(errors) do problem.order = order end
  table.sort(errors, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.order < b.order
  end)
  for _, problem in ipairs(errors) do problem.order = nil end
  return errors
end
config.sorted = sorted

--- Checks what the text has said. is_exact: see place.source.
local function judge(options, script, text, is_exact)
  local check = new_check(options, script, text, is_exact)
  for _, problem in ipairs(script.errors) do check:fail_line(problem.line, problem.text) end
  local configuration = config_check.top(check, script.top)
  configuration.providers, configuration.groups, configuration.tokens = {}, {}, {}
  local names = check_declarations(check, script, configuration)
  -- After an error that ended the file, what is missing may stand behind it.
  if script.is_whole then check_references(check, names) end
  check_secrets(check, configuration.tokens)
  return configuration, check.errors
end

--- Reads, runs and checks router.lua. Never raises for what the file holds.
---@param options neap.config.options
---@return table? configuration
---@return neap.config.error[]? errors in the order of their lines
---@return table? rest what is right, for checks that go on in spite of errors; lacks what is wrong
function config.load(options)
  local text, message = options.text
  if not text then text, message = options.read(options.path) end
  if not text then
    return nil, { { path = options.path, line = 0, text = message or "it can not be read" } }
  end
  local script = words.run(text, options.run_protected)
  local configuration, errors = judge(options, script, text, false)
  if not errors[1] then return configuration end
  configuration, errors = judge(options, script, text, true) -- now their lines matter
  return nil, sorted(errors), configuration
end

--- "path:line: text" for each error; without a line where there is none.
---@param errors neap.config.error[]
---@return string[]
function config.format(errors)
  local lines = {}
  for index, problem in ipairs(errors) do
    lines[index] = problem.line > 0
      and ("%s:%d: %s"):format(problem.path, problem.line, problem.text)
      or ("%s: %s"):format(problem.path, problem.text)
  end
  return lines
end

return config
