-- OpenAI's chat completions, as providers and clients speak them.
local canonical = require "neap.dialect.canonical"
local json = require "neap.json"
local openai = require "neap.dialect.openai"
local test = require "neap.tap"

test("url: with and without /v1, exact with #, only the operation behind a /", function()
  for base, url in pairs {
    ["https://h"] = "https://h/v1/chat/completions",
    ["https://h/v1"] = "https://h/v1/chat/completions",
    ["https://h/api/v3/"] = "https://h/api/v3/chat/completions",
    ["https://h/exactly#"] = "https://h/exactly",
  } do
    test.equal(openai.url(base, "chat"), url)
  end
end)

local function chunk(delta, finish)
  return json.encode { choices = json.array { { delta = json.object(delta),
    finish_reason = finish or json.null } } }
end

test("classify: what counts as content", function()
  for _, delta in ipairs {
    { content = "x" }, { reasoning_content = "x" }, { reasoning = "x" }, { refusal = "x" },
    { tool_calls = { { index = 0 } } }, { audio = { data = "x" } },
  } do
    test.equal((openai.classify(chunk(delta))), "content")
  end
end)

test("classify: what does not", function()
  test.equal(openai.classify(chunk { role = "assistant", content = "" }), "lifecycle")
  test.equal(openai.classify(chunk { content = json.null }), "lifecycle")
  test.equal(openai.classify(chunk({}, "stop")), "finish")
  test.equal(openai.classify("[DONE]"), "end")
  test.equal(openai.classify("no json"), "lifecycle")
  test.equal(openai.classify("{\"choices\":[],\"usage\":{}}"), "lifecycle")
  for _, odd in ipairs { "7", "[]", "{\"choices\":7}", "{\"choices\":[7]}", "null" } do
    test.equal(openai.classify(odd), "lifecycle", odd)
  end
end)

test("classify: an error is the status that it stands for", function()
  for text, status in pairs {
    ["{\"code\":429}"] = 429, ["{\"code\":\"503\"}"] = 503, ["{\"code\":200}"] = 502,
    ["{\"type\":\"insufficient_quota\"}"] = 429, ["{\"code\":\"invalid_api_key\"}"] = 401,
    ["{\"type\":\"overloaded_error\"}"] = 529, ["\"broken\""] = 502, ["{\"message\":\"?\"}"] = 502,
  } do
    test.equal({ openai.classify("{\"error\":" .. text .. "}") }, { "error", status }, text)
  end
  test.equal(openai.classify("{\"error\":null,\"choices\":[]}"), "lifecycle")
end)

