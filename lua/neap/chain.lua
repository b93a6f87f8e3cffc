--- neap.chain: loads policies, and closes each layer of a chain over the next.

local chain_check = require "neap.chain_check"
local context = require "neap.context"
local fault = require "neap.fault"
local host = require "neap.host"
local object = require "neap.object"
local policy = require "neap.policy"
local request = require "neap.request"
local response = require "neap.response"
local setting = require "neap.setting"
local shared = require "neap.shared"
local steps = require "neap.steps"
local zone = require "neap.zone"

local chain = {}

local enter, target_of = request.enter, request.target_of
local response_inside = response.inside

chain.DEFAULT = { "circuit_breaker", "priority_failover", "key_rotation", "keyword_retry" }

-- Modules that a policy may require, as read-only views.
local PUBLIC = { ["neap.policy"] = true, ["neap.setting"] = true, ["neap.json"] = true }

-- ------------------------------------------------------------------------------------
-- Loading

--- A loader of one generation. The user's folder comes first, then what is stored, then neap's:
--- what somebody wrote into a file is not changed by the admin side, and what neap brings can be.
---@param folders string[] the user's, neap's
---@param options { stored: table<string, string>?, read: (fun(path: string): string?)? }? stored:
---texts of policies by name; read: instead of the host's, which is there at load only
function chain.loader(folders, options)
  options = options or {}
  return { folders = folders, stored = options.stored or {}, read = options.read,
    definitions = {}, modules = {} }
end

local function read_first(loader, name)
  for place, folder in ipairs(loader.folders) do
    local text = (loader.read or host.read)(folder .. "/" .. name .. ".lua")
    if text then return text, "policies/" .. name .. ".lua" end
    if place == 1 and loader.stored[name] then
      return loader.stored[name], "stored/" .. name .. ".lua"
    end
  end
end

--- Reads all policies of these folders, while a generation is built. Returns what reads them later,
--- and their names by folder.
---@param folders string[]
---@return fun(path: string): string? read, table<string, string[]> names
function chain.shelf(folders)
  local texts, names = {}, {}
  for _, folder in ipairs(folders) do
    names[folder] = {}
    for _, file in ipairs(host.files(folder)) do
      local name = file:match("^([%w_][%w_-]*)%.lua$")
      if name and not name:find("_test$") then
        texts[folder .. "/" .. file] = host.read(folder .. "/" .. file)
        table.insert(names[folder], name)
      end
    end
    for _, file in ipairs(host.files(folder .. "/lib")) do
      local path = folder .. "/lib/" .. file
      if file:find("%.lua$") then texts[path] = host.read(path) end
    end
  end
  return function(path) return texts[path] end, names
end

local function run_sandboxed(loader, text, path)
  local function require_public(name) return (chain.require(loader, name)) end
  local chunk, problem = host.load_policy(text, path, host.environment(require_public))
  if not chunk then error(problem, 0) end
  return chunk()
end

--- What `require` gives to a policy: one of neap's public modules, or one of policies/lib.
function chain.require(loader, name)
  if PUBLIC[name] then
    loader.modules[name] = loader.modules[name] or host.readonly(require(name))
    return loader.modules[name]
  end
  local lib = type(name) == "string" and name:match("^policies%.lib%.([%w_]+)$")
  if not lib then
    error(("a policy cannot require \"%s\""):format(tostring(name)), 3)
  end
  if loader.modules[name] == nil then
    local text, path = read_first(loader, "lib/" .. lib)
    if not text then error(("there is no policies/lib/%s.lua"):format(lib), 3) end
    loader.modules[name] = run_sandboxed(loader, text, path)
  end
  return loader.modules[name]
end

--- What a policy's file raised. That memory has run out has no place, and what is no text neither.
local function with_place(raised, path)
  local text = type(raised) == "string" and raised or "raised a " .. type(raised)
  return text:find("^[^%s:]+:%d+: ") and text or ("%s:1: %s"):format(path, text)
end

