-- Which conversation a request belongs to: what the client says, and what is asked of the host
-- where it says nothing. How the host guesses is in tests/c/conversation_test.c.
local openai = require "neap.dialect.openai"
local host = require "neap.host"
local test = require "neap.tap"

local conversation = require "neap.conversation"

--- Asks with these headers and this id in the body. guessed: what the host knows.
local function ask(options)
  local asked
  function host.request.header(_, name) return options.headers and options.headers[name] end
  function host.request.guess(_, ...)
    asked = { ... }
    return options.guessed
  end
  local handle = { uuid = function() return "new" end }
  local id, told = conversation.of({ handle = handle, told_conversation = options.body,
    token = options.token and { name = options.token } }, not options.is_explicit)
  return { id, told }, asked
end

test("what the client says counts", function()
  local header = { ["x-conversation-id"] = "mine:1" }
  test.equal(ask { headers = header, guessed = "other" }, { "mine:1", "mine:1" })
  test.equal(ask { body = "meta.2", guessed = "other" }, { "meta.2", "meta.2" })
  test.equal(ask { body = "meta", headers = header }, { "mine:1", "mine:1" })
  local _, asked = ask { body = "meta" }
  test.equal(asked, nil)
end)

test("what is no id is not taken", function()
  for _, odd in ipairs { "", "two words", "ü", ("x"):rep(129), "a\nb" } do
    test.equal(ask { headers = { ["x-conversation-id"] = odd } }, { "new" }, odd)
    test.equal(ask { body = odd }, { "new" }, odd)
    test.equal(ask { body = odd, guessed = "known" }, { "known" }, odd)
    test.equal(ask { headers = { ["x-conversation-id"] = odd }, body = "meta" },
      { "meta", "meta" }, odd)
  end
  test.equal(ask { body = ("x"):rep(128) }[1], ("x"):rep(128))
end)

test("the id in the body is the text in its metadata", function()
  local function told(metadata)
    local _, _, _, id = openai.asked:of("{\"metadata\":" .. metadata .. "}")
    return id
  end
  test.equal(told "{\"conversation_id\":\"meta.2\"}", "meta.2")
  test.equal(told "{\"conversation_id\":\"a\\u002db\"}", "a-b")
  for _, odd in ipairs { "{\"conversation_id\":7}", "null", "7", "{}", "[\"conversation_id\"]" } do
    test.equal(told(odd), nil, odd)
  end
end)

test("where it says nothing, the host guesses for half an hour, within the token", function()
  local id, asked = ask { guessed = "known", token = "a" }
  test.equal(id, { "known" })
  test.equal(asked, { "a", 1800 })
  id, asked = ask {}
  test.equal(id, { "new" })
  test.equal(asked[1], "")
end)

test("without guesses each request is a conversation of its own", function()
  local id, asked = ask { guessed = "known", is_explicit = true }
  test.equal(id, { "new" })
  test.equal(asked, nil)
end)