local function classify_body(text)
  local held = {}
  function held.find(_, ...) return json.find(text, ...) end
  function held.measure(_, ...) return (select(2, json.find(text, ...))) end
  function held.text(_, from, size) return text:sub(from + 1, from + size) end
  return openai.classify_body(held, #text, openai.body_look:of(text))
end

test("classify_body: content, empty, error", function()
  local function whole(message) return "{\"choices\":[{\"message\":" .. message .. "}]}" end
  test.equal(classify_body(whole "{\"content\":\"x\"}"), "content")
  test.equal(classify_body(whole "{\"content\":null,\"tool_calls\":[{}]}"), "content")
  test.equal(classify_body(whole "{\"content\":\"\"}"), "empty")
  test.equal(classify_body(whole "{\"content\":null,\"tool_calls\":[]}"), "empty")
  test.equal(classify_body "{\"choices\":[]}", "empty")
  test.equal(classify_body "{\"id\":\"a\",\"choices\":null}", "empty")
  for _, blank in ipairs { "", "{}", "{}\r\n", "null", "[]" } do
    test.equal(classify_body(blank), "empty")
  end
  test.equal(classify_body "{\"data\":[]}", "content")
  test.equal(classify_body "<html>busy</html>", "content")
  test.equal({ classify_body "{\"error\":{\"code\":503}}" }, { "error", 503 })
  local _, _, used = classify_body "{\"data\":[],\"usage\":{\"prompt_tokens\":9}}"
  test.equal(used.in_fresh, 9)
end)

test("text: of an event and of a whole answer", function()
  test.equal(openai.text(chunk { content = "hi" }), "hi")
  test.equal(openai.text "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}", "a")
  local parts = "[{\"text\":\"a\"},{\"text\":\"b\"}]"
  test.equal(openai.text("{\"choices\":[{\"message\":{\"content\":" .. parts .. "}}]}"), "ab")
  for _, odd in ipairs { "", "[DONE]", "7", "{}", "{\"choices\":[7,{\"delta\":7}]}" } do
    test.equal(openai.text(odd), "", odd)
  end
end)

test("usage: of a text, or of what holds it; or nothing", function()
  local text = "{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}"
  local held = { look = function(_, look) return look:of(text) end }
  for _, from in ipairs { text, held } do
    local used = openai.usage(from)
    test.equal({ used.in_fresh, used.out_total, used.raw },
      { 9, 4, "{\"prompt_tokens\":9,\"completion_tokens\":4}" })
  end
  test.equal(openai.usage "{\"usage\":null}", nil)
  test.equal(openai.usage "{\"usage\":{\"prompt_tokens\":-1}}", nil)
  test.equal(openai.usage "{}", nil)
end)

test("classify_body: why there is no content is an answer, too", function()
  for reason, class in pairs {
    length = "content", content_filter = "content", stop = "empty", tool_calls = "empty",
  } do
    test.equal(classify_body("{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":\""
      .. reason .. "\"}]}"), class, reason)
    test.equal((openai.classify(chunk({}, reason))), class == "empty" and "finish" or class, reason)
  end
end)

test("classify_body: an error that says nothing is none; one in a list is one", function()
  for _, nothing in ipairs { "\"\"", "{}", "[]", "false", "null" } do
    local body = "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"error\":" .. nothing .. "}"
    test.equal(classify_body(body), "content", nothing)
    test.equal((openai.classify("{\"error\":" .. nothing .. ",\"choices\":[]}")), "lifecycle",
      nothing)
  end
  test.equal({ classify_body "[{\"error\":{\"code\":429}}]" }, { "error", 429 })
end)

test("classify_body: blanks are nothing, and JSON that ends too early is no answer", function()
  test.equal(classify_body(("\n "):rep(20)), "empty")
  local whole = "{\"id\":\"a\",\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":"
    .. "{\"prompt_tokens\":9}"
  test.equal((classify_body(("\n"):rep(20) .. whole .. "}")), "content")
  for size = 5, #whole - 1 do
    test.equal((classify_body(whole:sub(1, size))), "broken", whole:sub(1, size))
  end
end)

test("classify: an event called error is one, in whatever shape", function()
  local class, status, body = openai.classify("{\"message\":\"too many\",\"code\":529}", "error")
  test.equal({ class, status, json.decode(body).error.message }, { "error", 529, "too many" })
  class, status, body = openai.classify("too many", "error")
  test.equal({ class, status, json.decode(body).error.message }, { "error", 502, "too many" })
  test.equal({ openai.classify("{\"error\":{\"code\":503}}", "error") }, { "error", 503 })
  test.equal(openai.stream_in({}, "too many", "error"),
    { { kind = "error", status = 502, message = "too many" } })
end)

test("stream_in: of several choices the first; calls that all are the first; both reasonings",
function()
  local state, message = {}, {}
  local function take(text)
    for _, event in ipairs(openai.stream_in(state, text)) do canonical.collect(message, event) end
  end
  take [[{"choices":[{"index":0,"delta":{"content":"A","reasoning":"hm"}}]}]]
  take [[{"choices":[{"index":1,"delta":{"content":"B"}}]}]]
  take [[{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1",
    "function":{"name":"f","arguments":"{"}}]}}]}]]
  take [[{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1",
    "function":{"arguments":"}"}}]}}]}]]
  take [[{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c2",
    "function":{"name":"f"}}]}}]}]]
  test.equal({ message.text, message.reasoning, #message.tools }, { "A", "hm", 2 })
  test.equal(message.tools[1].arguments, "{}")
  local _, body = openai.response_out(message)
  local calls = json.decode(body).choices[1].message.tool_calls
  test.equal({ calls[2].id, calls[2]["function"].arguments }, { "c2", "{}" })
end)

test("response_in: what has no choices is no answer", function()
  local message, problem = openai.response_in "{\"code\":20012,\"message\":\"?\"}"
  test.equal(message, nil)
  test.match(problem, "choices")
end)

local function edits_of(body, model, options)
  local asked = { handle = { member = function(_, name) return json.find(body, name) end } }
  asked.model, asked.stream, asked.is_usage_wanted = openai.asked:of(body)
  return openai.edits(asked, model, options or {})
end

test("edits: none where nothing is to change", function()
  test.equal({ edits_of("{\"model\":\"m\"}", "m") }, { {}, false })
end)

test("edits: the model's name, and usage for a stream that did not ask for it", function()
  test.equal({ edits_of("{\"model\":\"x\",\"stream\":true}", "m") },
    { { "model", "\"m\"", "stream_options", "{\"include_usage\":true}" }, true })
  test.equal({ edits_of([[{"model":"m","stream":true,"stream_options":{"x":1}}]], "m") },
    { { "stream_options", "{\"x\":1,\"include_usage\":true}" }, true })
end)

test("edits: usage that the client asked for is its own; a provider may not know it", function()
  test.equal({ edits_of([[{"model":"m","stream":true,
    "stream_options":{"include_usage":true}}]], "m") }, { {}, false })
  test.equal({ edits_of("{\"model\":\"m\",\"stream\":true}", "m", { stream_options = false }) },
    { {}, false })
  test.equal({ edits_of([[{"model":"x","stream":true,"stream_options":{"include_usage":true}}]],
    "m", { stream_options = false }) }, { { "stream_options", false, "model", "\"m\"" }, false })
end)

test("error_out: type and code by status", function()
  local function error_of(...)
    local kind, body = openai.error_out(...)
    test.equal(kind, "application/json")
    return json.decode(body).error
  end
  local one = error_of(429, "a \"quoted\" line\n")
  test.equal({ one.message, one.type, one.code, one.param },
    { "a \"quoted\" line\n", "rate_limit_error", "rate_limit_exceeded", json.null })
  test.equal(error_of(502, "x").type, "server_error")
  test.equal(error_of(404, "x", "model_not_found").code, "model_not_found")
end)

test("a stream that is taken apart and put together again says the same", function()
  local state_in, state_out, out = {}, { model = "m", is_usage_wanted = true }, {}
  for _, data in ipairs {
    chunk { role = "assistant", content = "" }, chunk { reasoning_content = "hm" },
    chunk { content = "he" }, chunk { content = "llo" },
    [[{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1",
      "function":{"name":"f","arguments":""}}]}}]}]],
    [[{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}]],
    chunk({}, "tool_calls"), [[{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}]],
    "[DONE]",
  } do
    for _, event in ipairs(openai.stream_in(state_in, data)) do
      out[#out + 1] = openai.stream_out(state_out, event)
    end
  end
  local all, texts = table.concat(out), {}
  for data in all:gmatch("data: ([^\n]*)\n") do texts[#texts + 1] = openai.text(data) end
  test.equal(table.concat(texts), "hello")
  test.match(all, "\"reasoning_content\":\"hm\"")
  test.match(all, "\"arguments\":\"{}\"")
  test.match(all, "\"finish_reason\":\"tool_calls\"")
  test.match(all, "\"prompt_tokens\":1")
  test.match(all, "data: %[DONE%]\n\n$")
end)

test("a whole answer, in and out", function()
  local message = openai.response_in [[{"id":"i","model":"m","choices":[{"message":
    {"content":"hi","reasoning_content":"hm"},"finish_reason":"length"}],
    "usage":{"prompt_tokens":1,"completion_tokens":2}}]]
  test.equal({ message.text, message.reasoning, message.finish, message.usage.out_total },
    { "hi", "hm", "length", 2 })
  local _, body = openai.response_out(message)
  local out = json.decode(body)
  test.equal({ out.id, out.choices[1].message.content, out.choices[1].finish_reason },
    { "i", "hi", "length" })
  test.equal({ (openai.response_in "7") }, {})
end)

test("reason_in: what is no JSON object is told, also one that was cut off", function()
  test.equal(openai.reason_in(" {\"error\":{\"message\":\"as it is\"}}"), nil)
  test.equal(openai.reason_in("[{\"error\":{\"message\":\"listed\"}}]"), "listed")
  test.equal(openai.reason_in(""), "the provider said: nothing")
  test.equal(openai.reason_in("{\"error\":{\"message\":\"" .. ("x"):rep(900)),
    "the provider said: {\"error\":{\"message\":\"" .. ("x"):rep(500 - 21))
end)
