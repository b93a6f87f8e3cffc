-- The helpers that policies share: policies/lib/messages.lua and policies/lib/targets.lua.
local test = require "neap.test"

local messages = test.lib "messages"
local targets = test.lib "targets"

--- Names of targets, in a word.
local function names(list)
  local texts = {}
  for index, target in ipairs(list) do texts[index] = target.name end
  return table.concat(texts, " ")
end

local function three()
  local world, list = test.world { policies = {}, targets = { "a/m", "b/m", "a/n" } }, {}
  for index, name in ipairs { "a/m", "b/m", "a/n" } do list[index] = world:target(name) end
  return list
end

test("targets: named in full, by their provider, or by their model", function()
  for name, want in pairs { ["a/n"] = "a/n", ["a"] = "a/m a/n", ["m"] = "a/m b/m", ["x"] = "" } do
    local named, others = targets.split(three(), { name })
    test.equal(names(named), want, name)
    test.equal(#named + #others, 3)
  end
end)

test("targets: first and last keep all, and the order of each part", function()
  test.equal(names(targets.first(three(), { "b", "a/n" })), "b/m a/n a/m")
  test.equal(names(targets.last(three(), { "a" })), "b/m a/m a/n")
  test.equal(names(targets.first(three(), {})), "a/m b/m a/n")
end)

test("messages: the text of a message of any shape", function()
  test.equal(messages.text { content = "hi" }, "hi")
  test.equal(messages.text { content = { { text = "one" }, { type = "image_url" }, 7,
    { text = "two" } } }, "one\ntwo")
  for _, message in ipairs { 7, "text", {}, { content = 7 }, { content = { 7 } } } do
    test.equal(messages.text(message), "")
  end
  test.equal(messages.text(nil), "")
end)

test("messages: a body that cannot be read has none", function()
  for _, json in pairs {
    function() error("the body is longer than 1 MiB") end,
    function() return {} end,
    function() return { messages = 7 } end,
  } do
    local request = { json = json }
    test.equal({ messages.of(request), messages.last(request) }, { {}, "" })
    test.ok(not messages.has_part(request, "image_url"))
  end
end)

test("messages: the last one, and a part of any", function()
  local request = { json = function()
    return { messages = { { content = { { type = "image_url" } } }, { content = "and now?" } } }
  end }
  test.equal(messages.last(request), "and now?")
  test.ok(messages.has_part(request, "image_url"))
  test.ok(not messages.has_part(request, "input_audio"))
end)
