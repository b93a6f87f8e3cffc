-- Which conversation a request belongs to.
local host = require "neap.host"
local json = require "neap.json"
local openai = require "neap.dialect.openai"
local test = require "neap.tap"

local conversation = require "neap.conversation"

local memory, clock, made = {}, 0, 0

function host.recent_key(scope, text) return scope .. "\1" .. text end

function host.recent_get(key)
  local entry = memory[key]
  return entry and entry.ends > clock and entry.value or nil
end

function host.recent_put(key, value, seconds)
  memory[key] = { value = value, ends = clock + seconds }
end

local function handle_of(body, headers)
  local handle = {}
  function handle.header(_, name) return headers and headers[name] end
  function handle.member(_, name)
    local raw, kind = json.find(body, name)
    return raw, kind, raw and #raw
  end
  function handle.last(_, name, member, text, part, most, head)
    local found, index = {}, 1
    local list, kind = json.find(body, name)
    if kind ~= "array" or #list > most then return end
    while true do
      local raw = json.find(list, index)
      if not raw then break end
      if json.find(raw, member) == json.encode(text) then
        local value, value_kind = json.find(raw, part)
        if value_kind == "string" then value = value:sub(2, -2) end
        table.insert(found, 1, { value and value:sub(1, head) or "", value_kind, #(value or "") })
      end
      index = index + 1
    end
    local last, before = found[1] or {}, found[2] or {}
    return last[1], last[2], last[3], before[1], before[2], before[3]
  end
  return handle
end

--- Asks in a conversation: roles by turns, the user first; the last is the user's.
local function ask(texts, options)
  options = options or {}
  local messages = json.array { { role = "system", content = "You are terse." } }
  for index, text in ipairs(texts) do
    messages[index + 1] = { role = index % 2 == 1 and "user" or "assistant", content = text }
  end
  made = made + 1
  local body = options.body or json.encode { model = "m", messages = messages,
    metadata = options.metadata }
  return conversation.of({ handle = handle_of(body, options.headers), dialect = openai,
    token = options.token and { name = options.token }, record = { uuid = "new-" .. made } },
    not options.is_explicit)
end

local function fresh(id) return id == "new-" .. made end

local function forget() memory, clock = {}, 0 end

test("what the client says counts", function()
  forget()
  test.equal(ask({ "a" }, { headers = { ["x-conversation-id"] = "mine:1" } }), "mine:1")
  test.equal(ask({ "a" }, { metadata = { conversation_id = "meta.2" } }), "meta.2")
  test.equal(ask({ "a" }, { metadata = { conversation_id = "meta" },
    headers = { ["x-conversation-id"] = "head" } }), "head")
end)

test("what is no id is not taken", function()
  for _, odd in ipairs { "", "two words", "ü", ("x"):rep(129), "a\nb" } do
    forget()
    test.ok(fresh(ask({ "a" }, { headers = { ["x-conversation-id"] = odd } })), odd)
    test.ok(fresh(ask({ "b" }, { metadata = { conversation_id = odd } })), odd)
  end
  forget()
  test.ok(fresh(ask({ "c" }, { metadata = { conversation_id = 7 } })))
  test.ok(fresh(ask({ "d" }, { metadata = json.null })))
end)

test("a conversation that goes on keeps its id", function()
  forget()
  local id = ask { "Where is the harbour?" }
  test.ok(fresh(id))
  test.equal(ask { "Where is the harbour?", "East.", "And the station?" }, id)
  test.equal(ask { "Where is the harbour?", "East.", "And the station?", "West.", "Thanks!" }, id)
end)

test("what is sent again stays where it was", function()
  forget()
  local id = ask { "Where is the harbour?" }
  test.equal(ask { "Where is the harbour?" }, id)
  test.equal(ask { "Where is the harbour?", "East.", "Why?" }, id)
  test.equal(ask { "Where is the harbour?", "West.", "Why?" }, id, "another answer to the same")
end)

test("the same word in two conversations: what stands before it says which", function()
  forget()
  local one, two = ask { "Tell me of ships" }, ask { "Tell me of trains" }
  test.ok(one ~= two)
  test.equal(ask { "Tell me of ships", "…", "more" }, one)
  test.equal(ask { "Tell me of trains", "…", "more" }, two)
end)

test("twenty characters are enough, fewer are not", function()
  forget()
  local id = ask { "Übersetze diesen Satz: one" }
  test.equal(ask { "Übersetze diesen Satz: two" }, id)
  test.ok(fresh(ask { "Übersetze diesen Text: two" }))
  test.ok(fresh(ask { "请问今天上海的天气怎么样？" }))
  test.ok(fresh(ask { "请问今天上海的天气如何？" }), "their first twenty bytes are the same")
  test.ok(fresh(ask { "hi there" }))
  test.ok(fresh(ask { "hi there, you" }))
end)

test("after half an hour it is forgotten; each request begins it anew", function()
  forget()
  local id = ask { "Where is the harbour?" }
  clock = 1799
  test.equal(ask { "Where is the harbour?" }, id)
  clock = 1799 + 1799
  test.equal(ask { "Where is the harbour?" }, id)
  clock = 1799 + 1799 + 1800
  test.ok(fresh(ask { "Where is the harbour?" }))
end)

test("no token sees another's", function()
  forget()
  local id = ask({ "Where is the harbour?" }, { token = "a" })
  test.ok(fresh(ask({ "Where is the harbour?" }, { token = "b" })))
  test.ok(fresh(ask({ "Where is the harbour?" })))
  test.equal(ask({ "Where is the harbour?" }, { token = "a" }), id)
end)

test("without guesses each request is a conversation of its own", function()
  forget()
  ask({ "Where is the harbour?" }, { is_explicit = true })
  test.ok(fresh(ask({ "Where is the harbour?" }, { is_explicit = true })))
  test.ok(fresh(ask({ "Where is the harbour?" })), "and nothing is remembered")
end)

test("texts are compared as they are meant: escapes, parts, tools", function()
  forget()
  local function body(content, more)
    local said = "{\"content\":" .. content .. ",\"role\":\"user\"}"
    return "{\"messages\":[" .. said .. (more or "") .. "]}"
  end
  local id = ask({}, { body = body [["Grüße\n\"x\""]] })
  test.equal(ask({}, { body = body [["Gr\u00fc\u00dfe\u000a\"x\""]] }), id)
  test.equal(ask({}, { body = body [==[[{"type":"image_url","image_url":{"url":"data:"}},
    {"type":"text","text":"Gr\u00fc\u00dfe\n"},{"type":"text","text":"\"x\""}]]==] }), id)
  test.equal(ask({}, { body = body([["Grüße\n\"x\""]],
    [[,{"role":"assistant","tool_calls":[{}]},{"role":"tool","content":"user"}]]) }), id)
end)

test("long texts differ by more than their beginning", function()
  forget()
  local text = ("x"):rep(5000)
  local id = ask { text }
  test.equal(ask { text, "…", "go on" }, id)
  forget()
  ask { text }
  for name in pairs(memory) do test.ok(#name < 4200, #name) end
end)

test("odd bodies have a conversation, too", function()
  forget()
  for _, body in ipairs { "{}", "{\"messages\":7}", "{\"messages\":[]}", "{\"messages\":[7]}",
    "{\"messages\":[{\"role\":\"user\"}]}", "{\"messages\":[{\"role\":\"user\",\"content\":null}]}",
    "{\"messages\":[{\"role\":\"user\",\"content\":[7,{}]}]}" } do
    test.ok(fresh(ask({}, { body = body })), body)
  end
  test.equal(next(memory), nil)
end)
