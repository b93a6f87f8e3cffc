-- request:race: legs side by side, one answer.
local test = require "neap.test"

local function text(run, fields)
  return ("local policy = require \"neap.policy\"\n"
    .. "local mine = policy.define { summary = \"Of a test.\"%s }\n%s\nreturn mine\n"):format(
    fields and ", " .. fields or "", run)
end

-- One leg for each target; legs: how, out of `one` (the leg's request) and `place`.
local function racer(leg, next)
  return text(([[
function mine:run(request, next)
  local legs = {}
  for place, target in ipairs(request.targets) do
    local one = request:with { target = target }
    legs[place] = %s
  end
  local response = request:race(%s, legs)
  self:note("%%s", response.failure or response.status)
  return response
end
]]):format(leg, next or "next"))
end

local function run(spec)
  spec.policies = spec.policies or { "racer" }
  spec.texts = spec.texts or {}
  spec.texts.racer = spec.texts.racer or racer(spec.leg or "{ one }", spec.next)
  spec.leg, spec.next = nil, nil
  return test.run(spec)
end

local function counts(world, names)
  local list = {}
  for index, name in ipairs(names) do list[index] = world:target(name).in_flight end
  return list
end

-- ------------------------------------------------------------------------------------
-- Who wins

for _, stream in ipairs { true, false } do
  test("the first content wins, the other is lost, streamed: " .. tostring(stream), function()
    local got = run {
      targets = { "a/m", "b/m" }, request = { stream = stream },
      upstream = { ["a/m"] = { text = "slow", after = 3 },
        ["b/m"] = { text = "quick", after = 1 } },
    }
    test.equal({ got.status, got.text, got.seconds }, { 200, "quick", 1 })
    test.equal(got.tried, { "a/m lost", "b/m 200" })
    test.equal(got.attempts[1].seconds, 1)
    test.equal(got.headers["x-neap-provider"], "b")
    test.equal(got.headers["x-neap-attempts"], "2")
  end)
end

test("a head and events without content win nothing", function()
  local got = run {
    targets = { "a/m", "b/m" }, request = { stream = true },
    upstream = { ["a/m"] = { stream = { { "late", at = 3 } } },
      ["b/m"] = { stream = { { "first", at = 2 } }, after = 1 } },
  }
  test.equal({ got.text, got.seconds }, { "first", 2 })
end)

test("a leg that failed does not win while another runs", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "hi", after = 2 } },
  }
  test.equal({ got.text, got.seconds }, { "hi", 2 })
  test.equal(got.tried, { "a/m 500", "b/m 200" })
end)

test("an answer of a policy wins too", function()
  local got = run {
    targets = { "a/m", "b/m" }, policies = { "racer", "replies" },
    texts = { replies = text [[
function mine:run(request, next)
  if request.target.name == "b/m" then return request:reply("made here") end
  return next(request)
end]] },
    upstream = { ["a/m"] = { text = "slow", after = 1 } },
  }
  test.equal({ got.status, got.text }, { 200, "made here" })
  test.equal(got.tried, { "a/m lost" })
end)

test("a lost attempt is in flight no more, and rests nothing", function()
  local world = test.world {
    policies = { "racer", "key_rotation" }, texts = { racer = racer "{ one }" },
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "slow", after = 3 }, ["b/m"] = { text = "quick" } },
  }
  world:run()
  test.equal(counts(world, { "a/m", "b/m" }), { 0, 0 })
  test.equal(world:key("a", "k1").state, "ready")
  test.equal(world:target("a/m").latency, nil)
end)

test("what the winner returned can be read on, and a later attempt closes it", function()
  local got = run {
    targets = { "a/m", "b/m" },
    texts = { racer = text [[
function mine:run(request, next)
  local targets = request.targets
  local first = request:race(next, { { request:with { target = targets[1] } },
    { request:with { target = targets[2] } } })
  self:note(first:text(100, 1))
  return next(request:with { target = targets[1] })
end]] },
    upstream = { ["a/m"] = { { text = "slow", after = 3 }, { text = "again" } },
      ["b/m"] = { text = "quick" } },
  }
  test.equal({ got.text, got.notes }, { "again", { "quick" } })
  test.equal(got.tried, { "a/m lost", "b/m 200", "a/m 200" })
end)

-- ------------------------------------------------------------------------------------
-- When legs begin

