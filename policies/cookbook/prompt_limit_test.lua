local test = require "neap.test"

local function ask(characters)
  return test.run {
    policies = { { "prompt_limit", { tokens = 1000 } } }, targets = { "a/m" },
    upstream = { ["a/m"] = { text = "hi" } }, request = { messages = ("x"):rep(characters) },
  }
end

test("a prompt below the limit passes", function()
  test.equal(ask(3900).text, "hi")
end)

test("one above it is refused, and nobody is asked", function()
  local run = ask(4000)
  test.equal({ run.status, run.tried }, { 413, {} })
  test.match(run.body, "about 10%d%d tokens are too many: at most 1000")
end)

test("one that is too long to be decoded is refused all the same", function()
  test.equal(ask(2 * 1024 * 1024).status, 413)
end)
