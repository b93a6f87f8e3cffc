local beginning = require "neap.json_beginning"
local json = require "neap.json"
local test = require "neap.tap"

test("a document that is cut anywhere gives a document, with what there is of it", function()
  local whole = "{\"id\" : \"a\\\"}\", \"list\":[1,{\"x\":[]},\"y\\\\\"], \"n\":-1.5e3,"
    .. " \"message\":{\"role\":\"r\","
    .. "\"content\":\"h\\u00e9 \\ud83d\\ude00 \195\169 {[,\"},\"end\":null}"
  for size = 1, #whole do
    local made = beginning(whole:sub(1, size))
    local document, problem = json.decode(made)
    test.ok(document, ("cut at %d: %s: %s"):format(size, made, problem or ""))
    if size > 14 then test.equal(document.id, "a\"}") end
  end
  test.equal(beginning(whole), whole)
end)

test("a text that is a value is kept as far as it goes", function()
  for text, want in pairs {
    ["{\"a\":\"hel"] = "{\"a\":\"hel\"}", ["{\"a\":[\"x\",\"y"] = "{\"a\":[\"x\",\"y\"]}",
    ["{\"a\": \"x\\"] = "{\"a\": \"x\"}", ["{\"a\":\"x\\u00e"] = "{\"a\":\"x\"}",
    ["{\"a\":\"x\\ud83d"] = "{\"a\":\"x\"}", ["{\"a\":\"x\195"] = "{\"a\":\"x\"}",
    ["{\"a\":\"\\\\"] = "{\"a\":\"\\\\\"}",
  } do
    test.equal(beginning(text), want)
  end
end)

test("a member that is incomplete is left out", function()
  for text, want in pairs {
    ["{\"a\":1,\"na"] = "{\"a\":1}", ["{\"a\":1,\"b\":tr"] = "{\"a\":1}",
    ["{\"a\":{\"b\":2,\"c\":"] = "{\"a\":{\"b\":2}}", ["[1,[2,3"] = "[1,[2]]",
    ["{\"a\":{\"b\":2}"] = "{\"a\":{\"b\":2}}", ["{\"a\":1"] = "{}", ["{"] = "{}",
  } do
    test.equal(beginning(text), want)
  end
end)

test("a text of nothing but marks ends the search", function()
  for _, mark in ipairs { "[", "]", "{", ",", "\"", "\"\\" } do
    test.equal(type(beginning(mark:rep(100000))), "string", mark)
  end
end)
