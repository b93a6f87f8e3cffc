local test = require "neap.test"

local function say(request)
  return test.run { policies = { "echo" }, request = request }
end

test("says back what the user said", function()
  local run = say { messages = "Hello there" }
  test.equal({ run.status, run.text }, { 200, "Hello there" })
  test.equal(run.tried, {})
end)

test("streams if asked", function()
  local run = say { messages = "Hello", stream = true }
  test.equal(run.text, "Hello")
  test.equal(run.headers["content-type"], "text/event-stream")
  test.match(run.body, "data: %[DONE%]\n\n$")
end)

test("takes the last of several messages, and its parts", function()
  local run = say { messages = {
    { role = "user", content = "first" },
    { role = "user", content = { { type = "text", text = "one" }, { type = "image_url" },
      { type = "text", text = "two" } } },
  } }
  test.equal(run.text, "one\ntwo")
end)

test("refuses what holds no message", function()
  test.equal(say { messages = {} }.status, 400)
  test.equal(say { messages = 7 }.status, 400)
end)

test("a message without text is an empty answer, not an error", function()
  local run = say { messages = { { role = "assistant" } } }
  test.equal({ run.status, run.error }, { 200, nil })
end)
