-- The story of a request: what is told, in which words, and what of it fits into a header.
local test = require "neap.test"
local catalog = require "neap.catalog"
local object = require "neap.object"
local trace = require "neap.trace"

local function text(run)
  return ("local policy = require \"neap.policy\"\n"
    .. "local mine = policy.define { summary = \"Of a test.\" }\n"
    .. "function mine:run(request, next)\n%s\nend\nreturn mine\n"):format(run)
end

--- The value of the header, for a request that asks for it.
local function asked(given)
  given.request = { headers = { ["x-neap-trace"] = "1" } }
  return test.run(given).headers["x-neap-trace"]
end

--- The whole story, as a test that fails shows it: the lines behind its message.
local function story(given)
  local before = #test.results
  test("fails", function()
    test.run(given)
    test.ok(false)
  end)
  local message = table.remove(test.results, before + 1).message
  local lines = {}
  for line in message:gmatch("\n([^\n]*)") do lines[#lines + 1] = line end
  return lines
end

local FAILOVER = {
  policies = { "priority_failover", "key_rotation", "keyword_retry" },
  targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 }, { "c/m", priority = 3 } },
  keys = { a = { "k1", "k2" } },
  upstream = {
    ["a/m"] = { k1 = { status = 429, after = 0.25, headers = { ["retry-after"] = "7" } },
      k2 = { status = 500 } },
    ["b/m"] = { text = "hi", after = 2 },
  },
}

test("each target, key, attempt and note is told in order, what only passes on is not", function()
  local lines = story(FAILOVER)
  for index, line in ipairs(lines) do
    lines[index] = line:gsub("policies/[%w_/]+%.lua:%d+", "where")
  end
  test.equal(lines, {
    "request 1: 200",
    "  priority_failover takes a/m",
    "    key_rotation takes key k1",
    "      attempt 1: a/m with key k1: 429 after 250 ms",
    "      k1: its rate is limited (429) [where]",
    "    key_rotation takes key k2",
    "      attempt 2: a/m with key k2: 500",
    "    a/m: 500 [where]",
    "  priority_failover takes b/m",
    "    key_rotation takes key k1",
    "      attempt 3: b/m with key k1: 200 after 2 s",
    "  not tried: c/m, ready",
  })
end)

test("a failure, the fallback and what a policy makes of an answer are told", function()
  local lines = story { policies = { "raises" }, fallback = { "refuses" }, targets = { "a/m" },
    upstream = { ["a/m"] = { failure = "connect", why = "nobody is there" } },
    texts = { raises = text "error \"broken\"",
      refuses = text "next(request) return request:refuse(503, \"closed\")" } }
  test.equal(lines, {
    "request 1: 503",
    "  raises failed: policies/raises.lua:4: broken",
    "  the fallback chain runs",
    "  attempt 1: a/m with key k1: connect (nobody is there)",
    "  refuses returns 503",
  })
end)

test("what rests is shown with its time and reason", function()
  local world = test.world { policies = { "priority_failover" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "hi" } } }
  world:target("b/m"):rest(90, "it was slow")
  local header = world:run { headers = { ["x-neap-trace"] = "1" } }.headers["x-neap-trace"]
  test.match(header, "; not tried: b/m, resting for 90 s %(it was slow%)$")
end)

-- ------------------------------------------------------------------------------------
-- The header

--- A world of two targets at one provider with so many keys; the first is ready.
local function world_of_keys(count)
  local ids = {}
  for index = 1, count do ids[index] = "k" .. index end
  return test.world { policies = { "priority_failover", "key_rotation" }, keys = { a = ids },
    targets = { "a/m", "a/n" }, upstream = { ["a/m"] = { text = "hi" } } }
end

local function traced(world)
  return world:run { headers = { ["x-neap-trace"] = "1" } }.headers["x-neap-trace"]
end

test("keys that were passed over are shown with their state", function()
  local world = world_of_keys(4)
  world:key("a", "k2"):disable("it was refused", 600)
  world:key("a", "k3"):rest(30, "it was slow", "n")
  local header = traced(world)
  test.match(header, "; not tried: a/n, ready; skipped: key k2 of a, disabled %(it was refused%); "
    .. "skipped: key k3 of a, resting for 30 s %(it was slow%)$")
end)

test("of many keys that were passed over some are told", function()
  local world = world_of_keys(100)
  for index = 2, 100 do world:key("a", "k" .. index):rest(30, "it was slow") end
  test.equal(select(2, traced(world):gsub("skipped: key ", "")), 4)
end)

