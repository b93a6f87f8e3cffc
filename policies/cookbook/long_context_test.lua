local test = require "neap.test"

local function ask(characters, targets)
  return test.run {
    policies = { { "long_context", { long = { "b/long" }, tokens = 1000 } },
      "priority_failover" },
    targets  = targets or { "b/long", "a/m" },
    upstream = { ["a/m"] = { text = "short" }, ["b/long"] = { text = "long" } },
    request  = { messages = ("x"):rep(characters) },
  }
end

test("a short request goes to a target with a short context", function()
  test.equal(ask(100).text, "short")
end)

test("a long one goes to a target with a long one", function()
  local run = ask(5000)
  test.equal(run.text, "long")
  test.match(run.notes[1], "^about 12%d%d tokens$")
end)

test("a short one is taken by whoever is there, a long one is not", function()
  test.equal(ask(100, { "b/long" }).text, "long")
  local run = ask(5000, { "a/m" })
  test.equal({ run.status, run.tried }, { 413, {} })
end)

test("so is one of several MiB, without looking into it", function()
  test.equal(ask(3 * 1024 * 1024).text, "long")
end)
