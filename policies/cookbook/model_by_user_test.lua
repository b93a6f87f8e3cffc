local test = require "neap.test"

local function ask(token, targets)
  return test.run {
    policies = { { "model_by_user", { users = { kids = { "a/small" }, lab = { "b" } } } },
      "priority_failover" },
    targets  = targets or { "a/large", "a/small", "b/m" },
    upstream = { ["a/large"] = { text = "large" }, ["a/small"] = { text = "small" },
      ["b/m"] = { text = "lab" } },
    request  = { token = token },
  }
end

test("a token that is listed gets its own targets", function()
  test.equal({ ask("kids").text, ask("lab").text }, { "small", "lab" })
end)

test("others get the group's, and so does who has no token", function()
  test.equal({ ask("laptop").text, ask(nil).text }, { "large", "large" })
end)

test("its own targets are all that it gets", function()
  local run = ask("kids", { "a/large" })
  test.equal({ run.status, run.tried }, { 503, {} })
end)
