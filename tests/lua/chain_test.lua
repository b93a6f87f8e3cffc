-- How policies are loaded, put together and run.
local test = require "neap.test"

local function text(run, fields)
  return ("local policy = require \"neap.policy\"\nlocal setting = require \"neap.setting\"\n"
    .. "local mine = policy.define { summary = \"Of a test.\"%s }\n%s\nreturn mine\n"):format(
    fields and ", " .. fields or "", run)
end

local function world(policies, texts, spec)
  local given = { policies = policies, texts = texts, targets = { "a/m" },
    upstream = { ["a/m"] = { text = "hi" } } }
  for name, value in pairs(spec or {}) do given[name] = value end
  return test.world(given)
end

local function refuses(pattern, policies, texts)
  return test.raises(function() world(policies, texts) end, pattern)
end

-- ------------------------------------------------------------------------------------
-- Loading

test("a policy that is not there is named", function()
  refuses("there is no policy \"nowhere\"", { "nowhere" })
end)

test("an error in a policy's file has file and line", function()
  refuses("policies/bad%.lua:2: ", { "bad" }, { bad = "local x = 1\nlocal y = x.z.w\n" })
  refuses("policies/bad%.lua:3: ", { "bad" }, { bad = "\n\nlocal = 3\n" })
end)

test("a file must return what policy.define gave it", function()
  refuses("returns what policy%.define gave it", { "bad" },
    { bad = "return { run = function() end }" })
end)

test("a policy needs run", function()
  refuses("has no run", { "bad" }, { bad = text "" })
end)

test("a policy reaches the public modules and policies/lib, nothing else", function()
  refuses("cannot require \"neap%.host\"", { "bad" }, { bad = "require \"neap.host\"" })
  refuses("cannot require \"policies%.echo\"", { "bad" }, { bad = "require \"policies.echo\"" })
  refuses("no policies/lib/nowhere%.lua", { "bad" },
    { bad = "require \"policies.lib.nowhere\"" })
end)

test("a policy writes no global, and reads none that is unknown", function()
  refuses("write the global \"x\"", { "bad" }, { bad = "x = 1" })
  refuses("unknown global \"io\"", { "bad" }, { bad = "return io.open" })
end)

test("a wrong setting is named with its policy", function()
  refuses("key_rotation: tries must be a whole number from 1 to 100, not 0",
    { { "key_rotation", { tries = 0 } } })
  refuses("unknown setting trys: did you mean tries", { { "key_rotation", { trys = 1 } } })
end)

test("settings are read-only", function()
  local run = world({ { "mine", { n = 3 } } }, { mine = text([[
    function mine:run(request, next)
      local is_set, why = pcall(function() self.settings.n = 4 end)
      self:note("%s %s %d", is_set, why:match("[^:]*$"), self.settings.n)
      return next(request)
    end]], "settings = { n = setting.integer {} }") }):run()
  test.match(run.notes[1], "^false .*read%-only 3$")
end)

-- ------------------------------------------------------------------------------------
-- Composition

test("policies wrap each other, the first of the list outermost", function()
  local function noted(name)
    return text(([[function mine:run(request, next)
      self:note("%s in")
      local response = next(request)
      self:note("%s out")
      return response
    end]]):format(name, name))
  end
  local run = world({ "one", "two" }, { one = noted "one", two = noted "two" }):run()
  test.equal(run.notes, { "one in", "two in", "two out", "one out" })
end)

test("only one policy walks a thing", function()
  refuses("one and two both walk the targets", { "one", "two" }, {
    one = text("function mine:run() end", "walks = \"target\""),
    two = text("function mine:run() end", "walks = \"target\""),
  })
end)

test("keys are walked inside of the target walker", function()
  refuses("put it after", { "key_rotation", "priority_failover" })
end)

test("what orders stands before what walks", function()
  refuses("put it before", { "priority_failover", "order" },
    { order = text("function mine:run() end", "orders = \"target\"") })
end)

test("a chain without policies makes one attempt at the first target", function()
  local run = world({}, nil, { targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 500 } } }):run()
  test.equal(run.tried, { "a/m 500" })
end)

-- ------------------------------------------------------------------------------------
-- Running

