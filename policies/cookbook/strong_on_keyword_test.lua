local test = require "neap.test"

local function ask(messages, upstream)
  return test.run {
    policies = { { "strong_on_keyword", { strong = { "a/large" } } }, "priority_failover" },
    targets  = { "a/large", "a/small" },
    upstream = upstream or { ["a/small"] = { text = "small" }, ["a/large"] = { text = "large" } },
    request  = { messages = messages },
  }
end

test("a plain question goes to the other targets", function()
  test.equal(ask("What is the time?").text, "small")
end)

test("one with a keyword goes to the strong ones, in any case", function()
  local run = ask("Think HARD: is 91 a prime?")
  test.equal({ run.text, run.notes }, { "large", { "the question says \"think hard\"" } })
end)

test("only the last message counts", function()
  test.equal(ask({
    { role = "user", content = "Prove that 7 is a prime." },
    { role = "assistant", content = "Done." },
    { role = "user", content = { { type = "text", text = "Thanks!" } } },
  }).text, "small")
end)

test("it is a preference: where one fails, the other answers", function()
  test.equal(ask("Think hard.", { ["a/large"] = { status = 500 },
    ["a/small"] = { text = "small" } }).text, "small")
end)

test("messages of any shape are passed on", function()
  for _, messages in ipairs { {}, 7, { 7 }, { { role = "user", content = { 7 } } } } do
    test.equal(ask(messages).text, "small")
  end
end)
