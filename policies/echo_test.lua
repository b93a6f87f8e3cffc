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

test("says so when nothing was said, whatever shape that has", function()
  for _, messages in ipairs { {}, 7, { 7 }, { { role = "user" } },
    { { role = "user", content = { 7 } } } } do
    local run = say { messages = messages }
    test.equal({ run.text, run.error }, { "(nothing was said)", nil })
  end
end)

test("a body of more than 1 MiB is refused, and no failure of the policy", function()
  local run = say { messages = ("x"):rep(1024 * 1024) }
  test.equal({ run.status, run.error }, { 413, nil })
end)