test("after: a leg begins so many seconds after the race", function()
  local got = run {
    targets = { "a/m", "b/m" }, leg = "{ one, after = (place - 1) * 2 }",
    upstream = { ["a/m"] = { text = "slow", after = 9 }, ["b/m"] = { text = "quick", after = 1 } },
  }
  test.equal({ got.text, got.seconds }, { "quick", 3 })
end)

test("a leg whose turn does not come is not asked", function()
  local got = run {
    targets = { "a/m", "b/m" }, leg = "{ one, after = (place - 1) * 2 }",
    upstream = { ["a/m"] = { text = "hi", after = 1 } },
  }
  test.equal(got.tried, { "a/m 200" })
end)

test("when all that run have failed the next leg begins at once", function()
  local got = run {
    targets = { "a/m", "b/m", "c/m" }, leg = "{ one, after = (place - 1) * 60 }",
    upstream = { ["a/m"] = { failure = "connect", after = 1 },
      ["b/m"] = { failure = "reset", after = 1 }, ["c/m"] = { text = "hi" } },
  }
  test.equal({ got.text, got.seconds }, { "hi", 2 })
  test.equal(got.tried, { "a/m connect", "b/m reset", "c/m 200" })
end)

test("legs begin by their time, whatever their place", function()
  local got = run {
    targets = { "a/m", "b/m" }, leg = "{ one, after = (2 - place) * 2 }",
    upstream = { ["b/m"] = { text = "hi", after = 1 } },
  }
  test.equal(got.tried, { "b/m 200" })
end)

test("next gets the place of its leg", function()
  local got = run {
    targets = { "a/m", "b/m" }, leg = "{ one, after = (2 - place) * 2 }",
    next = "function(given, place) self:note(\"leg %d\", place) return next(given) end",
    upstream = { ["b/m"] = { status = 500 }, ["a/m"] = { text = "hi" } },
  }
  test.equal(got.notes, { "leg 2", "leg 1", "200" })
end)

-- ------------------------------------------------------------------------------------
-- When none wins

test("all fail: the last answer of a provider is given back", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { failure = "reset", after = 2 },
      ["b/m"] = { status = 503, body = "{}", after = 1 } },
  }
  test.equal({ got.status, got.failure, got.seconds }, { 502, "reset", 2 })
end)

test("all fail: of two limits the shorter wait is given back", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 429, headers = { ["retry-after"] = "5" } },
      ["b/m"] = { status = 429, headers = { ["retry-after"] = "60" }, after = 1 } },
  }
  test.equal({ got.status, got.headers["retry-after"] }, { 429, "5" })
end)

test("all fail: a provider's answer says more than a refusal or a spent budget", function()
  local got = run {
    targets = { "a/m", "b/m", "c/m" }, limits = { attempts = 1 },
    next = [[function(given, place)
      if place == 3 then return given:refuse(503, "not here") end
      return next(given)
    end]],
    upstream = { ["a/m"] = { status = 418, body = "{}" } },
  }
  test.equal({ got.status, got.tried }, { 418, { "a/m 418" } })
end)

test("each leg spends the budget", function()
  local got = run {
    targets = { "a/m", "b/m", "c/m" }, limits = { attempts = 2 },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "hi", after = 1 } },
  }
  test.equal(got.tried, { "a/m 500", "b/m 200" })
end)

test("an answer of a budget that is spent is never a lost one", function()
  local got = run {
    targets = { "a/m", "b/m" }, limits = { attempts = 2 },
    texts = { racer = text [[
function mine:run(request, next)
  local targets = request.targets
  request:race(next, { { request:with { target = targets[1] } },
    { request:with { target = targets[2] } } }):fail("keyword", "for the test")
  return next(request)
end]] },
    upstream = { ["a/m"] = { text = "hi", after = 1 }, ["b/m"] = { text = "slow", after = 2 } },
  }
  test.equal(got.tried, { "a/m keyword", "b/m lost" })
  test.equal({ got.failure, got.status }, { "exhausted", 502 })
end)

-- ------------------------------------------------------------------------------------
-- What a cancelled leg does

test("code after next does not run in a leg that lost", function()
  local got = run {
    targets = { "a/m", "b/m" }, policies = { "racer", "after" },
    texts = { after = text [[
function mine:run(request, next)
  local response = next(request)
  self:note("after %s", request.target.name)
  return response
end]] },
    upstream = { ["a/m"] = { text = "slow", after = 3 }, ["b/m"] = { text = "quick" } },
  }
  test.equal(got.notes, { "after b/m", "200" })
end)

