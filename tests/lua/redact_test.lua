-- neap.redact: what others say, without our secret.
local redact = require "neap.redact"
local test = require "neap.tap"

test("each occurrence goes, and nothing else", function()
  local text = redact.text
  test.equal(text("no key here", "sk-1"), "no key here")
  test.equal(text("sk-1", "sk-1"), "…")
  test.equal(text("bad sk-1, sk-1sk-1 or sk-", "sk-1"), "bad …, …… or sk-")
  test.equal(text("a.b and a+b", "a.b"), "… and a+b", "the secret is no pattern")
  test.equal(text("…", "…"), "…", "what stands in its place is not looked at again")
  test.equal(text("bad sk-1", "sk-1", "[key 1]"), "bad [key 1]")
  test.equal(text("all", nil), "all")
  test.equal(text("all", ""), "all")
end)

test("of headers the values alone", function()
  test.equal(redact.headers({ "sk-1", "of sk-1", "other", "value" }, "sk-1"),
    { "sk-1", "of …", "other", "value" })
end)