test("notes are bounded in number and length", function()
  local notes = world({ "mine" }, { mine = text [[function mine:run(request, next)
    for place = 1, 1000 do self:note("%d %s", place, ("x"):rep(10000)) end
    return next(request)
  end]] }):run().notes
  test.equal(#notes, 200)
  test.equal(#notes[1], 4096 + 3)
  test.equal(notes[200], "further notes are left out")
end)

test("what a policy raises may have a text that raises", function()
  local run = world({ "mine" }, { mine = text [[function mine:run()
    error(setmetatable({}, { __tostring = function() error("again") end }))
  end]] }):run()
  test.equal(run.status, 500)
end)

test("what is raised without a place has run's", function()
  for raised, problem in pairs {
    ["{}"] = "an error that is a table", ["\"no\", 0"] = "no",
    ["\"lua/neap/attempt.lua:7: what\", 0"] = "lua/neap/attempt%.lua:7: what",
  } do
    local run = world({ "mine" },
      { mine = text(("function mine:run()\n  error(%s)\nend"):format(raised)) }):run()
    test.match(run.error, "^policies/mine%.lua:%d+: " .. problem .. "$")
  end
end)

test("a note that cannot be formatted is an error with the policy's line", function()
  local run = world({ "mine" }, { mine = text [[function mine:run(request, next)
    self:note("%d", "x")
    return next(request)
  end]] }):run()
  test.equal(run.status, 500)
  test.match(run.error, "^policies/mine%.lua:%d+: bad argument #2 to 'note' %(number expected")
end)

test("a note has the policy's file and line", function()
  local run = world({ "mine" }, { mine = text [[function mine:run(request, next)
    self:note("%d of %s", 2, "x")
    return next(request)
  end]] }):run()
  test.equal(run.trace[1], { "note", "policies/mine.lua:5", "2 of x", "mine" })
end)

test("the trace has the target and the key that each policy goes on with", function()
  local run = world({ "mine", "key_rotation" }, { mine = text [[function mine:run(request, next)
    return next(request:with { target = request.targets[2] })
  end]] }, { targets = { "a/m", "b/m" }, upstream = { ["b/m"] = { text = "hi" } } }):run()
  local mine, rotation = run.trace[1], run.trace[2]
  test.equal({ mine[1], mine[2], mine[3].name, mine[4] }, { "next", "mine", "b/m", nil })
  test.equal({ rotation[1], rotation[2], rotation[3].name, rotation[4].id },
    { "next", "key_rotation", "b/m", "k1" })
end)

test("what run returns must be a response, of this request", function()
  local run = world({ "mine" }, { mine = text "function mine:run() return 200 end" }):run()
  test.equal(run.status, 500)
  test.match(run.error, "^policies/mine%.lua:%d+: run returned a number, not a response")
end)

test("next takes a request", function()
  local run = world({ "mine" },
    { mine = text "function mine:run(request, next) return next({}) end" }):run()
  test.match(run.error, "^policies/mine%.lua:%d+: next takes a request")
end)

test("an error in run is the request's alone, with file and line", function()
  local run = world({ "mine" }, { mine = text [[function mine:run(request)
    return request.nowhere
  end]] }):run()
  test.equal(run.status, 500)
  test.match(run.error, "policies/mine%.lua:5: a request has no \"nowhere\"")
end)

test("the fallback answers where the chain fails", function()
  local run = world({ "mine" }, { mine = text "function mine:run() error(\"no\") end" },
    { fallback = { "echo" }, request = nil }):run { messages = "from the fallback" }
  test.equal({ run.status, run.text }, { 200, "from the fallback" })
end)

test("done runs once for each policy that was entered, innermost first", function()
  local function counting(name)
    return text(([[
      function mine:run(request, next) next(request) return next(request) end
      function mine:done(request, outcome)
        self.shared:add("done", 1)
        self.shared:set("seen", "%s " .. outcome.status .. " " .. #request.attempts)
      end]]):format(name))
  end
  local made = world({ "one", "two" }, { one = counting "one", two = counting "two" })
  made:run()
  test.equal({ made:shared("one", "done"), made:shared("two", "done") }, { 1, 1 })
  test.equal(made:shared("one", "seen"), "one 200 4")
end)

test("done sends nothing any more", function()
  local made = world({ "mine" }, { mine = text [[
    local go_on
    function mine:run(request, next) go_on = next return next(request) end
    function mine:done(request)
      local is_sent, problem = pcall(go_on, request)
      self.shared:set("problem", problem)
    end]] })
  test.equal(#made:run().tried, 1)
  test.match(made:shared("mine", "problem"), "^the request has ended: nothing more is sent for it$")
end)

test("done runs after a policy's error, too; one that fails hurts nobody", function()
  local made = world({ "outer", "inner" }, {
    outer = text [[
      function mine:run(request, next) next(request) error("late") end
      function mine:done() self.shared:add("done", 1) end]],
    inner = text [[
      function mine:run(request, next) return next(request) end
      function mine:done() error("in done") end]],
  })
  test.equal(made:run().status, 500)
  test.equal(made:shared("outer", "done"), 1)
end)

local REMEMBERING = text [[
  function mine:run(request, next)
    self:note("%s", self:remembered())
    self:remember("first")
    self:remember(request.headers.who)
    return next(request)
  end
  function mine:done(request, outcome)
    self.shared:set("of " .. self:remembered(), request.headers.who)
  end]]

test("done finds what run remembered, of its own request", function()
  local made = world({ "mine" }, { mine = REMEMBERING },
    { upstream = { ["a/m"] = { { text = "slow", after = 5 }, { text = "fast" } } } })
  local runs = made:run_all { { headers = { who = "one" } }, { headers = { who = "two" } } }
  test.equal({ runs[1].notes, runs[2].notes }, { { "nil" }, { "nil" } })
  test.equal({ made:shared("mine", "of one"), made:shared("mine", "of two") }, { "one", "two" })
end)

test("what was remembered outlives the generation, where JSON can hold it", function()
  local record = require "neap.record"
  local made = world({ "one", "two" }, { one = REMEMBERING, two = REMEMBERING })
  local instances = made.catalog.groups.group.chain.instances
  local packed = record.pack { attempts = {}, context = {
    dialect = { name = "openai" }, group = made.catalog.groups.group,
    entered = { instances[1], instances[2] },
    remembered = { [instances[1].self] = { list = { 1, "a" } }, [instances[2].self] = test.equal },
  } }
  local of = record.unpack(packed, made.catalog).context
  test.equal(of.remembered[instances[1].self].list, { 1, "a" })
  test.equal({ #of.entered, of.remembered[instances[2].self] }, { 2, nil })
end)

test("self: now, sleep, random, calendar", function()
  local run = world({ "mine" }, { mine = text [[function mine:run(request, next)
    local before = self:now()
    self:sleep(1.5)
    local day = self:calendar("+08:00")
    self:note("%.1f %.2f %d-%d-%d %d:%d %d", self:now() - before, self:random(), day.year,
      day.month, day.day, day.hour, day.minute, day.weekday)
    return next(request)
  end]] }, { random = 0.25, wall = 1767225600 }):run()
  test.equal(run.notes, { "1.5 0.25 2026-1-1 8:0 4" })
  test.equal(run.seconds, 1.5)
end)

test("self: a calendar of a zone that does not exist is the policy's error", function()
  local run = world({ "mine" }, { mine = text [[function mine:run(request, next)
    self:calendar("Europe/Nowhere")
    return next(request)
  end]] }):run()
  test.match(run.error, "policies/mine%.lua:5: there is no zone")
end)

-- ------------------------------------------------------------------------------------
-- self.shared

test("shared: get, set, add with a limit and a time, swap", function()
  local made = world({ "mine" }, { mine = text [[function mine:run(request, next)
    local s = self.shared
    self:note("%s %s", s:get("n"), s:add("n", 2, 10, 3))
    self:note("%s %s", s:add("n", 2, 10, 3), s:get("n"))
    self:note("%s %s", s:swap("n", 7, 1), s:swap("n", 2, 1))
    s:set("n", nil)
    self:note("%s %s", s:swap("n", nil, "x"), s:get("n"))
    s:set("short", true, 5)
    self:sleep(5)
    self:note("%s", s:get("short"))
    self:note("%s", pcall(s.add, s, "n", 1))
    return next(request)
  end]] })
  test.equal(made:run().notes, { "nil 2", "nil 2", "false true", "true x", "nil", "false" })
end)

test("shared: two policies do not meet", function()
  local function adding(name)
    return text(([[function mine:run(request, next)
      self:note("%s %%d", self.shared:add("n", 1))
      return next(request)
    end]]):format(name))
  end
  local run = world({ "one", "two" }, { one = adding "one", two = adding "two" }):run()
  test.equal(run.notes, { "one 1", "two 1" })
end)

test("shared: a policy that walks keys shares by provider, also before its first attempt",
  function()
    local made = world({ "priority_failover", "mine" }, { mine = text([[
      function mine:run(request, next)
        self.shared:add("n", 1)
        return next(request)
      end]], "walks = \"key\"") }, { targets = { "a/m", "b/m" },
      upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "hi" } } })
    made:run()
    test.equal({ made:shared("mine", "n", "a"), made:shared("mine", "n", "b") }, { 1, 1 })
  end)

-- ------------------------------------------------------------------------------------
-- What tests are told of their own mistakes

test("a world of a test without policies is none", function()
  test.raises(function() test.world { polices = { "echo" } } end,
    "a world has policies: policies = { \"name\"")
end)

test("an answer of a test fails in no other way than attempts do", function()
  local got = world({}, {}, { upstream = { ["a/m"] = { failure = "conect" } } }):run()
  test.match(got.error, "\"conect\" is no failure of an attempt: did you mean connect?")
end)