test("a leg that sleeps, or still looks at its answer, is lost as well", function()
  for name, wait in pairs { sleeps = "self:sleep(60)", looks = "response:text(1000, 60)" } do
    local got = run {
      targets = { "a/m", "b/m" }, policies = { "racer", "waits" }, request = { stream = true },
      texts = { waits = text(([[
function mine:run(request, next)
  local response = next(request)
  if request.target.name == "a/m" then
    %s
    self:note("never")
  end
  return response
end]]):format(wait)) },
      upstream = { ["a/m"] = { stream = { "held", { "late", at = 60 } } },
        ["b/m"] = { text = "quick", after = 1 } },
    }
    test.equal({ name, got.text, got.notes }, { name, "quick", { "200" } })
    test.equal(got.tried, { "a/m lost", "b/m 200" })
    test.equal(got.attempts[1].status, nil)
  end
end)

test("what failed before in a leg that lost stays what it was", function()
  local got = run {
    targets = { "a/m", "b/m" }, policies = { "racer", "again" },
    texts = { again = text [[
function mine:run(request, next)
  local response = next(request)
  return response.status == 500 and next(request) or response
end]] },
    upstream = { ["a/m"] = { { status = 500 }, { text = "slow", after = 9 } },
      ["b/m"] = { text = "hi", after = 1 } },
  }
  test.equal(got.tried, { "a/m 500", "a/m lost", "b/m 200" })
end)

test("done comes once for each policy, with every attempt", function()
  local world = test.world {
    policies = { "racer", "counts" }, targets = { "a/m", "b/m" },
    texts = { racer = racer "{ one }", counts = text [[
function mine:run(request, next) return next(request) end
function mine:done(request, outcome)
  self.shared:add("done", 1)
  for _, attempt in ipairs(request.attempts) do
    self.shared:add((attempt.failure or attempt.status) .. " " .. attempt.target.name, 1)
  end
end]] },
    upstream = { ["a/m"] = { text = "slow", after = 1 }, ["b/m"] = { text = "quick" } },
  }
  world:run()
  test.equal({ world:shared("counts", "done"), world:shared("counts", "lost a/m"),
    world:shared("counts", "200 b/m") }, { 1, 1, 1 })
end)

test("notes and shared values of a leg are its request's, and its own provider's", function()
  local world = test.world {
    policies = { "racer", "by_provider" }, targets = { "a/m", "b/m" },
    texts = { racer = racer "{ one }", by_provider = text([[
function mine:run(request, next)
  self:note(request.target.name)
  local response = next(request)
  self.shared:set("seen", request.target.name)
  return response
end]], "walks = \"key\"") },
    upstream = { ["a/m"] = { status = 500, after = 1 }, ["b/m"] = { text = "hi", after = 2 } },
  }
  test.equal(world:run().notes, { "a/m", "b/m", "200" })
  test.equal(world:shared("by_provider", "seen", "a"), "a/m")
  test.equal(world:shared("by_provider", "seen", "b"), "b/m")
end)

-- ------------------------------------------------------------------------------------
-- Races inside of races

local function nested(upstream, fields)
  local spec = {
    targets = { "a/m", "b/m", "c/m" }, policies = { "outer", "racer" }, upstream = upstream,
    texts = { outer = text [[
function mine:run(request, next)
  local a, b, c = unpack(request.targets)
  local response = request:race(next, { { request:with { targets = { a, b } } },
    { request:with { targets = { c } } } })
  self:note("outer %s", response.failure or response.status)
  return response
end]] },
  }
  for name, value in pairs(fields or {}) do spec[name] = value end
  return run(spec)
end

test("a race inside of a leg ends with it", function()
  local got = nested { ["a/m"] = { text = "a", after = 9 }, ["b/m"] = { text = "b", after = 9 },
    ["c/m"] = { text = "c", after = 1 } }
  test.equal({ got.text, got.seconds, got.notes }, { "c", 1, { "200", "outer 200" } })
  test.equal(got.tried, { "a/m lost", "b/m lost", "c/m 200" })
end)

