-- The request as a policy sees it.
local test = require "neap.test"

local HEAD = "local policy = require \"neap.policy\"\nlocal json = require \"neap.json\"\n"
  .. "local mine = policy.define { summary = \"Of a test.\" }\n"
  .. "function mine:run(request, next)\n"

--- A run of one policy whose run has this body.
local function run(body, spec)
  local given = { policies = { "mine" }, texts = { mine = HEAD .. body .. "\nend\nreturn mine" },
    targets = { "a/m", "b/m" }, keys = { a = { "k1", "k2" } },
    upstream = { ["a/m"] = { text = "a" }, ["b/m"] = { text = "b" } } }
  for name, value in pairs(spec or {}) do given[name] = value end
  return test.run(given)
end

local function raises(pattern, body)
  local got = run(body)
  test.equal(got.status, 500)
  test.match(got.error, pattern)
  test.match(got.error, "^policies/mine%.lua:%d+: ")
end

test("what can be read", function()
  local got = run([[
    self:note("%s %s %s %s", request.group, request.model, request.stream, request.token)
    self:note("%s %s", request.headers["x-team"], request.conversation)
    self:note("%s %s %d %d", request.target.name, request.key.id, #request.targets, #request.keys)
    self:note("%s", request.tokens_estimate > 5)
    return next(request)]], { request = { model = "gpt", stream = true,
      headers = { ["X-Team"] = "red", ["X-Conversation-Id"] = "c7" } } })
  test.equal(got.notes, { "group gpt true nil", "red c7", "a/m k1 2 2", "true" })
end)

test("files and images that the body holds are no text", function()
  local function estimate_of(kilobytes)
    local url = "data:image/png;base64," .. ("A"):rep(kilobytes * 1024)
    local got = run("self:note(\"%d\", request.tokens_estimate) return next(request)", {
      request = { messages = { { role = "user", content = {
        { type = "image_url", image_url = { url = url } } } } } } })
    return tonumber(got.notes[1])
  end
  local small = estimate_of(100)
  test.ok(small > 1000 and small < 1100, ("%d tokens"):format(small))
  test.equal(estimate_of(1500), small)
end)

test("the conversation is the header's, else the one that the metadata name", function()
  local function conversation_of(request)
    return run("self:note(\"%s\", request.told_conversation) return next(request)",
      { request = request }).notes[1]
  end
  local metadata = { conversation_id = "m1", other = 1 }
  test.equal(conversation_of { headers = { ["X-Conversation-Id"] = "h1" }, metadata = metadata },
    "h1")
  test.equal(conversation_of { metadata = metadata }, "m1")
  test.equal(conversation_of { headers = { ["X-Conversation-Id"] = "" }, metadata = metadata },
    "m1")
  local odd_ones = { { conversation_id = 7 }, { conversation_id = "" }, "text", { "m1" }, {} }
  for _, odd in ipairs(odd_ones) do
    test.equal(conversation_of { metadata = odd }, "nil")
  end
  test.equal(conversation_of {}, "nil")
end)

test("the client's credentials are hidden", function()
  local got = run([[
    for _, name in ipairs { "authorization", "x-api-key", "x-goog-api-key", "cookie",
      "proxy-authorization" } do
      self:note("%s", request.headers[name])
    end
    return next(request)]], { request = { headers = { authorization = "Bearer secret",
      ["x-api-key"] = "secret", ["x-goog-api-key"] = "secret", cookie = "secret",
      ["proxy-authorization"] = "secret" } } })
  test.equal(got.notes, { "nil", "nil", "nil", "nil", "nil" })
end)

test("unknown names raise, with the policy's line", function()
  raises("a request has no \"modle\"", "return request.modle")
  raises("a request has no \"tagret\" to narrow",
    "return next(request:with { tagret = request.targets[1] })")
end)

test("it cannot be changed", function()
  raises("a request cannot be changed", "request.model = \"x\"")
  raises("a target cannot be changed", "request.targets[1].name = \"x\"")
  raises("a key cannot be changed", "request.keys[1].id = \"x\"")
end)

test("a list that was read is a copy", function()
  local got = run [[
    table.remove(request.targets)
    self:note("%d", #request.targets)
    return next(request)]]
  test.equal(got.notes, { "2" })
end)

test("with: values of the wrong kind raise", function()
  raises("target must be a target", "return next(request:with { target = \"a/m\" })")
  raises("keys must be a list of keys", "return next(request:with { keys = request.targets })")
  raises("timeout must be seconds", "return next(request:with { timeout = 0 })")
  raises("is no name of a header", "return next(request:with { headers = { [\"a b\"] = \"x\" } })")
  raises("without line ends", "return next(request:with { headers = { a = \"x\\r\\ny: z\" } })")
  raises("is no name of a member", "return next(request:with { set = { [\"a b\"] = 1 } })")
  raises("the member n: function cannot", "return next(request:with { set = { n = next } })")
  raises("the member n: not a number", "return next(request:with { set = { n = 0 / 0 } })")
  raises("with takes a table", "return next(request:with(7))")
end)

test("with: target, key, model and members decide what is sent", function()
  local got = run [[
    local target = request.targets[1]
    local inner = request:with { target = target }
    inner = inner:with { key = inner.keys[2], model = "other", set = { temperature = 0 } }
    return next(inner:with { set = { stop = json.null }, headers = { ["X-Extra"] = "1" } })]]
  test.equal(got.tried, { "a/m 200" })
  test.equal(got.keys, { "k2" })
  local edits = {}
  for index = 1, #got.sent[1].edits, 2 do
    edits[got.sent[1].edits[index]] = got.sent[1].edits[index + 1]
  end
  test.equal(edits, { model = "\"other\"", temperature = "0", stop = "null" })
  local headers = table.concat(got.sent[1].headers, "\n")
  test.match(headers, "X%-Extra: 1")
  test.match(headers, "Bearer a%-k2")
end)

test("with: a body that is set whole leaves the model, one that is named goes into it", function()
  local function sent(body)
    local got = run(body)
    test.equal(got.tried, { "a/m 200" })
    return table.concat(got.sent[1].edits, " ")
  end
  test.match(sent "return next(request:with { set = request:json() })", "model \"m\"")
  local named = "local other = request:with { set = { model = \"other\", n = 1 } }\n"
    .. "self:note(other.model) return next(other)"
  test.equal(sent(named), "model \"other\" n 1")
  test.equal(run(named).notes, { "other" })
  raises("model must be a model's name", "return next(request:with { set = { model = 5 } })")
end)

test("with: another target has other keys", function()
  local got = run [[
    local inner = request:with { key = request.keys[1] }
    return next(inner:with { target = request.targets[2] })]]
  test.equal(got.sent[1].url, "https://b.test/v1/chat/completions")
  test.match(table.concat(got.sent[1].headers, "\n"), "Bearer b%-k1")
end)

test("with: where no key is left, nothing is sent without one", function()
  local body = "return next(request:with { target = request.targets[1], keys = {} })"
  for _, policies in ipairs { { "mine" }, { "mine", "key_rotation" } } do
    local got = run(body, { policies = policies })
    test.equal(got.tried, {})
    test.equal(got.status, 503)
    test.match(got.body, "no key of the provider")
  end
  -- A provider that needs none is asked.
  test.equal(run(body, { keys = { a = {} } }).tried, { "a/m 200" })
end)

test("with: targets hands an order inward", function()
  local got = run([[
    local targets = request.targets
    return next(request:with { targets = { targets[2], targets[1] } })]],
    { policies = { "mine", "priority_failover" } })
  test.equal(got.text, "b")
end)

test("with: a timeout bounds the attempt", function()
  local got = run("return next(request:with { timeout = 3 })",
    { upstream = { ["a/m"] = { text = "late", after = 10 } } })
  test.equal({ got.failure, got.seconds, got.status }, { "timeout", 3, 504 })
end)

test("with leaves the request that it narrows as it was", function()
  local got = run [[
    request:with { target = request.targets[2], set = { n = 1 } }
    return next(request)]]
  test.equal(got.text, "a")
end)

test("json is the decoded body", function()
  local got = run([[
    self:note("%s %d", request:json().messages[1].content, request:json().n)
    return next(request)]], { request = { messages = "Hello", n = 2 } })
  test.equal(got.notes, { "Hello 2" })
end)

test("json: a body of very many values raises, as one above 1 MiB", function()
  local function got_of(count)
    local values = {}
    for index = 1, count do values[index] = 1 end
    return run("request:json() return next(request)", { request = { more = values } })
  end
  test.equal(got_of(39000).status, 200)
  local got = got_of(40000)
  test.equal({ got.status, got.tried }, { 413, {} })
  test.match(got.error, "more than 40000 values")
end)

test("json: a body above 1 MiB raises and is not decoded", function()
  local got = run("request:json()", { request = { messages = ("x"):rep(1024 * 1024) } })
  test.match(got.error, "longer than 1 MiB")
end)

test("attempts and remaining", function()
  local got = run([[
    self:note("%d %d", request:remaining())
    next(request)
    self:note("%d %d", request:remaining())
    local one = request.attempts[1]
    self:note("%s %s %d %.1f", one.target.name, one.key.id, one.status, one.seconds)
    return next(request)]], { limits = { attempts = 3, seconds = 100 },
      upstream = { ["a/m"] = { text = "a", after = 2 } } })
  test.equal(got.notes, { "3 100", "2 98", "a/m k1 200 2.0" })
end)

test("a spent budget is a failure that no outcomes cover, so that every loop ends", function()
  local got = run([[
    local response
    repeat response = next(request) until response.failure == "exhausted"
    return response]], { limits = { attempts = 3 }, upstream = { ["a/m"] = { status = 500 } } })
  test.equal(got.tried, { "a/m 500", "a/m 500", "a/m 500" })
  test.equal({ got.failure, got.status }, { "exhausted", 500 })
end)

test("refuse: an answer of neap's own in the client's dialect", function()
  local got = run "return request:refuse(403, \"not today\")"
  test.equal(got.status, 403)
  test.match(got.body, "\"message\":\"not today\"")
  test.match(got.body, "permission_error")
  test.equal(got.tried, {})
end)

test("refuse: a wait goes into the head, an endless one does not", function()
  test.equal(run("return request:refuse(429, \"wait\", 1.2)").headers["retry-after"], "2")
  test.equal(run("return request:refuse(429, \"wait\", 1 / 0)").headers["retry-after"], nil)
  test.equal(run("return request:refuse(429, \"wait\", 1e300)").headers["retry-after"], nil)
  test.equal(run("return request:refuse(429, \"wait\", 1e9)").headers["retry-after"], "1000000000")
  raises("refuse takes a status", "local r = request:refuse(200, \"fine\") return r")
  raises("refuse takes a status", "local r = request:refuse(0 / 0, \"what\") return r")
  raises("refuse takes a status", "local r = request:refuse(429.5, \"half\") return r")
end)

test("reply: a complete answer, streamed if asked", function()
  local body = "return request:reply(\"Good day\")"
  local whole = run(body)
  test.equal({ whole.status, whole.text }, { 200, "Good day" })
  test.equal(whole.headers["content-type"], "application/json")
  local streamed = run(body, { request = { stream = true } })
  test.equal(streamed.text, "Good day")
  test.equal(streamed.headers["content-type"], "text/event-stream")
  test.match(streamed.body, "data: %[DONE%]\n\n$")
end)

test("reply: a message that could not be sent is said at the policy's line", function()
  for message, problem in pairs {
    ["{ text = 5 }"] = "text of a message is a string, not a number",
    ["{ content = \"hi\" }"] = "a message has no \"content\"",
    ["{ tools = \"x\" }"] = "tools of a message is a table, not a string",
    ["{ tools = { { arguments = {} } } }"] = "arguments of a tool of a message is a string",
    ["{ usage = 5 }"] = "usage of a message is a table, not a number",
  } do
    raises(problem, ("local r = request:reply %s return r"):format(message))
    raises(problem, ("return request:reply %s"):format(message)) -- a tail call has no line
  end
end)

test("reply: its usage is told, streamed or not, and its tools are whole", function()
  local body = "return request:reply { text = \"t\", usage = { in_fresh = 3, out_total = 2 },\n"
    .. "tools = { { name = \"f\" } } }"
  for _, is_stream in ipairs { false, true } do
    local got = run(body, { request = { stream = is_stream,
      stream_options = is_stream and { include_usage = true } or nil } })
    test.equal(got.status, 200)
    test.match(got.body, "\"prompt_tokens\":3")
    test.match(got.body, "\"total_tokens\":5")
    test.match(got.body, "\"arguments\":\"")
    test.match(got.body, "\"id\":\"call_")
  end
end)

test("what is shared and how long something rests is checked at the policy's line", function()
  for call, problem in pairs {
    ["self.shared:set(\"a\", {})"] = "a shared value is a number, a boolean or a text, not a table",
    ["self.shared:set(\"a\", 1, -1)"] = "a shared value lives for a number of seconds",
    ["self.shared:add(\"a\", \"x\")"] = "the step of add is a number",
    ["self.shared:swap(\"a\", nil, {})"] = "a shared value is a number",
    ["request.key:rest(math.huge, \"x\")"] = "rest takes a number of seconds",
    ["request.key:disable(\"x\", \"y\")"] = "disable takes a number of seconds",
  } do
    raises(problem, call .. " return next(request)")
  end
  raises("there is no number to add to",
    "self.shared:set(\"a\", \"s\") self.shared:add(\"a\", 1) return next(request)")
end)

test("reply: a message with its parts", function()
  local got = run "return request:reply { text = \"t\", finish = \"length\", model = \"x\" }"
  test.match(got.body, "\"finish_reason\":\"length\"")
  test.match(got.body, "\"model\":\"x\"")
  raises("reply takes a text or a message", "local r = request:reply(7) return r")
  raises("a message has no \"content\": known are finish, id, model",
    "local r = request:reply { content = \"t\" } return r")
  raises("a message has no \"txt\": did you mean text",
    "local r = request:reply { txt = \"t\" } return r")
  raises("text of a message is a string, not a number",
    "local r = request:reply { text = 5 } return r")
end)
