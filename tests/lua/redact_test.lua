-- neap.redact: what others say, without our secret.
local redact = require "neap.redact"
local test = require "neap.tap"

test("each occurrence goes, and nothing else", function()
  local text = redact.text
  test.equal(text("no key here", "sk-10000"), "no key here")
  test.equal(text("sk-10000", "sk-10000"), "…")
  test.equal(text("bad sk-10000, sk-10000sk-10000 or sk-", "sk-10000"), "bad …, …… or sk-")
  test.equal(text("a.b.c.d. and a+b.c.d.", "a.b.c.d."), "… and a+b.c.d.", "it is no pattern")
  test.equal(text("…………", "…………"), "…", "what stands in its place is not looked at again")
  test.equal(text("bad sk-10000", "sk-10000", "[key 1]"), "bad [key 1]")
  test.equal(text("all", nil), "all")
  test.equal(text("all", ""), "all")
  test.equal(text("ollama is busy", "ollama"), "ollama is busy", "a word, not a secret")
end)

test("of headers the values alone", function()
  test.equal(redact.headers({ "sk-10000", "of sk-10000", "other", "value" }, "sk-10000"),
    { "sk-10000", "of …", "other", "value" })
end)
