--- neap.dialect.openai: OpenAI's chat completions.
---
--- A dialect says where and how a provider is asked, what its answers mean, and how neap itself
--- speaks to a client. Every function is pure. The interface is described in
--- docs/architecture.md; canonical events are in neap.dialect.canonical.

local failure = require "neap.dialect.openai_error"
local form = require "neap.dialect.openai_form"
local host = require "neap.host"
local json = require "neap.json"
local said = require "neap.dialect.openai_said"
local usage = require "neap.usage"

local openai = { name = "openai" }

-- Answer headers that a client of this dialect can use; a * at the end stands for any rest.
openai.answer_headers = {
  "content-type", "retry-after", "retry-after-ms", "x-ratelimit-*", "x-should-retry",
  "openai-*", "x-siliconcloud-trace-id",
}
-- Request headers that go upstream.
openai.request_headers = {
  "openai-organization", "openai-project", "openai-beta", "openai-version", "idempotency-key",
  "user-agent",
}

local PATHS = { chat = "chat/completions", models = "models" }

--- The URL of an operation below a provider's base. "https://h" and "https://h/v1" both give
--- ".../v1/chat/completions"; behind a trailing "/" only the operation is put; a trailing "#"
--- means exactly this URL.
function openai.url(base, operation)
  if base:sub(-1) == "#" then return base:sub(1, -2) end
  local path = PATHS[operation]
  if base:sub(-1) == "/" then return base .. path end
  if base:find("/v1$") then return base .. "/" .. path end
  return base .. "/v1/" .. path
end

