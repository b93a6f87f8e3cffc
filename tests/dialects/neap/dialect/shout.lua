--- neap.dialect.shout: a dialect of the tests, as unlike OpenAI's as a provider could be.
---
--- A provider of it shouts, and what it says reaches the client in capitals, so that a test sees
--- that each text went through here. Its wire:
---
---     POST /loud/{model}[/live]     x-loud-key: SECRET
---     { "lines": [ { "who": "user", "said": "…" } ], "heat": 0.5 }
---     { "said": "…", "calls": [ … ], "why": "done", "cost": { "in": 9, "out": 2 } }
---
--- and as a stream the events hello { id, of }, say { say }, call { at, id, name, with }, more
--- { at, with }, stop { why }, cost { in, out }, oops { code, what } and bye. It serves chat only
--- on the provider's side: no client speaks it.

local json = require "neap.json"
local usage = require "neap.usage"

local shout = { name = "shout" }

shout.answer_headers = { "x-loud-*", "retry-after" }
shout.request_headers = { "user-agent" }

function shout.url(base, _, model, is_stream)
  return base .. "/loud/" .. model .. (is_stream and "/live" or "")
end

function shout.authorize(headers, key)
  headers[#headers + 1] = "x-loud-key: " .. key
end

-- ------------------------------------------------------------------------------------
-- What an answer means

local CLASS_OF = { say = "content", call = "content", stop = "finish", bye = "end" }

function shout.classify(data, name)
  if name == "oops" then return "error", (json.decode(data) or {}).code or 502 end
  return CLASS_OF[name] or "lifecycle"
end

function shout.classify_body(held, size)
  if size == 0 then return "empty" end
  if held:measure("oops") then return "error", tonumber((held:find("oops", "code"))) or 502 end
  local kind, length = held:measure("said")
  local has_text = kind == "string" and length > 2
  return (has_text or held:measure("calls")) and "content" or "empty"
end

--- Of an event or of a whole answer.
function shout.text(data)
  local document = json.decode(data)
  if type(document) ~= "table" then return "" end
  return ((document.say or document.said or ""):upper())
end

local function usage_of(cost)
  if type(cost) ~= "table" then return nil end
  return usage.new { in_fresh = cost["in"], out_total = cost.out }
end

-- ------------------------------------------------------------------------------------
-- Translation

function shout.request_out(request, model)
  local lines = json.array {}
  for index, message in ipairs(request.messages) do
    lines[index] = json.object { who = message.role, said = message.content }
  end
  return json.encode(json.object { lines = lines, heat = request.temperature, voice = model })
end

local REASON_OF = { done = "stop", breath = "length", calls = "tool_calls" }

local readers = {}

function readers.hello(it) return { kind = "start", id = it.id, model = it.of } end
function readers.say(it) return { kind = "text", text = it.say:upper() } end
function readers.more(it) return { kind = "arguments", index = it.at, text = it.with } end
function readers.stop(it) return { kind = "finish", reason = REASON_OF[it.why] or "stop" } end
function readers.cost(it) return { kind = "usage", usage = usage_of(it) } end
function readers.oops(it) return { kind = "error", status = it.code, message = it.what } end
function readers.bye() return { kind = "end" } end
function readers.call(it)
  return { kind = "tool", index = it.at, id = it.id, name = it.name, arguments = it.with }
end

function shout.stream_in(_, data, name)
  local read = readers[name]
  return read and { read(json.decode(data)) } or {}
end

function shout.response_in(text)
  local document, problem = json.decode(text)
  if type(document) ~= "table" then return nil, problem or "the answer is no JSON object" end
  local tools = {}
  for index, call in ipairs(document.calls or {}) do
    tools[index] = { id = call.id, name = call.name, arguments = call.with }
  end
  return {
    id = document.id, model = document.of, text = document.said and document.said:upper(),
    tools = tools, finish = REASON_OF[document.why], usage = usage_of(document.cost),
  }
end

return shout
