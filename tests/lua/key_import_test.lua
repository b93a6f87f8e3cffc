require "neap.test"
local clock = require "neap.test.clock"
local host = require "neap.host"
local key_import = require "neap.key_import"
local key_verify = require "neap.key_verify"
local memory = require "neap.test.memory"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"

stand_in.use { memory = memory.new() }

local function states_of(import)
  local states = {}
  for index, line in ipairs(import.lines) do
    states[index] = ("%d %s %s"):format(line.line, line.tail, line.state)
  end
  return states
end

-- ------------------------------------------------------------------------------------
-- The text

test("one key per line, trimmed; blank lines are none", function()
  local import =
    key_import.read("\239\187\191  sk-0123456789abcdef \r\n\r\n\t\nsk-0123456789abcxyz")
  test.equal(states_of(import), { "1 …cdef new", "4 …cxyz new" })
  test.equal(import.fresh[1].secret, "sk-0123456789abcdef")
  test.equal(import.counts, { new = 2 })
end)

test("what stands twice, and what the pool has, is told", function()
  local import = key_import.read("sk-0123456789abcdef\nsk-0123456789abcxyz\nsk-0123456789abcdef\n"
    .. "sk-0123456789abcxyz", { known = function(secret)
    return secret:find("xyz$") and "silicon/7" or nil
  end })
  test.equal(states_of(import),
    { "1 …cdef new", "2 …cxyz known", "3 …cdef repeated", "4 …cxyz repeated" })
  test.equal(import.lines[2].why, "is in the pool already: silicon/7")
  test.equal(import.lines[3].why, "is the same as line 1")
  test.equal(import.counts, { new = 1, known = 1, repeated = 2 })
  test.equal(#import.fresh, 1)
end)

test("what is no key is told, and never shown", function()
  local import =
    key_import.read("short\nsk-01234567 89abcdef\nsk-0123456789ä0123\n" .. ("x"):rep(513))
  test.equal(import.counts, { malformed = 4 })
  test.equal(import.lines[1].tail, "…")
  test.match(import.lines[2].why, "one key per line")
end)

test("a short key shows nothing of itself", function()
  test.equal(key_import.tail("sk-012345678"), "…")
  test.equal(key_import.tail("sk-0123456789abc"), "…9abc")
end)

test("a paste is bounded, and one of nothing refused", function()
  local keys = {}
  for index = 1, 10001 do keys[index] = ("sk-0123456789-%d"):format(index) end
  local _, problem = key_import.read(table.concat(keys, "\n"))
  test.equal(problem, "the text has more than 10000 keys")
  keys[10001] = nil
  local pauses = 0
  local import = key_import.read(table.concat(keys, "\n"),
    { pause = function() pauses = pauses + 1 end })
  test.equal(import.counts, { new = 10000 })
  test.equal(pauses, 10)
  test.equal({ key_import.read(" \n \r\n") }, { nil, "the text holds no key" })
  test.match(select(2, key_import.read((" "):rep(4 * 1024 * 1024 + 1))), "longer than")
end)

test("a verdict takes the place of `new`", function()
  local import = key_import.read("sk-0123456789abcdef\nsk-0123456789abcxyz")
  key_import.note(import, import.fresh[2], { state = "good", balance = 4 })
  key_import.note(import, import.fresh[1], { state = "refused", why = "401" })
  test.equal(import.counts, { good = 1, refused = 1 })
  test.equal(import.lines[2], { line = 2, tail = "…cxyz", state = "good", balance = 4 })
  for _, line in ipairs(import.lines) do
    for _, value in pairs(line) do test.ok(not tostring(value):find("sk%-")) end
  end
end)

-- ------------------------------------------------------------------------------------
-- The check of many

local GOOD, AWAY = { state = "good" }, { state = "unknown", is_passing = true }

--- Asks about `count` keys; answer(index, try) is a verdict, given after 0.1 s.
local function verify(count, answer, options)
  local list, tries, open, most, asked = {}, {}, 0, 0, 0
  for index = 1, count do list[index] = index end
  local began, verdicts = clock.time, nil
  clock.run { function()
    verdicts = key_verify.run(list, function(index)
      open, asked = open + 1, asked + 1
      most = math.max(most, open)
      tries[index] = (tries[index] or 0) + 1
      host.sleep(0.1)
      open = open - 1
      return answer(index, tries[index])
    end, options)
  end }
  local states = {}
  for _, verdict in ipairs(verdicts) do
    states[verdict.state] = (states[verdict.state] or 0) + 1
  end
  return states, { most = most, asked = asked, seconds = clock.time - began, verdicts = verdicts }
end

test("1,000 keys, twenty at once", function()
  local states, run = verify(1000, function() return GOOD end, { limit = 20 })
  test.equal(states, { good = 1000 })
  test.equal(run.most, 20)
  test.ok(run.seconds < 6, run.seconds)
end)

test("eight at once unless said otherwise, and never more than there are", function()
  test.equal(select(2, verify(50, function() return GOOD end)).most, 8)
  test.equal(select(2, verify(3, function() return GOOD end)).most, 3)
  test.equal(verify(0, function() return GOOD end), {})
end)

test("what says nothing is asked again, with growing pauses", function()
  local states, run = verify(1, function(_, try) return try == 3 and GOOD or AWAY end)
  test.equal(states, { good = 1 })
  test.ok(run.seconds > 0.3 + 2.2 and run.seconds < 0.4 + 3.8, run.seconds)
end)

test("three tries, and what is certain is asked once", function()
  local states, run = verify(2, function(index)
    return index == 1 and AWAY or { state = "refused" }
  end)
  test.equal(states, { unknown = 1, refused = 1 })
  test.equal(run.asked, 4)
end)

test("a limit slows all of them down", function()
  local states, run = verify(30, function(index, try)
    if index == 1 and try == 1 then return { state = "limited", is_passing = true, wait = 10 } end
    return GOOD
  end, { limit = 3 })
  test.equal(states, { good = 30 })
  test.ok(run.seconds > 7.5, run.seconds)
  test.ok(run.seconds < 15, run.seconds)
end)

test("a provider that asks for an hour is not waited for that long", function()
  local _, run = verify(1, function()
    return { state = "limited", is_passing = true, wait = 3600 }
  end)
  test.ok(run.seconds < 80, run.seconds)
end)

test("a provider that is away is not asked about every key", function()
  local states, run = verify(1000, function() return AWAY end)
  test.equal(states, { unknown = 1000 })
  test.ok(run.asked <= 24 + 8, run.asked)
  test.match(run.verdicts[1000].why, "^not asked")
end)

test("an outage in the middle leaves what was learned", function()
  local states = verify(200, function(index) return index > 100 and AWAY or GOOD end)
  test.equal(states, { good = 100, unknown = 100 })
end)

test("it stops when it is told to", function()
  local done = 0
  local states, run = verify(100, function() return GOOD end, {
    is_over = function() return done >= 10 end,
    on_verdict = function(_, _, count) done = count end,
  })
  test.ok(run.asked < 20, run.asked)
  test.equal(states.good, run.asked)
end)

test("what asking raises is raised once the others are through", function()
  local ended = 0
  local message = test.raises(function()
    verify(10, function(index)
      ended = ended + 1
      if index == 2 then error("a mistake", 0) end
      return GOOD
    end)
  end, "a mistake")
  test.equal(message, "a mistake")
  test.ok(ended < 10, ended)
end)

return test.finish()
