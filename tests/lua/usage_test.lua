-- One form of usage, out of what each provider says.
local json = require "neap.json"
local openai = require "neap.dialect.openai"
local test = require "neap.tap"
local usage = require "neap.usage"

local NAMES = { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h", "in_audio",
  "out_total", "out_audio", "reasoning", "seconds", "images", "is_estimate", "reported_cost" }

--- The counts that are not 0, without the text that they came from.
local function counts(used)
  if not used then return nil end
  local some = {}
  for _, name in ipairs(NAMES) do
    local value = used[name]
    if value ~= 0 and value ~= false then some[name] = value end
  end
  return some
end

local function of(document) return counts(usage.find(document)) end
local function of_usage(raw) return of("{\"choices\":[],\"usage\":" .. raw .. "}") end

test("OpenAI, Azure: parts of the prompt are counted once", function()
  test.equal(of_usage [[{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140,
    "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":20,"audio_tokens":10},
    "completion_tokens_details":{"reasoning_tokens":15,"audio_tokens":5}}]],
    { in_fresh = 40, cache_read = 30, cache_write_5m = 20, in_audio = 10, out_total = 40,
      reasoning = 15, out_audio = 5 })
end)

test("the names of the Responses API, of images and of transcriptions", function()
  test.equal(of_usage [[{"input_tokens":50,"input_tokens_details":{"cached_tokens":20},
    "output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":57}]],
    { in_fresh = 30, cache_read = 20, out_total = 7, reasoning = 3 })
  test.equal(of_usage [[{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59,
    "input_token_details":{"text_tokens":4,"audio_tokens":10}}]],
    { in_fresh = 4, in_audio = 10, out_total = 45 })
  test.equal(of_usage [[{"type":"duration","seconds":9.25}]], { seconds = 9.25 })
end)

test("DeepSeek: prompt_cache_hit_tokens", function()
  test.equal(of_usage [[{"prompt_tokens":90,"completion_tokens":10,"total_tokens":100,
    "prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":26,
    "completion_tokens_details":{"reasoning_tokens":4}}]],
    { in_fresh = 26, cache_read = 64, out_total = 10, reasoning = 4 })
end)

test("Groq: x_groq.usage where there is no other", function()
  test.equal(of [[{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":
    {"queue_time":0.01,"prompt_tokens":20,"prompt_time":0.001,"completion_tokens":5,
    "total_tokens":25,"prompt_tokens_details":{"cached_tokens":8}}}}]],
    { in_fresh = 12, cache_read = 8, out_total = 5 })
  test.equal(of [[{"usage":{"prompt_tokens":1,"completion_tokens":2},
    "x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":7}}}]],
    { in_fresh = 1, out_total = 2 })
end)

test("Mistral: num_cached_tokens, prompt_token_details", function()
  test.equal(of_usage [[{"prompt_tokens":33,"total_tokens":40,"completion_tokens":7,
    "num_cached_tokens":32}]], { in_fresh = 1, cache_read = 32, out_total = 7 })
  test.equal(of_usage [[{"prompt_tokens":33,"completion_tokens":7,
    "prompt_token_details":{"cached_tokens":30}}]],
    { in_fresh = 3, cache_read = 30, out_total = 7 })
end)

test("Moonshot: cached_tokens at the top, usage inside of the choice", function()
  test.equal(of_usage [[{"prompt_tokens":19,"completion_tokens":21,"total_tokens":40,
    "cached_tokens":10}]], { in_fresh = 9, cache_read = 10, out_total = 21 })
  test.equal(of [[{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":
    {"prompt_tokens":19,"completion_tokens":13,"total_tokens":32}}]}]],
    { in_fresh = 19, out_total = 13 })
end)

test("Qwen: reads and writes of the cache, by how long they are kept", function()
  test.equal(of_usage [[{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,
    "prompt_tokens_details":{"cached_tokens":2000,"cache_creation_input_tokens":1000,
      "cache_creation":{"ephemeral_5m_input_tokens":1000},"cache_type":"ephemeral"}}]],
    { in_fresh = 19, cache_read = 2000, cache_write_5m = 1000, out_total = 104 })
  test.equal(of_usage [[{"prompt_tokens":3019,"completion_tokens":104,
    "prompt_tokens_details":{"cache_creation":{"ephemeral_5m_input_tokens":600,
      "ephemeral_1h_input_tokens":400}}}]],
    { in_fresh = 2019, cache_write_5m = 600, cache_write_1h = 400, out_total = 104 })
end)

