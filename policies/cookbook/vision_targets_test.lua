local test = require "neap.test"

local function ask(content, targets)
  return test.run {
    policies = { { "vision_targets", { vision = { "b/eyes" } } }, "priority_failover" },
    targets  = targets or { "b/eyes", "a/m" },
    upstream = { ["a/m"] = { text = "read" }, ["b/eyes"] = { text = "seen" } },
    request  = { messages = { { role = "user", content = content } } },
  }
end

local PICTURE = {
  { type = "text", text = "What is this?" },
  { type = "image_url", image_url = { url = "https://example.org/a.png" } },
}

test("a request with a picture goes to a model that can see", function()
  local run = ask(PICTURE)
  test.equal({ run.text, run.notes }, { "seen", { "has a picture" } })
end)

test("one without goes elsewhere first", function()
  test.equal(ask("What is this?").text, "read")
  test.equal(ask("What is this?", { "b/eyes" }).text, "seen")
end)

test("where nobody can see, the client is told so", function()
  local run = ask(PICTURE, { "a/m" })
  test.equal({ run.status, run.tried }, { 400, {} })
  test.match(run.body, "no model of this group takes pictures")
end)

test("content of any shape is passed on", function()
  for _, content in ipairs { 7, {}, { 7, "x" } } do test.equal(ask(content).text, "read") end
end)

test("a body that is too long to be looked into goes to a model that can see first", function()
  local long = { { type = "image_url", image_url = { url = ("A"):rep(1200 * 1024) } } }
  test.equal(ask(long, { "a/m", "b/eyes" }).text, "seen")
  test.equal(ask(long, { "a/m" }).text, "read")
end)
