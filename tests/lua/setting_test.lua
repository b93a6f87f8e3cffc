local setting = require "neap.setting"
local test = require "neap.tap"

local function value_of(schema, given)
  local compiled, errors = setting.compile({ it = schema }, { it = given })
  return compiled and compiled.it, errors and errors[1].text
end

local function refuses(schema, given, pattern)
  local value, problem = value_of(schema, given)
  test.equal(value, nil)
  test.match(problem, pattern)
  test.match(problem, "^it ")
end

test("defaults fill in what is not given", function()
  local compiled = setting.compile({
    tries = setting.integer { default = 2, min = 1 },
    wait = setting.seconds { default = 0.5 },
    name = setting.text(),
  }, { tries = 3 })
  test.equal({ compiled.tries, compiled.wait, compiled.name }, { 3, 0.5, nil })
end)

test("without anything given all defaults count", function()
  test.equal(setting.compile({ on = setting.boolean { default = true } }).on, true)
end)

test("numbers: kinds and ranges", function()
  test.equal(value_of(setting.integer { min = 1, max = 3 }, 3), 3)
  refuses(setting.integer { min = 1, max = 3 }, 4, "whole number from 1 to 3, not 4")
  refuses(setting.integer { min = 1 }, 1.5, "whole number of 1 or more, not 1.5")
  refuses(setting.integer(), "many", "not a text")
  refuses(setting.number { max = 1 }, 2, "of 1 or less")
  refuses(setting.number(), 0 / 0, "must be a number")
  refuses(setting.number(), math.huge, "must be a number")
  refuses(setting.seconds(), -1, "seconds of 0 or more, not %-1")
  refuses(setting.seconds { min = 1 }, 0, "seconds of 1 or more, not 0")
  refuses(setting.seconds { min = 1, max = 5 }, 6, "seconds from 1 to 5, not 6")
  refuses(setting.seconds { max = 5 }, "x", "seconds from 0 to 5, not a text")
  test.equal(value_of(setting.seconds(), 0.25), 0.25)
end)

test("off: a default of false may be given as false", function()
  local schema = setting.integer { default = false, min = 1 }
  test.equal(value_of(schema, nil), false)
  test.equal(value_of(schema, false), false)
  test.equal(value_of(schema, 5), 5)
  refuses(setting.integer { default = 1 }, false, "not false")
end)

test("text, words, choice, boolean", function()
  refuses(setting.text { min = 3 }, "ab", "of 3 bytes or more")
  test.equal(value_of(setting.words(), "alone"), { "alone" })
  test.equal(value_of(setting.words(), { "a", "b" }), { "a", "b" })
  refuses(setting.words(), { "a", "" }, "number 2")
  refuses(setting.words(), { a = "b" }, "list of texts")
  test.equal(value_of(setting.choice { values = { "x", "y" } }, "y"), "y")
  refuses(setting.choice { values = { "x", "y" } }, "z", "\"x\", \"y\"")
  refuses(setting.boolean(), 1, "true or false")
end)

test("a wrong text is not shown: it may be a secret", function()
  local _, problem = value_of(setting.integer(), "sk-secret")
  test.ok(not problem:find("sk-secret", 1, true))
end)

test("list and map hold settings", function()
  local hours = setting.list { of = setting.integer { min = 0, max = 23 } }
  test.equal(value_of(hours, { 1, 2 }), { 1, 2 })
  refuses(hours, { 1, 24 }, "number 2 must be a whole number")
  local map = setting.map { of = setting.number() }
  test.equal(value_of(map, { a = 1 }).a, 1)
  refuses(map, { a = "x" }, "at a must be a number")
  refuses(map, { 1 }, "names")
end)

test("hours cover spans of the week", function()
  local hours = value_of(setting.hours(), { "mon-fri 22:00-06:00", "Sun" })
  local function covers(weekday, hour)
    return hours:covers { weekday = weekday, hour = hour, minute = 0 }
  end
  test.equal({ covers(1, 22), covers(1, 12), covers(6, 5), covers(6, 22), covers(7, 12) },
    { true, false, true, false, true })
  test.ok(value_of(setting.hours(), "00:00-24:00"):covers { weekday = 1, hour = 23, minute = 59 })
  test.raises(function() hours.spans = {} end, "read%-only")
end)

