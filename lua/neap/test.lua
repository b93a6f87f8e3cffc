--- neap.test: tests of policies, without a network and without waiting.
---
---     local test = require "neap.test"
---
---     test("moves on after a 500", function()
---       local run = test.run {
---         policies = { "priority_failover" },
---         targets  = { "a/m", "b/m" },
---         upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "hi" } },
---       }
---       test.equal(run.text, "hi")
---       test.equal(run.tried, { "a/m 500", "b/m 200" })
---     end)
---
--- The policies' real runtime runs, in neap's own sandbox; only what waits is replaced: the
--- providers (neap.test.upstream says how an answer is scripted), the clock, chance and the
--- memory that workers share. A policy is looked for beside the test file, then among those that
--- come with neap. The assertions are those of neap.tap.

local attempt = require "neap.attempt"
local catalog = require "neap.catalog"
local chain = require "neap.chain"
local client = require "neap.test.client"
local clock = require "neap.test.clock"
local host = require "neap.host"
local memory = require "neap.test.memory"
local object = require "neap.object"
local request = require "neap.request"
local response = require "neap.response"
local steps = require "neap.steps"
local stand_in = require "neap.test.stand_in"
local stored_settings = require "neap.stored_settings"
local suggest = require "neap.suggest"
local tap = require "neap.tap"
local trace = require "neap.trace"

local test = {}

local GROUP = "group"
local TEXTS = "the test's own" -- a folder that is none: the policies that a world gives as texts

--- The folder of the test file: the chunk that required this one (this, require, the file).
local folder = debug.getinfo(3, "S").source:match("^@(.*)/[^/]*$") or "."

---@class neap.test_world
---@field policies (string|table)[] names, or { name, settings }
---@field targets (string|table)[]? "provider/model", or { "provider/model", priority = 1 }
---@field keys table<string, (string|table)[]>? ids by provider; "k1" where it has none here
---@field prices table<string, table>? by target: { input = …, output = … }
---@field upstream table<string, table> answers by target
---@field limits { attempts: integer?, seconds: number? }?
---@field timeouts table<string, number>? of the group
---@field fallback (string|table)[]?
---@field texts table<string, string>? policies by name, as the text of their file
---@field random number? what self:random() gives each time
---@field wall number? seconds since 1970 at the beginning
---@field stored table? what self.stored has besides defaults: keywords, failure_threshold, …

---@class neap.test_run
---@field status integer what the client got
---@field text string the content of the answer
---@field body string the answer as it went out
---@field headers table<string, string>
---@field failure string? of the response that the chain returned
---@field tried string[] each attempt: "provider/model status" or "provider/model failure"
---@field keys string[] each attempt's key
---@field attempts table[] each attempt: target, key, status | failure, seconds
---@field notes string[] what the policies noted
---@field seconds number until the chain returned
---@field error string? what a policy raised
---@field sent table[] each attempt's url, headers and edits

-- ------------------------------------------------------------------------------------
-- What stands in for the host

local world_now -- the one that was made or used last

local read_file = host.read

local function read(path)
  local name = path:match("^" .. TEXTS .. "/(.*)%.lua$")
  if not name then return read_file(path) end
  return world_now.texts and world_now.texts[name]
end

host.read = read

local function use(world)
  world_now = world
  stand_in.use(world)
end

-- ------------------------------------------------------------------------------------
-- A world

local World = {}
World.__index = World

local function entries_of(list)
  local entries = {}
  for index, one in ipairs(list) do
    if type(one) == "string" then one = { one } end
    entries[index] = { name = one[1], settings = one[2] }
  end
  return entries
end

local function keys_of(world, provider)
  local keys = {}
  for index, key in ipairs(world.keys and world.keys[provider] or { "k1" }) do
    local id = type(key) == "table" and key.id or key
    keys[index] = { id = id, secret = provider .. "-" .. id,
      balance = type(key) == "table" and key.balance or nil }
  end
  return keys
end

