-- What is left of a request: what outlives its generation, what policies see of usage and cost.
local test = require "neap.test" -- its memory stands in for the host's
local catalog = require "neap.catalog"
local host = require "neap.host"
local object = require "neap.object"
local openai = require "neap.dialect.openai"
local record = require "neap.record"
local record_values = require "neap.record_values"

local function known_with(targets)
  return test.world { policies = {}, targets = targets }.catalog
end

local function packed(known)
  local attempts, group = {}, known.groups.group
  for index, target in ipairs(group.targets) do
    attempts[index] = { target = target, way = catalog.way(target, nil), status = 200,
      started = 7, seconds = 0.5 }
  end
  return record.pack { attempts = attempts, last = attempts[1], status = 200, context = {
    dialect = openai, token = { name = "app" }, group = group, model = "group",
    endpoint = "chat", conversation = "c", stream = true, entered = {},
  } }
end

test("a record that comes back has its attempts, with the targets of the new catalog", function()
  local text = packed(known_with { "a/m", "b/m" })
  local known = known_with { "b/m", "c/m" }
  local self = record.unpack(text, known)
  local gone, here = self.attempts[1], self.attempts[2]
  test.equal({ gone.target_name, gone.target }, { "a/m", nil })
  test.equal(here.target, known.groups.group.targets[1])
  test.equal({ here.status, here.started, here.seconds }, { 200, 7, 0.5 })
end)

test("policies' done learns which target and key answered, and the conversation", function()
  local outcome = require "neap.outcome"
  local known = known_with { "a/m", "b/m" }
  local target = known.groups.group.targets[2]
  local key = object.inside(catalog.Target, target).keys[1]
  local answered = { target = target, key = key, way = catalog.way(target, key), status = 200 }
  local text = record.pack { attempts = { { target = known.groups.group.targets[1],
    failure = "reset" }, answered }, last = answered, status = 200, context = {
    dialect = openai, group = known.groups.group, model = "group", conversation = "c",
    entered = {} } }
  known = known_with { "b/m" }
  local self = record.unpack(text, known)
  target = known.groups.group.targets[1]
  key = object.inside(catalog.Target, target).keys[1]
  local told = outcome.of(self)
  test.equal({ told.target, told.key }, { target, key })
  test.equal({ self.attempts[2].target, self.attempts[2].key }, { target, key })
  test.equal(self.context.request.conversation, "c")
end)

test("it tells the host the same as if nothing had happened", function()
  local known = known_with { "a/m" }
  local self = record.unpack(packed(known), known, { elapsed = function() return 3 end })
  local values, tell = {}, host.end_record
  host.end_record = function(...) values = { ... } end
  self.outcome, self.bytes_out = "ok", 9
  record.finish(self)
  host.end_record = tell
  test.equal({ values[3], values[4], values[12], values[15], values[16] },
    { true, 1, 3, 200, 9 })
  test.equal({ unpack(values, 5, 8) }, { 200, 0.5, nil, "a/m" })
  test.equal({ unpack(values, 19, 29) }, { "app", "group", "chat", "openai", "openai", "group",
    "a", "m", nil, "c", "ok" })
end)

test("so has one of a group that is gone", function()
  local text = packed(known_with { "a/m" })
  local known = catalog.new { providers = {}, groups = {}, tokens = {} }
  known.default_chain = { instances = {} }
  local self = record.unpack(text, known)
  test.equal({ self.attempts[1].target, self.attempts[1].status }, { nil, 200 })
end)

local SPY = [[
  local policy = require "neap.policy"
  local spy = policy.define { summary = "Notes what it sees." }
  function spy:run(request, next)
    self.shared:set("conversation", request.conversation)
    self.shared:set("guess", request.target:cost(1000, 100) or "none")
    return next(request)
  end
  function spy:done(_, outcome)
    self.shared:set("cost", outcome.cost or "none")
    if not outcome.usage then return end
    for _, name in ipairs { "prompt", "completion", "total", "in_fresh", "is_estimate", "raw" } do
      self.shared:set(name, outcome.usage[name])
    end
  end
  return spy
]]

local function spied(given)
  given.policies, given.texts, given.targets = { "spy" }, { spy = SPY }, { "a/m" }
  local world = test.world(given)
  local run = world:run(given.request)
  test.equal(run.error, nil)
  return function(name) return world:shared("spy", name) end
