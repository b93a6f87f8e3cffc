local test = require "neap.test"

local STRONG = { text = "Forty-two." }

local function ask(cheap, settings)
  settings = settings or { strong = { "a/large" } }
  return test.run {
    policies = { { "cheap_then_strong", settings }, "priority_failover" },
    targets  = { { "a/small", priority = 1 }, { "a/large", priority = 2 } },
    upstream = { ["a/small"] = cheap, ["a/large"] = STRONG },
  }
end

test("a cheap answer that knows is the answer", function()
  local run = ask { text = "It is blue." }
  test.equal({ run.text, run.tried }, { "It is blue.", { "a/small 200" } })
end)

test("one that gives up is thrown away, and the strong target asked", function()
  local run = ask { text = "Sorry, I don't know that." }
  test.equal({ run.text, run.tried }, { "Forty-two.", { "a/small 200", "a/large 200" } })
  test.equal(run.notes, { "the cheap answer was no good: i don't know" })
end)

test("so is one that streams, before its first byte goes out", function()
  local run = ask { stream = { "I'm ", { "not sure.", at = 1 } } }
  test.equal({ run.text, run.seconds }, { "Forty-two.", 1 })
end)

test("giving up late in a long answer does not count", function()
  local text = ("Well. "):rep(50) .. "I don't know."
  test.equal(ask({ text = text }).text, text)
end)

test("a failure counts as giving up, the client's own mistake does not", function()
  test.equal(ask({ status = 503 }).text, "Forty-two.")
  test.equal(ask({ failure = "timeout" }).text, "Forty-two.")
  test.equal(ask({ failure = "tls" }).text, "Forty-two.")
  test.equal(ask({ status = 401 }).text, "Forty-two.")
  test.equal(ask({ status = 400 }).status, 400)
end)

test("without strong targets, or with nothing else, it passes everything on", function()
  test.equal(ask({ text = "I don't know." }, {}).text, "I don't know.")
  test.equal(ask({ text = "I don't know." }, { strong = { "a" } }).text, "I don't know.")
end)