test("xAI: reasoning outside of the completion, a cache outside of the prompt", function()
  test.equal(of_usage [[{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,
    "prompt_tokens_details":{"text_tokens":32,"audio_tokens":0,"image_tokens":0,"cached_tokens":6},
    "completion_tokens_details":{"reasoning_tokens":94}}]],
    { in_fresh = 26, cache_read = 6, out_total = 103, reasoning = 94 })
  test.equal(of_usage [[{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19,
    "prompt_tokens_details":{"cached_tokens":400},
    "completion_tokens_details":{"reasoning_tokens":4}}]],
    { in_fresh = 10, cache_read = 400, out_total = 9, reasoning = 4 })
end)

test("reasoning is never more than what was answered", function()
  test.equal(of_usage [[{"prompt_tokens":1,"completion_tokens":5,
    "completion_tokens_details":{"reasoning_tokens":50}}]],
    { in_fresh = 1, out_total = 55, reasoning = 50 })
end)

test("OpenRouter: what it charged, with the user's own bill behind it", function()
  local raw = [[{"prompt_tokens":194,"completion_tokens":2,"total_tokens":196,"cost":0.00095,
    "is_byok":%s,"cost_details":{"upstream_inference_cost":0.019},
    "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":100}}]]
  test.equal(of_usage(raw:format "false"),
    { in_fresh = 94, cache_write_5m = 100, out_total = 2, reported_cost = 0.00095 })
  test.equal(of_usage(raw:format "true").reported_cost, 0.00095 + 0.019)
end)

test("llama.cpp: timings, where it gives no usage", function()
  test.equal(of [[{"choices":[{"finish_reason":"stop"}],"timings":{"cache_n":236,"prompt_n":1,
    "prompt_ms":30.958,"predicted_n":35,"predicted_ms":661.064}}]],
    { in_fresh = 1, cache_read = 236, out_total = 35 })
  test.equal(of "{\"timings\":{\"prompt_n\":1}}", nil)
end)

test("SiliconFlow, Zhipu, vLLM, Ollama: the plain form", function()
  test.equal(of_usage [[{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,
    "prompt_tokens_details":null}]], { in_fresh = 9, out_total = 2 })
end)

test("what is missing follows from the total", function()
  test.equal(of_usage "{\"total_tokens\":3}", { in_fresh = 3 })
  test.equal(of_usage "{\"prompt_tokens\":8,\"total_tokens\":8}", { in_fresh = 8 })
  test.equal(of_usage "{\"completion_tokens\":2,\"total_tokens\":8}",
    { in_fresh = 6, out_total = 2 })
end)

test("texts of numbers count; what is no count is as if it were not there", function()
  test.equal(of_usage "{\"prompt_tokens\":\"9\",\"completion_tokens\":2.0}",
    { in_fresh = 9, out_total = 2 })
  for _, odd in ipairs { "-1", "\"nan\"", "\"inf\"", "1e300", "\"many\"", "[]", "{}", "null",
    "true", "1e9" } do
    test.equal(of_usage("{\"prompt_tokens\":" .. odd .. "}"), nil, odd)
    test.equal(of_usage("{\"prompt_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":" .. odd
      .. "},\"cost\":" .. (odd == "1e9" and "-1" or odd) .. "}"), { in_fresh = 4 }, odd)
  end
  for _, odd in ipairs { "{}", "null", "7", "[]", "\"x\"" } do
    test.equal(of_usage(odd), nil, odd)
  end
  test.equal(of "", nil)
end)

test("the provider's text is kept, up to 4 KiB", function()
  local raw = "{\"prompt_tokens\":1}"
  test.equal(usage.read(raw).raw, raw)
  local long = "{\"prompt_tokens\":1,\"x\":\"" .. ("x"):rep(5000) .. "\"}"
  test.equal(usage.read(long).raw, long:sub(1, 4096))
  test.equal(usage.read("{\"prompt_tokens\":1,\"x\":\"" .. ("x"):rep(70000) .. "\"}"), nil)
end)

test("the end of a long answer tells its usage", function()
  local tail = [[says \"usage\":{\"prompt_tokens\":5}"}}],"usage" : {"prompt_tokens":9,
    "completion_tokens":2},"system_fingerprint":"fp"}]]
  test.equal(counts(usage.find_in_tail(tail)), { in_fresh = 9, out_total = 2 })
  test.equal(usage.find_in_tail [[says \"usage\":{\"prompt_tokens\":5}"}}]}]], nil)
  test.equal(usage.find_in_tail "\"usage\":{\"prompt_tokens\":9", nil)
  test.equal(usage.find_in_tail "", nil)