--- The definition of a policy's name, or nil and a message with file and line.
function chain.definition(loader, name)
  local known = loader.definitions[name]
  if known then return known.definition, known.problem end
  known = {}
  loader.definitions[name] = known
  local text, path = read_first(loader, name)
  if not text then
    known.problem = ("there is no policy \"%s\""):format(name)
    return nil, known.problem
  end
  local ok, result = fault.at_load(function() return run_sandboxed(loader, text, path) end)
  if not ok then
    known.problem = with_place(result, path)
  elseif not policy.is_definition(result) then
    known.problem = path .. ":1: a policy file returns what policy.define gave it"
  else
    known.definition = result
  end
  return known.definition, known.problem
end

-- ------------------------------------------------------------------------------------
-- Instances: what a policy calls self

local NOTES_MAX = 200      -- of a request; who looks at a trace reads no more
local NOTE_BYTES_MAX = 4096

--- The text of a note; raises in the name of the policy that calls `note`.
local function formatted(format, ...)
  if select("#", ...) == 0 then return tostring(format) end
  local is_right, text = pcall(string.format, tostring(format), ...)
  if not is_right then error((tostring(text):gsub("'%?'", "'note'")), 3) end
  return text
end

local function note(_, format, ...)
  local of = context.get()
  if not of then return end
  local text = formatted(format, ...)
  of.note_count = (of.note_count or 0) + 1
  if of.note_count > NOTES_MAX then return end
  if of.note_count == NOTES_MAX then text = "further notes are left out" end
  if #text > NOTE_BYTES_MAX then text = text:sub(1, NOTE_BYTES_MAX) .. "..." end
  local at = debug.getinfo(2, "Sl")
  steps.add(of.steps, "note", ("%s:%d"):format(at.short_src, at.currentline), text,
    of.layer)
end

--- Keeps a value for this policy's `done` of this request, in place of the one before. It outlives
--- the generation if JSON can hold it.
local function remember(self, value)
  local of = context.get()
  if not of then error("there is no request to remember something for", 2) end
  of.remembered = of.remembered or {}
  of.remembered[self] = value
end

local function remembered(self)
  local of = context.get()
  return of and of.remembered and of.remembered[self]
end

local methods = {
  note = note,
  remember = remember,
  remembered = remembered,
  now = function() return host.now() end,
  random = function() return host.random() end,
  sleep = function(_, seconds)
    if type(seconds) ~= "number" then error("sleep takes a number of seconds", 2) end
    return host.sleep(seconds)
  end,
}

--- Local time of the wall clock (neap.zone). name: "+08:00", a zone that a setting named, or nil
--- for UTC.
function methods.calendar(_, name)
  local found, problem = zone.find(tostring(name or "UTC"))
  if not found then error(problem, 2) end
  return zone.calendar(found, host.wall())
end

local Self = object.class("policy",
  { fields = { "settings", "shared", "name", "stored" }, methods = methods })

--- Where a policy's run begins: "policies/mine.lua:7". One without a run is refused elsewhere.
local function place_of(definition)
  local at = definition.run and debug.getinfo(definition.run, "S")
  return at and ("%s:%d"):format(at.short_src, at.linedefined)
end

local function make_instance(definition, entry, group)
  local settings, problems = setting.compile(definition.settings, entry.settings or {})
  if not settings then return nil, problems end
  local is_by_provider = definition.walks == "key" or definition.orders == "key"
  return {
    name = entry.name, definition = definition, done = definition.done,
    is_by_provider = is_by_provider, place = place_of(definition),
    self = object.fixed(Self, {
      name = entry.name, settings = settings, stored = group.of_policies,
      shared = shared.new(entry.name, group, is_by_provider),
    }),
  }
end

-- ------------------------------------------------------------------------------------
-- Composition

--- Whether there is something to send: a later attempt closes the response before it.
local function is_open(answer)
  return not answer.status or answer.transfer or answer.body or answer.reply
end

--- Takes a response that is not the one that came from inside last: raises unless it can be sent.
local function take_own(of, instance, got)
  local name, place = instance.name, instance.place
  of.layer = name
  local answer = response_inside(got)
  if not answer then
    error(("%s: run returned a %s, not a response"):format(place, type(got)), 0)
  end
  if answer.context ~= of then error(place .. ": run returned another request's response", 0) end
  if not is_open(answer) then
    error(place .. ": run returned a response that a later attempt has closed", 0)
  end
  steps.add(of.steps, "return", name, answer.failure or answer.status)
