--- neap.test.client: the client's side of a request: what it asks, and what it gets. From the first
--- use on the host has no other requests than these.

local host = require "neap.host"
local json = require "neap.json"
local openai = require "neap.dialect.openai"

local client = {}

local Handle = {}
Handle.__index = Handle

function Handle:headers()
  local list = {}
  for name, value in pairs(self.given_headers) do
    list[#list + 1], list[#list + 2] = name, value
  end
  return list
end

function Handle:header(name) return self.given_headers[name:lower()] end
function Handle:id() return "test" end
function Handle:uuid() return "test" end
function Handle:elapsed() return host.now() - self.began, false end
function Handle:peer() return "127.0.0.1", true end
function Handle:size() return #self.text end

function Handle:body(most)
  if #self.text <= most then return self.text end
end

function Handle:look(look) return look:of(self.text) end

function Handle:member(name)
  local raw, kind = json.find(self.text, name)
  if raw then return raw, kind, #raw end
end

function Handle:on_disconnect() end
function Handle:set_record() end

function Handle:keep_bodies(size_max, failures_only)
  self.kept_bodies = { size_max, failures_only or false }
end

-- ------------------------------------------------------------------------------------
-- The answer

local function take_fields(self, status, fields)
  if self.status then error("the request is answered already", 3) end
  self.status, self.fields = status, {}
  for index = 1, #fields, 2 do self.fields[fields[index]] = tostring(fields[index + 1]) end
end

function Handle:reply(status, fields, body)
  take_fields(self, status, fields)
  self.answer = body
end

--- The fields of an answer that a provider gave. Of the provider's own, the type is the one that
--- tests read.
local function passed_fields(self, attempt, conversation, provider, attempts, more)
  local fields = { "x-request-id", self:id(), "x-neap-provider", provider,
    "x-neap-attempts", attempts, "content-type", attempt:header("content-type") }
  local function add(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  if conversation then add("x-conversation-id", conversation) end
  for index = 1, #(more or {}), 2 do add(more[index], more[index + 1]) end
  return fields
end

function Handle:reply_held(attempt, status, _, ...)
  take_fields(self, status, passed_fields(self, attempt, ...))
  self.answer = attempt:text(0)
  attempt:close()
  return self:elapsed()
end

function Handle:start(status, fields)
  take_fields(self, status, fields)
  self.answer = ""
end

function Handle:write(text) self.answer = self.answer .. text end
function Handle:finish() end
function Handle:cut() end

--- The rest of the answer, as it came; how the request's record ends is left to the caller.
function Handle:relay(attempt, status, _, ...)
  take_fields(self, status, passed_fields(self, attempt, ...))
  self.answer, self.break_off = attempt:drain()
  self.is_relayed = true
end

--- The usage that a relayed stream told last, or nil.
function Handle:usage()
  local usage
  for data in self.answer:gmatch("data: ([^\n]*)\n") do usage = openai.usage(data) or usage end
  return usage
end

--- The content text of the answer, streamed or not.
function Handle:content()
  local kind = self.fields and self.fields["content-type"] or ""
  if not kind:find("event-stream", 1, true) then return openai.text(self.answer or "") end
  local parts = {}
  for data in self.answer:gmatch("data: ([^\n]*)\n") do parts[#parts + 1] = openai.text(data) end
  return table.concat(parts)
end

for name, method in pairs(Handle) do host.request[name] = method end

--- A client's request with this body.
---@param text string a JSON object
---@param headers table<string, string> names in lower case
function client.of_text(text, headers)
  local raw, kind = json.find(text, "model")
  return setmetatable({
    given_headers = headers, text = text, model = kind == "string" and json.decode(raw) or nil,
    is_stream = json.find(text, "stream") == "true", sent = {}, began = host.now(),
  }, Handle)
end

--- The same out of values. given: `headers`, `token` (a name), and the members of the body;
--- `messages` may be a text.
---@param given table
---@param model string where given names none
function client.new(given, model)
  local body, headers = {}, {}
  for name, value in pairs(given) do body[name] = value end
  for name, value in pairs(given.headers or {}) do headers[name:lower()] = value end
  body.headers, body.token = nil, nil
  body.model = body.model or model
  body.messages = body.messages or "Hello"
  if type(body.messages) == "string" then
    body.messages = json.array { { role = "user", content = body.messages } }
  end
  local self = client.of_text(json.encode(body), headers)
  self.token = given.token
  return self
end

return client