test("what won inside can lose outside", function()
  local got = nested({ ["a/m"] = { text = "a", after = 9 }, ["b/m"] = { text = "b", after = 1 },
    ["c/m"] = { text = "c", after = 3 } }, { next = [[function(given)
      local response = next(given)
      if response.status == 200 and given.target.name == "b/m" then self:sleep(5) end
      return response
    end]] })
  test.equal({ got.text, got.seconds }, { "c", 3 })
  test.equal(got.tried, { "a/m lost", "b/m lost", "c/m 200" })
end)

test("what won inside wins outside, and is the request's", function()
  local got = nested { ["a/m"] = { text = "a", after = 9 }, ["b/m"] = { text = "b", after = 1 },
    ["c/m"] = { status = 500 } }
  test.equal({ got.text, got.seconds }, { "b", 1 })
  test.equal(got.tried, { "a/m lost", "b/m 200", "c/m 500" })
end)

-- ------------------------------------------------------------------------------------
-- Mistakes

local RAISES = text [[
function mine:run(request, next)
  if request.target.name ~= "c/m" then error("broken at " .. request.target.name) end
  return next(request)
end]]

test("a leg that raises fails alone", function()
  local got = run {
    targets = { "a/m", "c/m" }, policies = { "racer", "raises" }, texts = { raises = RAISES },
    upstream = { ["c/m"] = { text = "hi", after = 1 } },
  }
  test.equal({ got.status, got.text }, { 200, "hi" })
  test.equal(got.error, "policies/raises.lua:4: broken at a/m")
end)

test("all legs raise: the race raises", function()
  local got = run {
    targets = { "a/m", "b/m" }, policies = { "racer", "raises" }, texts = { raises = RAISES },
  }
  test.equal(got.status, 500)
  test.match(got.error, "raises%.lua:4: broken at [ab]/m")
end)

test("one raises, the other fails: the failure is given back", function()
  local got = run {
    targets = { "a/m", "c/m" }, policies = { "racer", "raises" }, texts = { raises = RAISES },
    upstream = { ["c/m"] = { status = 503, body = "{}" } },
  }
  test.equal({ got.status, got.error }, { 503, "policies/raises.lua:4: broken at a/m" })
end)

test("a leg that brings nothing takes no part", function()
  local got = run {
    targets = { "a/m", "b/m" },
    next = "function(given, place) if place == 2 then return next(given) end end",
    upstream = { ["b/m"] = { status = 503, body = "{}" } },
  }
  test.equal({ got.tried, got.status }, { { "b/m 503" }, 503 })
  test.match(run { targets = { "a/m", "b/m" }, next = "function() end" }.error,
    "no leg of the race brought a response")
end)

test("a leg that brings no response, or not its own, has raised", function()
  test.match(run { targets = { "a/m" }, next = "function() return 7 end" }.error,
    "a leg of the race brought a number, not a response")
  test.match(run {
    targets = { "a/m" }, next = "function() return next(request) end",
    upstream = { ["a/m"] = { text = "hi" } },
  }.error, "next takes the request that the leg is given")
end)

test("wrong arguments are said where they are", function()
  local function says(call, pattern, line)
    local got = run { targets = { "a/m" }, texts = { racer = text(([[
function mine:run(request, next)
  local response = request:race(%s)
  return response
end]]):format(call)) } }
    test.match(got.error, ("racer%%.lua:%d: "):format(line or 4) .. pattern)
  end
  says("", "race takes next and a list of legs")
  says("{ { request } }", "race takes next and a list of legs")
  says("next, request", "race takes next and a list of legs")
  says("next, {}", "a race needs a leg")
  says("next, { request }", "leg 1 is a userdata: a leg is { request, after = seconds }")
  says("next, { { request }, { request.target } }", "leg 2 begins with a userdata, not with")
  says("next, { {} }", "leg 1 begins with a nil, not with a request")
  says("next, { { request, after = -1 } }", "leg 1: after must be a number of seconds")
  says("next, { { request, after = 0/0 } }", "leg 1: after must be a number of seconds")
  says("next, { { request, after = \"1\" } }", "leg 1: after must be a number of seconds")
  says("next, { { request, afer = 1 } }", "leg 1 has \"afer\"")
  says("next, (function() local l = {} for i = 1, 17 do l[i] = { request } end return l end)()",
    "a race has at most 16 legs")
  says([=[function(given)
    local response = given:race(next, { { request } })
    return response
  end, { { request } }]=],
    "leg 1 has a request of another leg", 5)
end)