test("only who asks with a 1 gets the header", function()
  for _, headers in ipairs { {}, { ["x-neap-trace"] = "0" }, { ["x-neap-trace"] = "yes" } } do
    local run = test.run { policies = {}, targets = { "a/m" },
      upstream = { ["a/m"] = { text = "hi" } }, request = { headers = headers } }
    test.equal(run.headers["x-neap-trace"], nil)
  end
  test.equal(asked { policies = {}, targets = { "a/m" }, upstream = { ["a/m"] = { text = "hi" } } },
    "attempt 1: a/m with key k1: 200")
end)

test("a token needs the right", function()
  local handle = { header = function() return "1" end }
  test.equal(trace.is_wanted { handle = handle, token = { rights = {} } }, false)
  test.equal(trace.is_wanted { handle = handle, token = { rights = { trace = true } } }, true)
  test.equal(trace.is_wanted { handle = handle }, true)
end)

test("a failure's answer has it, too", function()
  local header = asked { policies = { "priority_failover" }, targets = { "a/m" },
    upstream = { ["a/m"] = { status = 503 } } }
  test.match(header, "^priority_failover takes a/m; attempt 1: a/m with key k1: 503; a/m: 503 ")
end)

test("it is printable ASCII, and a note cannot look like two steps", function()
  local header = asked { policies = { "notes" }, targets = { "a/m" },
    upstream = { ["a/m"] = { text = "hi" } },
    texts = { notes = text [[
      self:note("%s", "a\r\nx-evil: 1; attempt 9: \0\127 größe 世")
      return next(request)]] } }
  test.equal(header, "a??x-evil: 1, attempt 9: ?? gr??e ? [policies/notes.lua:4]; "
    .. "attempt 1: a/m with key k1: 200")
end)

test("it ends at 2 KiB with how much is left out, and no note fills it alone", function()
  local header = asked { policies = { "notes" }, targets = { "a/m" },
    upstream = { ["a/m"] = { text = "hi" } },
    texts = { notes = text [[
      for index = 1, 100 do self:note("%d %s", index, ("x"):rep(1000)) end
      return next(request)]] } }
  test.ok(#header <= 2048 and #header > 1700, #header .. " bytes")
  local shown = select(2, header:gsub("; ", "")) -- all but the last, which says how many more
  test.match(header, ("; %%.%%.%%. and %d more$"):format(101 - shown))
  test.match(header, "^1 x+%.%.%.; 2 x+%.%.%.; ")
end)

test("a key's secret is never in it", function()
  local header = asked {
    policies = { "quotes" }, targets = { "some/m" }, keys = { some = { "k001" } },
    upstream = { ["some/m"] = { status = 401, body = "wrong key: some-k001, really some-k001" } },
    texts = { quotes = text [[
      local response = next(request)
      self:note("%s", response.body)
      return response]] } }
  test.match(header, "; wrong key: %[key k001%], really %[key k001%] %[")
  test.equal(header:find("some-k001", 1, true), nil)
end)

test("nor is that of another key of the group, of which there may be many", function()
  local ids = {}
  for index = 1, 300 do ids[index] = ("k%03d"):format(index) end
  local header = asked {
    policies = { "quotes" }, targets = { "some/m" }, keys = { some = ids },
    texts = { quotes = text [[
      self:note("some-k299 and some-k300")
      return request:refuse(400, "no")]] } }
  test.match(header, "%[key k299%] and %[key k300%]")
  test.equal(header:find("some-k", 1, true), nil)
end)

-- ------------------------------------------------------------------------------------

test("times and states are told as people read them", function()
  test.equal({ trace.time(0), trace.time(0.0004), trace.time(0.25), trace.time(0.9996),
    trace.time(1.5), trace.time(600) }, { "0 ms", "0 ms", "250 ms", "1 s", "1.5 s", "600 s" })
  local world = test.world { policies = {}, targets = { "a/m" }, keys = { a = { "k1" } } }
  local key = world:key("a", "k1")
  local function state() return trace.state(object.inside(catalog.Key, key).key.health:view()) end
  test.equal(state(), "ready")
  key:disable("refused")
  test.equal(state(), "disabled (refused)")
end)

test("a race: where each leg begins, and which one was lost", function()
  local lines = story {
    policies = { { "hedge", { after = 1, share = 1 } }, "priority_failover" },
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "slow", after = 9 }, ["b/m"] = { text = "quick" } },
  }
  lines[6] = lines[6]:gsub(" %[.*%]$", "")
  test.equal(lines, {
    "request 1: 200",
    "  hedge begins leg 1",
    "  priority_failover takes a/m",
    "    attempt 1: a/m with key k1: lost after 1 s",
    "  hedge begins leg 2",
    "  nothing from a/m after 1.000 s: asking b/m, too",
    "  priority_failover takes b/m",
    "    attempt 2: b/m with key k1: 200",
  })
end)