test("hours name what would be right", function()
  refuses(setting.hours(), 8, "must be hours such as")
  refuses(setting.hours(), { 8 }, "number 1 is not")
  refuses(setting.hours(), "8-18", "is no time: \"08:30%-18:00\"")
  refuses(setting.hours(), "24:00-06:00", "from 00:00 to 24:00")
  refuses(setting.hours(), "08:60-09:00", "from 00:00 to 24:00")
  refuses(setting.hours(), "mon-", "names no day")
  refuses(setting.hours(), "mon-fr 08:00-09:00", "\"mon%-fr\" names no day")
  refuses(setting.hours(), "", "is no time")
end)

test("a zone is one of the system's, or an offset", function()
  test.equal(value_of(setting.zone(), "Europe/Berlin"), "Europe/Berlin")
  test.equal(value_of(setting.zone(), "-03:30"), "-03:30")
  refuses(setting.zone(), "Berlin", "there is no zone \"Berlin\"")
  refuses(setting.zone(), "8", "is no zone")
  refuses(setting.zone(), 8, "must be a zone such as")
end)

test("outcomes cover statuses, classes and failures", function()
  local outcomes = value_of(setting.outcomes(), { 429, "5xx", "timeout" })
  test.ok(outcomes:covers { status = 429 })
  test.ok(outcomes:covers { status = 503 })
  test.ok(outcomes:covers { failure = "timeout" })
  test.ok(not outcomes:covers { status = 200 })
  test.ok(not outcomes:covers { status = 400 })
  test.ok(not outcomes:covers { failure = "connect" })
  test.ok(not outcomes:covers { failure = "exhausted" })
end)

test("outcomes name what would be right", function()
  refuses(setting.outcomes(), { "Timeout" }, "did you mean timeout%?$")
  refuses(setting.outcomes(), { "nothing like it" }, "tls, statuses and classes")
  refuses(setting.outcomes(), { "exhausted" }, "exhausted.*budget")
  refuses(setting.outcomes(), { "tiemout" }, "did you mean timeout%?")
  refuses(setting.outcomes(), { 42 }, "100 to 599")
  refuses(setting.outcomes(), "5xx", "must be a list")
end)

test("unknown settings are refused, all errors at once", function()
  local compiled, errors = setting.compile({ tries = setting.integer() },
    { tires = 2, tries = "x" })
  test.equal(compiled, nil)
  test.equal(#errors, 2)
  test.equal(errors[1].setting, "tries")
  test.match(errors[2].text, "unknown setting tires: did you mean tries%?")
  local _, others = setting.compile({}, { a = 1 })
  test.match(others[1].text, "has no settings")
end)

test("what was compiled is read-only", function()
  local compiled = setting.compile({
    words = setting.words { default = { "a" } }, on = setting.outcomes { default = { 500 } },
  })
  test.raises(function() compiled.words = 1 end, "read%-only")
  test.raises(function() compiled.words[2] = "b" end, "read%-only")
  test.raises(function() compiled.on.failures = {} end, "read%-only")
  test.equal(getmetatable(compiled), false)
end)

test("a default is compiled anew for each use", function()
  local schema = { words = setting.words { default = { "a" } } }
  test.ok(setting.compile(schema).words ~= setting.compile(schema).words)
end)

test("a wrong schema raises where it is written", function()
  test.raises(function() setting.integer { defualt = 1 } end, "setting_test.*did you mean default")
  test.raises(function() setting.integer { default = "x" } end, "default of setting.integer must")
  test.raises(function() setting.choice {} end, "needs values")
  test.raises(function() setting.list { of = 1 } end, "needs of")
  local schema = setting.integer { help = "x" }
  test.raises(function() schema.help = "y" end, "read%-only")
  test.equal({ schema.kind, schema.help }, { "integer", "x" })
end)

return test.finish()
