local test = require "neap.test"

local EMPTY = { text = "" }

local function ask(answers, request)
  return test.run {
    policies = { "priority_failover", "cooler_retry" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = answers, ["b/m"] = { text = "from b" } }, request = request,
  }
end

--- What an attempt asked for, as JSON.
local function temperature(sent)
  for index = 1, #sent.edits, 2 do
    if sent.edits[index] == "temperature" then return sent.edits[index + 1] end
  end
end

test("an answer that is not empty passes", function()
  local run = ask { { text = "hi" } }
  test.equal({ run.text, temperature(run.sent[1]) }, { "hi", nil })
end)

test("an empty one is asked for again, each time at half the temperature", function()
  local run = ask({ EMPTY, EMPTY, { text = "hi" } }, { temperature = 0.8 })
  test.equal(run.text, "hi")
  test.equal({ temperature(run.sent[2]), temperature(run.sent[3]) }, { "0.4", "0.2" })
end)

test("a request without a temperature counts as 1", function()
  test.equal(temperature(ask({ EMPTY, { text = "hi" } }).sent[2]), "0.5")
end)

test("after so many times the next target is asked, with what the client wanted", function()
  local run = ask({ EMPTY, EMPTY, EMPTY }, { temperature = 0.8 })
  test.equal(run.text, "from b")
  test.equal(temperature(run.sent[4]), nil)
end)

test("any other failure is none of its business", function()
  test.equal(ask({ { status = 500 } }).tried, { "a/m 500", "b/m 200" })
end)
