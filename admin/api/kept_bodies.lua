--- admin.api.kept_bodies: what is kept of the bodies of requests and answers, for who may see what
--- clients wrote.

local auth = require "admin.api.auth"
local journal = require "admin.api.journal"
local json = require "neap.json"
local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local schema = require "admin.api.schema"

local kept_bodies = {}

local PARTS = { "request", "response" }
local UUID = { type = "string", format = "uuid" }

--- The word `bodies` of a group or token.
---@param description string
function kept_bodies.word(description)
  return { anyOf = { { type = "boolean" }, { const = "failures" },
    { type = "number", minimum = 0, maximum = 1 } },
    description = description .. " true: all; false: none; \"failures\": of requests that did not "
      .. "go well; a share above 0, up to 1: of so many of them." }
end

--- The bodies of a decoded record, each with its text; bytes that are no UTF-8 are replaced.
local function texts_of(record)
  local items = json.array {}
  for _, facts in ipairs(record.bodies) do
    local text = journal.body(record.id, facts.part)
    -- Retention may have been faster.
    if text then
      facts.text = text
      items[#items + 1] = facts
    end
  end
  return items
end

--- A line of an export with the bodies in it.
---@param line string a record in JSON
---@return string
function kept_bodies.add(line)
  local id = json.decode(json.find(line, "id"))
  local text = journal.record(id)
  local record = text and json.decode(text)
  if not record or not record.bodies[1] then return line end
  return ("%s,\"bodies\":%s}"):format(line:match("^(.*)}%s*$"), json.encode(texts_of(record)))
end

local function record_of(of)
  local is_id = not schema.check(UUID, of.params.id)
  local text = is_id and journal.record(of.params.id)
  if not text then problem.not_found(("record %q"):format(of.params.id)) end
  return json.decode(text)
end

local function list(of) return 200, json.object { items = texts_of(record_of(of)) } end

local function show(of)
  local is_part = of.params.part == PARTS[1] or of.params.part == PARTS[2]
  local bytes = is_part and journal.body(record_of(of).id, of.params.part)
  if not bytes then
    problem.not_found(("kept body %q of the record %q"):format(of.params.part, of.params.id))
  end
  -- A page that somebody had a model write must not become one of neap's own.
  return 200, reply.raw("application/octet-stream", bytes),
    { "content-disposition", ("attachment; filename=\"%s\""):format(of.params.part) }
end

--- Raises 403 where the caller may not see bodies.
function kept_bodies.check(of) auth.check_scope(of.who, "bodies") end

kept_bodies.facts = { part = { enum = PARTS }, size = { type = "integer", minimum = 0,
  description = "Bytes that are kept." }, whole_size = { type = "integer", minimum = 0,
  description = "Bytes that there were." }, cut = { type = "boolean",
  description = "Whether its end is missing." } }
local with_text = { text = { type = "string",
  description = "Without secrets; bytes that are no UTF-8 are replaced." } }
for name, one in pairs(kept_bodies.facts) do with_text[name] = one end
local NAMES = { "part", "size", "whole_size", "cut" }
kept_bodies.schema = schema.named("BodyFacts", schema.object(kept_bodies.facts, NAMES))
local text_schema = schema.named("KeptBody",
  schema.object(with_text, { "part", "size", "whole_size", "cut", "text" }))

kept_bodies.operations = {
  { id = "list_record_bodies", method = "GET", path = "/api/v1/records/{id}/bodies",
    tag = "records", scope = "bodies", summary = "What is kept of a request's bodies", run = list,
    description = "The client's body (`request`) and the answer as the client got it "
      .. "(`response`), where the group or the token has them kept.",
    responses = { { 200, "Those that are kept.", schema.object({
      items = { type = "array", items = text_schema } }, { "items" }) } } },
  { id = "get_record_body", method = "GET", path = "/api/v1/records/{id}/bodies/{part}",
    tag = "records", scope = "bodies", summary = "A kept body, byte for byte", run = show,
    responses = { { 200, "The bytes.", { type = "string" }, "application/octet-stream" } } },
}

return kept_bodies