end)

test("what policies see has sums", function()
  local view = usage.view(usage.new { in_fresh = 1, cache_read = 2, cache_write_5m = 3,
    cache_write_1h = 4, in_audio = 5, out_total = 6, raw = "{}" })
  test.equal({ view.prompt, view.completion, view.total, view.raw, view.requests },
    { 15, 6, 21, nil, 1 })
end)

test("a count that cannot be is 0, the provider's text is cut, and nothing changes", function()
  local used = usage.new { in_fresh = 0 / 0, cache_read = -1, out_total = 1e300, seconds = 1.2344,
    images = 2, raw = ("x"):rep(5000), reported_cost = 0 }
  test.equal({ used.in_fresh, used.cache_read, used.out_total, used.seconds, used.images },
    { 0, 0, 0, 1.234, 2 })
  test.equal({ #used.raw, used.reported_cost, used.nowhere }, { 4096, 0, nil })
  test.equal({ usage.new({}).raw == nil, usage.new({}).reported_cost == nil }, { true, true })
  test.equal(pcall(function() used.in_fresh = 1 end), false)
  test.equal(usage.new(used).images, 2)
end)

-- ------------------------------------------------------------------------------------
-- Estimates

test("an estimate is four bytes a token, and says what it is", function()
  test.equal(counts(usage.estimate(401, 10)), { in_fresh = 101, out_total = 3, is_estimate = true })
  test.equal(usage.estimate(1e12, 1e12).in_fresh, 262144)
  test.equal(usage.estimate(1e12, 1e12).out_total, 131072)
end)

test("a file in a body counts as a page", function()
  local image = "data:image/png;base64," .. ("A"):rep(100000)
  local function body(...) return json.encode { messages = json.array { ... } } end
  local without = #body("", "x", "")
  local with = usage.bytes_of(body(image, "x", image))
  test.ok(with > without + 8000 and with < without + 8100, with)
  test.equal(usage.bytes_of "{\"a\":\";base64,", 14)
  local mark = ";base64,\"" -- a client may send any number: looking for them all takes too long
  test.equal(usage.bytes_of(mark:rep(200000)), 200000 * #mark + 1000 * 3999)
  test.equal(usage.bytes_of "{}", 2)
end)

--- What the relay counts of a stream of these deltas.
local function stream_of(deltas)
  local counted = { events = 0, event_bytes = 0 }
  for _, delta in ipairs(deltas) do
    local event = [=[{"id":"chatcmpl-BtTkSO3a4Jj7WfIrB4sVzdGUpfnGQ",]=]
      .. [=["object":"chat.completion.chunk",]=]
      .. [=["created":1752576000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",]=]
      .. [=["system_fingerprint":"fp_34a54ae93c","choices":[{"index":0,"delta":{"content":]=]
      .. json.encode(delta) .. [=[},"logprobs":null,"finish_reason":null}]}]=]
    counted.events = counted.events + 1
    counted.event_bytes = counted.event_bytes + #event
    if delta ~= "" and not counted.frame then
      local class, _, frame = openai.classify(event)
      test.equal(class, "content")
      counted.frame = frame
    end
  end
  return counted
end

local TEXT = ("The bridge was opened in 1894, after eight years of work; five contractors and some "
  .. "four hundred workers had a part in it. Its two towers stand on piers that were sunk into "
  .. "the bed of the river, and hold the walkways forty-two metres above it. "):rep(12)

local function pieces(size)
  local list = { "" }
  for at = 1, #TEXT, size do list[#list + 1] = TEXT:sub(at, at + size - 1) end
  return list
end

local function estimate_of(list)
  local counted = stream_of(list)
  return usage.estimate(0, usage.content_of_stream(counted, counted.frame)).out_total
end

test("a stream of one token an event is counted by its events", function()
  local words = { "" }
  for word in TEXT:gmatch "%s?[^%s]+" do words[#words + 1] = word end
  local tokens = #words - 1
  local guess = estimate_of(words)
  test.ok(guess >= tokens and guess <= tokens + 1, guess .. " for " .. tokens)
end)

test("a stream of larger pieces is measured by its content", function()
  for _, size in ipairs { 20, 80, 400 } do
    local guess, wanted = estimate_of(pieces(size)), #TEXT / 4
    test.ok(math.abs(guess - wanted) <= wanted * 0.1, size .. ": " .. guess .. " for " .. wanted)
  end
end)