end

--- A policy with the rest of the chain inside of it: request → response. It is the `next` of the
--- policy around it (outer; nil for the outermost), to which what is raised belongs again once it
--- has returned. A response that came from inside last (of.came) is known to be a good one.
local function close_layer(instance, next, outer)
  local name, self, run, done = instance.name, instance.self, instance.definition.run, instance.done
  local is_by_provider, outer_name = instance.is_by_provider, outer and outer.name
  local step = outer and steps.mark("next", outer_name)

  return function(given)
    local inside, of = enter(given, step)
    if done then of.entered[#of.entered + 1] = instance end
    if is_by_provider then
      -- What it shares is the provider's, also before its first attempt there.
      local target = target_of(inside)
      of.provider = target and target.provider
    end
    of.layer = name
    local got = run(self, given, next)
    if not got or got ~= of.came then take_own(of, instance, got) end
    of.layer, of.came = outer_name, got
    return got
  end
end

--- The step that makes an attempt, as the `next` of the innermost policy (nil: there is none).
local function close_innermost(attempt, outer)
  local outer_name = outer and outer.name
  local step = outer and steps.mark("next", outer_name)

  return function(given)
    local inside, of = enter(given, step)
    local got = attempt(of, inside)
    of.layer, of.came = outer_name, got
    return got
  end
end

local function none() end

local function problem_at(path, entry, text)
  return { path = path, line = entry.line, text = text }
end

local function build(loader, entries, group, innermost, path, errors)
  local instances, checked = {}, {}
  for _, entry in ipairs(entries) do
    local definition, problem = chain.definition(loader, entry.name)
    if not definition then
      errors[#errors + 1] = problem_at(path, entry, problem)
    else
      checked[#checked + 1] = { name = entry.name, definition = definition }
      local instance, problems = make_instance(definition, entry, group)
      for _, one in ipairs(problems or {}) do
        errors[#errors + 1] = problem_at(path, entry,
          ("%s: %s"):format(entry.name, one.text))
      end
      instances[#instances + 1] = instance
    end
  end
  for _, text in ipairs(chain_check.check(checked)) do
    errors[#errors + 1] = problem_at(path, entries[1] or group.given, text)
  end
  local run = close_innermost(innermost, instances[#instances])
  for index = #instances, 1, -1 do
    run = close_layer(instances[index], run, instances[index - 1])
  end
  return { run = run, instances = instances }
end

local function default_entries(loader, group)
  local entries = {}
  for _, name in ipairs(chain.DEFAULT) do
    -- The default chain has those of its policies that are there.
    if read_first(loader, name) then
      entries[#entries + 1] = { name = name, line = group.given and group.given.line }
    end
  end
  return entries
end

local function attach(loader, group, innermost, path, errors)
  local given = group.given
  group.chain = build(loader, given.policies or default_entries(loader, group), group, innermost,
    path, errors)
  if given.fallback then
    group.fallback = build(loader, given.fallback, group, innermost, path, errors)
  end
end

--- What is wrong with the chains of these groups of a configuration, of which no catalog could be
--- made.
---@return neap.config.error[]
function chain.problems(groups, loader, path)
  local errors = {}
  for _, given in ipairs(groups) do
    local group = { name = given.name, given = given }
    for _, entries in ipairs { given.policies or {}, given.fallback or {} } do
      build(loader, entries, group, none, path, errors)
    end
  end
  return errors
end

--- Gives every group of the catalog its chain, and its fallback where it names one. innermost: the
--- step that makes an attempt. Returns a list of errors, and those of stored groups: a list of
--- { group, text }.
function chain.attach(catalog, loader, innermost, path)
  local errors, of_stored = {}, {}
  for _, group in ipairs(catalog.group_list) do
    local own = group.given.is_stored and {} or errors
    group.of_policies = catalog.of_policies
    attach(loader, group, innermost, path, own)
    for index = 1, own ~= errors and #own or 0 do
      of_stored[#of_stored + 1] = { group = group, text = own[index].text }
    end
  end
  local all = { name = "", given = {}, of_policies = catalog.of_policies }
  catalog.default_chain = build(loader, default_entries(loader, all), all, innermost, path, errors)
  return errors, of_stored
end

return chain
