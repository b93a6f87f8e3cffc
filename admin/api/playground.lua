--- admin.api.playground: a request through the real router, for an administrator: the same groups,
--- policies, providers and record as a client's, but no token.
---
--- Its answers are the router's own, errors too: what a client would get.

local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local router = require "neap.router"
local schema = require "admin.api.schema"

-- Those that the router writes itself.
local OF_ROUTER = { ["x-request-id"] = true, ["cache-control"] = true }

local function chat(of)
  -- The router looks into the body as it came, which is done for JSON alone.
  if of.handle:kind() ~= "object" then
    problem.raise(415, "unsupported_type", "the body must be a JSON object, with its content type",
      { field = "Content-Type" })
  end
  local all, fields = reply.fields(of), {}
  for index = 1, #all, 2 do
    if not OF_ROUTER[all[index]] then
      fields[#fields + 1], fields[#fields + 2] = all[index], all[index + 1]
    end
  end
  of.is_answered = true
  router.try_chat(of.handle, fields)
end

local free = { type = "object", additionalProperties = true }
local responses = { { 200, "The answer: a chat completion.", free },
  { 200, "Events, where `stream` is true.", { type = "string" }, "text/event-stream" } }
for _, status in ipairs { 400, 404, 413, 422, 429, 500, 502, 503, 504 } do
  responses[#responses + 1] = { status, "As a client would get it.", free }
end

local body = schema.object({ model = { type = "string", minLength = 1,
  description = "A group, or a provider and its model." },
  messages = { type = "array", items = free }, stream = { type = "boolean" } },
  { "model", "messages" })
body.additionalProperties = true

return {
  { id = "try_chat", method = "POST", path = "/api/v1/playground/chat", tag = "playground",
    scope = "write", summary = "A chat completion through the router, without a token", run = chat,
    description = "`x-neap-trace` of the answer says what each policy tried and why, and "
      .. "`x-neap-record` is the id of the record, whose origin is `test`. It costs what a "
      .. "client's request does.",
    takes = "json", body = body, changes_nothing = true, responses = responses },
}