local function configuration_of(world)
  local providers, known, targets = {}, {}, {}
  for index, given in ipairs(world.targets or {}) do
    if type(given) == "string" then given = { given } end
    local provider, model = given[1]:match("^([^/]+)/(.+)$")
    if not provider then error(("%q is no target: \"provider/model\""):format(given[1]), 0) end
    if not known[provider] then
      known[provider] = { name = provider, dialect = "openai", is_on = true, models = {},
        url = "https://" .. provider .. ".test/v1", keys = keys_of(world, provider),
        timeouts = { connect = 5, first_byte = 60, first_event = 120, idle = 120, total = 600 } }
      providers[#providers + 1] = known[provider]
    end
    known[provider].models[model] = world.prices and world.prices[given[1]] or true
    targets[index] = { provider = provider, model = model, priority = given.priority,
      weight = given.weight }
  end
  local group = { name = GROUP, targets = targets, policies = entries_of(world.policies),
    limits = world.limits, timeouts = world.timeouts,
    fallback = world.fallback and entries_of(world.fallback) }
  local stored = world.stored or {}
  return { providers = providers, groups = { group }, tokens = {},
    of_policies = stored_settings.of_policies(stored, stored.keywords) }
end

local function set_of(...)
  local set = {}
  for _, name in ipairs { ... } do set[name] = true end
  return set
end

local NAMES = {
  ["a world"] = set_of("policies", "targets", "keys", "prices", "upstream", "limits", "timeouts",
    "fallback", "texts", "random", "wall", "stored", "request"),
  limits = set_of("attempts", "seconds"),
  timeouts = set_of("connect", "first_byte", "first_event", "idle", "total"),
  ["a target"] = set_of("priority", "weight"),
}

--- Raises for a name that nobody would read: the test would not test what it says.
local function check_names(given, what)
  for name in pairs(type(given) == "table" and given or {}) do
    if name ~= 1 and not NAMES[what][name] then
      name = tostring(name)
      error(("%s has no %q%s"):format(what, name, suggest.text(name, NAMES[what])), 0)
    end
  end
end

--- A group with its providers, whose state lasts over several requests. Raises what is wrong
--- with the policies or their settings.
---@param given neap.test_world
---@return neap.test_world
function test.world(given)
  if type(given.policies) ~= "table" then
    error("a world has policies: policies = { \"name\", { \"name\", { setting = … } } }", 0)
  end
  check_names(given, "a world")
  check_names(given.limits, "limits")
  check_names(given.timeouts, "timeouts")
  for _, target in ipairs(given.targets or {}) do check_names(target, "a target") end
  local world = { memory = memory.new(), seed = 1, places = {} }
  for name, value in pairs(given) do world[name] = value end
  world.upstream = world.upstream or {}
  setmetatable(world, World)
  use(world)
  world.catalog = catalog.new(configuration_of(world))
  local loader = chain.loader { TEXTS, folder, host.home() .. "/policies" }
  local errors, texts = chain.attach(world.catalog, loader, attempt.run, "router.lua"), {}
  for index, one in ipairs(errors) do texts[index] = one.text end
  if texts[1] then error(table.concat(texts, "\n"), 0) end
  return world
end

--- Lets time pass.
---@param seconds number
function World:sleep(seconds)
  if coroutine.running() then return host.sleep(seconds) end
  clock.time = clock.time + seconds
end

--- A target of the group, as policies see it.
function World:target(name)
  for _, target in ipairs(self.catalog.groups[GROUP].targets) do
    if target.name == name then return target end
  end
  error(("there is no target %q"):format(name), 2)
end

--- A provider's key, as policies see it; with a model, as seen from that target.
function World:key(provider, id, model)
  use(self)
  for _, target in ipairs(self.catalog.groups[GROUP].targets) do
    if target.provider == provider and (not model or target.model == model) then
      for _, key in ipairs(object.inside(catalog.Target, target).keys) do
        if key.id == id then return key end
      end
    end
  end
  error(("there is no key %q of %q"):format(id, provider), 2)
end

--- What a policy of the group shares under a key; for one that walks or orders keys, of a
--- provider.
function World:shared(policy, key, provider)
  local scope = provider and "provider\0" .. provider or "group\0" .. GROUP
  return self.memory.shared_get(policy .. "\0" .. scope .. "\0" .. key)
end

-- ------------------------------------------------------------------------------------
-- A run

local function collect(of, run)
  local handle = of.handle
  run.status, run.headers, run.body = handle.status, handle.fields, handle.answer
  run.text, run.sent = handle:content(), handle.sent
  for place, kind, a, b, c in steps.each(of.steps) do
    if kind == "next" then b, c = request.narrowed_to(b) end
    run.trace[place] = { kind, a, b, c }
    if kind == "note" then run.notes[#run.notes + 1] = b end
    if kind == "raised" then run.error = b end
  end
  for index, one in ipairs(of.attempts) do
    local outcome = one.status or one.failure
    run.attempts[index] = { target = one.target.name, key = one.key and one.key.id,
      status = one.status, failure = one.failure, seconds = one.seconds }
    run.tried[index] = ("%s %s"):format(one.target.name, outcome)
    run.keys[index] = one.key and one.key.id
  end
end

local last_runs = {} -- of the last call, for the story of a test that fails
local contexts = setmetatable({}, { __mode = "k" }) -- by run

local function serve(world, given, run)
  local handle = client.new(given, GROUP)
  local of = stand_in.context(world, handle, world.catalog.groups[GROUP])
  local began = clock.time
  contexts[run] = of
  stand_in.serve(of, function(got)
    -- A hole in the script is the test's fault, whatever the policies made of it.
    if handle.problem then error(handle.problem, 0) end
    run.seconds = math.floor((clock.time - began) * 1000 + 0.5) / 1000
    run.failure = got and response.inside(got).failure
  end)
  collect(of, run)
end

--- Sends requests side by side; each is the members of its body (`messages` may be a text),
--- `headers`, and the name of a `token`.
---@param requests table[]
---@return neap.test_run[]
function World:run_all(requests)
  use(self)
  local runs, functions = {}, {}
  for index, given in ipairs(requests) do
    local run = { notes = {}, trace = {}, attempts = {}, tried = {}, keys = {} }
    runs[index] = run
    functions[index] = function() serve(self, given, run) end
  end
  last_runs = runs
  clock.run(functions)
  return runs
end

--- Sends one request and waits for its answer.
---@param given table?
---@return neap.test_run
function World:run(given) return self:run_all({ given or {} })[1] end

--- One request in a world of its own: test.world, and `request`.
---@param given neap.test_world
---@return neap.test_run
function test.run(given) return test.world(given):run(given.request) end

--- What `require "policies.lib.NAME"` gives to a policy.
---@param name string
function test.lib(name)
  return chain.require(chain.loader { folder, host.home() .. "/policies" }, "policies.lib." .. name)
end

--- What happened in the last runs, line by line.
local function story()
  local lines = {}
  for index, run in ipairs(last_runs) do
    lines[#lines + 1] = ("request %d: %s"):format(index, run.status or "no answer")
    local of = contexts[run]
    for _, line in ipairs(of and trace.lines(of) or {}) do lines[#lines + 1] = "  " .. line end
  end
  return table.concat(lines, "\n")
end

return setmetatable(test, {
  __index = tap,
  __call = function(_, name, run)
    tap(name, function()
      last_runs = {}
      local is_fine, problem = pcall(run)
      if not is_fine then error((("%s\n%s"):format(problem, story()):gsub("\n$", "")), 0) end
    end)
  end,
})