end

test("done gets the usage with its sums, and the cost in USD", function()
  local seen = spied { upstream = { ["a/m"] = { text = "hi" } },
    prices = { ["a/m"] = { input = 100, output = 200 } } }
  test.equal({ seen "prompt", seen "completion", seen "total", seen "in_fresh" }, { 3, 2, 5, 3 })
  test.equal({ seen "is_estimate", seen "raw" }, { false, nil })
  test.equal(seen "cost", 0.0007)
end)

test("what nobody reports is an estimate", function()
  local seen = spied { upstream = { ["a/m"] = {
    body = "{\"choices\":[{\"message\":{\"content\":\"12345678\"}}]}" } },
    prices = { ["a/m"] = { output = 1000000 / 10 } } }
  test.equal({ seen "is_estimate", seen "completion" }, { true, 3 })
  test.equal(seen "cost", 0.3)
end)

test("without prices there is no cost; a failure has no usage", function()
  local seen = spied { upstream = { ["a/m"] = { text = "hi" } } }
  test.equal({ seen "cost", seen "guess", seen "total" }, { "none", "none", 5 })
  seen = spied { upstream = { ["a/m"] = { failure = "connect" } },
    prices = { ["a/m"] = { input = 1 } } }
  test.equal({ seen "cost", seen "total" }, { "none", nil })
end)

test("a target tells what a request would cost; a request its conversation", function()
  local seen = spied { upstream = { ["a/m"] = { text = "hi" } },
    prices = { ["a/m"] = { input = 2, output = 8, call = 0.001 } },
    request = { headers = { ["X-Conversation-Id"] = "c-1" } } }
  test.equal(seen "guess", 0.002 + 0.0008 + 0.001)
  test.equal(seen "conversation", "c-1")
end)

test("at_once: the first attempt brought the answer, whole; other names raise", function()
  local text = [=[
    local policy = require "neap.policy"
    local look = policy.define { summary = "Notes what it sees." }
    function look:run(request, next) return next(request) end
    function look:done(_, outcome)
      local known = { pcall(function() return outcome.nowhere end) }
      self.shared:set("at once", tostring(outcome.at_once))
      self.shared:set("known", known[1])
      self.shared:set("same", outcome.usage == outcome.usage)
    end
    return look]=]
  local function seen(a, request)
    local world = test.world { policies = { "look", "priority_failover" }, texts = { look = text },
      targets = { "a/m", "b/m" }, upstream = { ["a/m"] = a, ["b/m"] = { text = "hi" } } }
    world:run(request)
    test.equal({ world:shared("look", "known"), world:shared("look", "same") }, { false, true })
    return world:shared("look", "at once")
  end
  test.equal(seen { text = "hi" }, "true")
  test.equal(seen { status = 500 }, "false")
  test.equal(seen { status = 400 }, "false")
  test.equal(seen({ stream = { "he", { "llo", at = 1 } } }, { stream = true }), "true")
  local broken = { stream = { "he", { failure = "reset", at = 1 } } }
  test.equal(seen(broken, { stream = true }), "false")
end)

--- The records of so many runs in this world.
local function records(given, count)
  local kept, tell = {}, record_values.tell
  record_values.tell = function(self) kept[#kept + 1] = self end
  local world = test.world(given)
  for _ = 1, count do world:run() end
  record_values.tell = tell
  test.equal(#kept, count)
  return kept
end

test("each hundredth of what went well at once keeps its trace", function()
  local traced = 0
  local given = { policies = {}, targets = { "a/m" }, upstream = { ["a/m"] = { text = "hi" } } }
  for _, self in ipairs(records(given, 300)) do
    test.equal(self.outcome, "ok")
    if self.trace then traced = traced + 1 end
  end
  test.equal(traced, 3)
end)

test("a retry keeps its trace, and so does a failure", function()
  local given = { policies = { "priority_failover" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { failure = "connect" }, ["b/m"] = { text = "hi" } } }
  local self = records(given, 1)[1]
  test.equal(self.outcome, "ok")
  assert(self.trace:find("attempt 2: b/m", 1, true), self.trace)
  given.upstream["b/m"] = { failure = "connect" }
  self = records(given, 1)[1]
  test.equal(self.outcome, "failed")
  assert(self.trace:find("attempt 1: a/m", 1, true), self.trace)
end)

return test.finish()