function openai.authorize(headers, key)
  headers[#headers + 1] = "Authorization: Bearer " .. key
end

-- ------------------------------------------------------------------------------------
-- What a provider's answer means

openai.classify, openai.classify_body, openai.body_look =
  said.classify, said.classify_body, said.body_look
openai.text, openai.content_size = said.text, said.content_size
openai.error_out, openai.reason_in = failure.out, failure.reason_in
openai.meant_status = failure.meant

--- Usage of an event or answer in the form of neap.usage, or nil. from: its raw text, or an attempt
--- that holds it.
openai.usage = usage.find

openai.usage_of_tail = usage.find_in_tail

-- What the router asks of a client's body: the model, whether a stream is wanted, whether with its
-- usage, and the conversation that the client names.
openai.asked = host.look {
  { take = "text", "model" },
  { take = "is_true", "stream" },
  { take = "is_true", "stream_options/include_usage" },
  { take = "text", "metadata/conversation_id" },
}

-- Where a client's body has what the user said.
host.said {
  list = "messages", member = "role", text = "user", part = "content", inner = "text",
}

-- ------------------------------------------------------------------------------------
-- Streams as they are

local BROKEN = "data: {\"error\":{\"message\":\"the provider's stream broke off before its end\","
  .. "\"type\":\"server_error\",\"param\":null,\"code\":\"stream_truncated\"}}\n\n"
local LATE = "data: {\"error\":{\"message\":\"the provider's stream stalled and was given up\","
  .. "\"type\":\"server_error\",\"param\":null,\"code\":\"timeout\"}}\n\n"

local function make_plan(is_usage_hidden)
  -- The rarer one first: what cannot hold costs nothing.
  local told = { member = "usage", kind = "object" }
  local usage_alone = { told, { member = "choices", is = "[]" } }
  local usage_bare = { told, { member = "choices", kind = "null" } }
  local rules = {
    { when = { data = "[DONE]" }, ["do"] = "end" },
    { when = { member = "error" }, ["do"] = "error" },
    { when = told, ["do"] = "keep_last" },
  }
  if is_usage_hidden then
    rules[#rules + 1] = { when = usage_alone, ["do"] = "drop" }
    rules[#rules + 1] = { when = usage_bare, ["do"] = "drop" }
  else
    -- Who was not asked for the usage may tell it in a way of its own.
    for _, member in ipairs { "x_groq", "timings" } do
      rules[#rules + 1] = { when = { member = member, kind = "object" }, ["do"] = "keep_last" }
    end
  end
  rules[#rules + 1] = { when = { event = "error" }, ["do"] = "error" }
  rules[#rules + 1] = { when = { text = "finish_reason" }, ["do"] = "finish" }
  rules.broken, rules.late = BROKEN, LATE
  return host.plan(rules)
end

local plans = {}

--- The relay's plan for a stream of this dialect, and the index of the first rule that keeps the
--- usage. is_usage_hidden: the client did not ask for the usage chunk.
function openai.plan(is_usage_hidden)
  local plan = plans[is_usage_hidden]
  if not plan then
    plan = make_plan(is_usage_hidden)
    plans[is_usage_hidden] = plan
  end
  return plan, 3
end

local MODELS_MAX = 1000 -- whose edits are kept: clients may name any

local no_edits, model_edits, model_count = {}, {}, 0

--- The edits that only change the model, made once for each.
local function edits_of_model(model)
  local edits = model_edits[model]
  if not edits then
    if model_count == MODELS_MAX then model_edits, model_count = {}, 0 end
    edits = { "model", json.encode(model) }
    model_edits[model], model_count = edits, model_count + 1
  end
  return edits
end

--- The edits of a body that passes on, { name, raw JSON or false (it is left out), … }, which stay
--- as they are; and whether neap asks for the usage and the client did not. asked: what the client
--- wants, { model, stream, is_usage_wanted, handle, is_made_whole (it wants a stream that the
--- provider is not asked for) }.
function openai.edits(asked, model, options)
  local edits = asked.model == model and no_edits or edits_of_model(model)
  if asked.is_made_whole or options.stream_options == false then
    -- Whoever does not know the member, or does not stream, refuses a request that has it.
    if not asked.handle:member("stream_options") then return edits, false end
    return { "stream_options", false, unpack(edits) }, false
  end
  if not asked.stream or asked.is_usage_wanted then return edits, false end
  local raw, kind = asked.handle:member("stream_options")
  local wanted = "{\"include_usage\":true}"
  if kind == "object" then
    local given = json.decode(raw)
    given.include_usage = true
    wanted = json.encode(given)
  end
  edits = { unpack(edits) }
  edits[#edits + 1], edits[#edits + 2] = "stream_options", wanted
  return edits, true
end

-- ------------------------------------------------------------------------------------
-- What neap says itself

local function completion(id, model, message, finish, used)
  return json.encode(json.object {
    id = id, object = "chat.completion", created = math.floor(host.wall()), model = model,
    choices = json.array { json.object {
      index = 0, message = message, logprobs = json.null, finish_reason = finish,
    } },
    usage = used,
  })
end

local function chunk(state, delta, finish, used)
  local document = json.object {
    id = state.id, object = "chat.completion.chunk", created = state.created, model = state.model,
    choices = json.array {}, usage = used,
  }
  if delta then
    document.choices[1] = json.object {
      index = 0, delta = json.object(delta), logprobs = json.null,
      finish_reason = finish or json.null,
    }
  end
  return "data: " .. json.encode(document) .. "\n\n"
end

local function usage_out(used)
  local prompt, written = usage.prompt(used), used.cache_write_5m + used.cache_write_1h
  return json.object {
    prompt_tokens = prompt, completion_tokens = used.out_total,
    total_tokens = prompt + used.out_total,
    prompt_tokens_details = json.object { cached_tokens = used.cache_read,
      cache_write_tokens = written > 0 and written or nil },
    completion_tokens_details = json.object { reasoning_tokens = used.reasoning },
  }
end

--- Canonical events (neap.dialect.canonical) to the bytes of a stream. state: a table that
--- the caller keeps for the stream, with model and is_usage_wanted.
function openai.stream_out(state, event)
  if not state.id then
    state.id = event.id or "chatcmpl-" .. host.id()
    state.created = math.floor(host.wall())
  end
  local kind = event.kind
  if kind == "start" then return chunk(state, { role = "assistant", content = "" }) end
  if kind == "text" then return chunk(state, { content = event.text }) end
  if kind == "reasoning" then return chunk(state, { reasoning_content = event.text }) end
  if kind == "refusal" then return chunk(state, { refusal = event.text }) end
  if kind == "tool" then
    return chunk(state, { tool_calls = json.array { json.object {
      index = event.index, id = event.id, type = "function",
      ["function"] = json.object { name = event.name, arguments = event.arguments or "" },
    } } })
  end
  if kind == "arguments" then
    return chunk(state, { tool_calls = json.array { json.object {
      index = event.index, ["function"] = json.object { arguments = event.text },
    } } })
  end
  if kind == "finish" then return chunk(state, {}, event.reason) end
  if kind == "usage" then
    return state.is_usage_wanted and chunk(state, nil, nil, usage_out(event.usage)) or ""
  end
  if kind == "error" then
    local _, body = openai.error_out(event.status, event.message)
    return "data: " .. body .. "\n\n"
  end
  if kind == "end" then return "data: [DONE]\n\n" end
  return ""
end

--- A provider's document as JSON; nil where it holds what cannot be (1e400).
local function encode(document)
  local is_good, text = pcall(json.encode, document)
  return is_good and text or nil
end

--- What an answer of this dialect may lack.
local function fill(document, message)
  document.id = message.id or "chatcmpl-" .. host.id()
  document.created = tonumber(document.created) or math.floor(host.wall())
  document.model = message.model
  return document
end

--- A canonical message ({ text, reasoning, refusal, tools, finish, usage, id, model }) as a whole
--- answer: content type and body. One that was gathered from a stream of this dialect says all that
--- the stream did.
function openai.response_out(message)
  local whole = message.gathered and encode(fill(form.whole(message.gathered), message))
  if whole then return "application/json", whole end
  local out = json.object {
    role = "assistant", content = message.text or json.null, refusal = message.refusal or json.null,
    reasoning_content = message.reasoning,
  }
  if message.tools and message.tools[1] then
    out.tool_calls = json.array {}
    for index, tool in ipairs(message.tools) do
      out.tool_calls[index] = json.object {
        id = tool.id, type = "function",
        ["function"] = json.object { name = tool.name,
          arguments = tool.arguments ~= "" and tool.arguments or "{}" },
      }
    end
  end
  return "application/json", completion(message.id or "chatcmpl-" .. host.id(), message.model, out,
    message.finish or "stop", usage_out(usage.new(message.usage or {})))
end

--- The same as a stream, event by event, where the message came as a whole answer of this dialect
--- (message.whole); else nil.
function openai.whole_out(message, is_usage_wanted)
  if not message.whole then return nil end
  local events = {}
  for place, chunk_out in ipairs(form.chunks(fill(message.whole, message), is_usage_wanted)) do
    local text = encode(chunk_out)
    if not text then return nil end
    events[place] = "data: " .. text .. "\n\n"
  end
  events[#events + 1] = "data: [DONE]\n\n"
  return events
end

-- ------------------------------------------------------------------------------------
-- Translation: this dialect on the provider's side, another on the client's, or the reverse

--- A client's body as a canonical request: OpenAI's own shape is the canonical one.
function openai.request_in(text)
  return json.decode(text)
end

--- A canonical request as a body for a provider of this dialect.
function openai.request_out(request, model, options)
  request.model = model
  local is_asked = request.stream == true and options.stream_options ~= false
  request.stream_options = is_asked and json.object { include_usage = true } or nil
  return json.encode(request)
end

--- What a provider sent, where it has the type that it must have; else nil.
local function as_table(value) return type(value) == "table" and value or {} end
local function as_text(value) return type(value) == "string" and value ~= "" and value or nil end

-- Of several choices the canonical form has the first; in a stream an event may be of another.
local function first_choice(document)
  for _, given in ipairs(as_table(document.choices)) do
    local choice = as_table(given)
    if (tonumber(choice.index) or 0) <= 0 then return choice end
  end
  return {}
end

local function add_tool_events(state, calls, events)
  for _, given in ipairs(calls) do
    local call = as_table(given)
    local made = as_table(call["function"])
    local index = tonumber(call.index)
    if not index or index < 0 then
      index = math.max(0, as_text(call.id) and #state.tools or #state.tools - 1)
    end
    local arguments, id = as_text(made.arguments), as_text(call.id)
    -- Some count each call as the first one.
    local known = state.tools[index + 1]
    if known and id and id ~= known and as_text(made.name) then index = #state.tools end
    if not state.tools[index + 1] then
      id = id or "call_" .. host.id()
      state.tools[index + 1] = id
      events[#events + 1] = { kind = "tool", index = index, name = as_text(made.name), id = id,
        arguments = arguments }
    elseif arguments then
      events[#events + 1] = { kind = "arguments", index = index, text = arguments }
    end
  end
end

--- One event of a provider's stream as canonical events. state: kept by the caller, { gather = {} }
--- where all that the stream says is wanted, too, for openai.response_out.
function openai.stream_in(state, data, name)
  local events = {}
  if data == "[DONE]" then return { { kind = "end" } } end
  local document = json.decode(data)
  local told = type(document) == "table" and failure.is_said(document.error) and document.error
  local problem = told or name == "error" and (document or data)
  if problem then
    return { { kind = "error", status = failure.status(problem),
      message = failure.message(problem), said = told and data or nil } }
  end
  if type(document) ~= "table" then return events end
  if not state.tools then
    state.tools = {}
    events[1] = { kind = "start", id = as_text(document.id), model = as_text(document.model) }
  end
  local choice = first_choice(document)
  local delta = as_table(choice.delta)
  local function add(kind, text)
    if as_text(text) then events[#events + 1] = { kind = kind, text = text } end
  end
  add("reasoning", as_text(delta.reasoning_content) or delta.reasoning)
  add("text", delta.content)
  add("refusal", delta.refusal)
  add_tool_events(state, as_table(delta.tool_calls), events)
  if as_text(choice.finish_reason) then
    events[#events + 1] = { kind = "finish", reason = choice.finish_reason }
  end
  local has_usage = failure.is_said(document.usage) or failure.is_said(choice.usage)
    or failure.is_said(document.x_groq) or failure.is_said(document.timings)
  local used = has_usage and openai.usage(data)
  if used then events[#events + 1] = { kind = "usage", usage = used } end
  if state.gather then form.gather(state.gather, document) end
  return events
end

--- A provider's whole answer as a canonical message, or nil and a message.
function openai.response_in(text)
  local document, problem = json.decode(text)
  if type(document) ~= "table" then return nil, problem or "the answer is no JSON object" end
  if type(document.choices) ~= "table" then return nil, "the answer has no choices" end
  local choice = first_choice(document)
  local message = as_table(choice.message)
  local tools = {}
  for index, given in ipairs(as_table(message.tool_calls)) do
    local call = as_table(given)
    local made = as_table(call["function"])
    tools[index] = { id = as_text(call.id) or "call_" .. host.id(), name = as_text(made.name),
      arguments = as_text(made.arguments) or "{}" }
  end
  return {
    id = as_text(document.id), model = as_text(document.model), text = said.text_of(message),
    tools = tools, reasoning = as_text(message.reasoning_content) or as_text(message.reasoning),
    refusal = as_text(message.refusal), finish = as_text(choice.finish_reason),
    usage = openai.usage(text), whole = document,
  }
end

return openai
