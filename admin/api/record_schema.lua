--- admin.api.record_schema: what a record of a request looks like, and which of them somebody
--- wants to see.
---
--- Records are handed on as the journal writes them: numbers with their unit in their name, which
--- add up to what statistics say.

local host = require "neap.host"
local kept_bodies = require "admin.api.kept_bodies"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"

local record_schema = {}

local text, nullable_text = { type = "string" }, { type = { "string", "null" } }
local count, nullable_count = { type = "integer", minimum = 0 },
  { type = { "integer", "null" }, minimum = 0 }
local boolean = { type = "boolean" }

local ORIGINS = { "client", "test", "import" }
local OUTCOMES = { "ok", "failed", "aborted", "truncated" }
record_schema.OUTCOMES = OUTCOMES

-- The kinds of usage that are tokens; reasoning is a part of out_total.
record_schema.TOKEN_KINDS = { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h",
  "in_audio", "out_total" }

local usage = schema.object({
  estimate = boolean, in_fresh = count, cache_read = count, cache_write_5m = count,
  cache_write_1h = count, in_audio = count, out_total = count,
  reasoning = { type = "integer", minimum = 0, description = "Part of out_total." },
  requests = count, audio_ms = count, images = count,
}, { "estimate", "in_fresh", "out_total" })

local attempt = schema.object({
  provider = nullable_text, model = nullable_text, key = nullable_text, status = nullable_count,
  failure = nullable_text,
  lost = { type = "boolean", description = "Another one won the race." },
  ms = count, first_event_ms = nullable_count,
}, { "provider", "model", "key", "status", "failure", "lost", "ms", "first_event_ms" })

local function properties()
  return {
    id = text, request_id = nullable_text,
    start_us = { type = "integer", description = "Microseconds since 1970." },
    token = nullable_text, group = nullable_text, endpoint = nullable_text,
    dialect_in = nullable_text, dialect_out = nullable_text,
    model = { type = { "string", "null" }, description = "As the client asked for it." },
    provider = nullable_text, target_model = nullable_text, key = nullable_text,
    conversation = nullable_text, client = nullable_text,
    status = { type = { "integer", "null" }, description = "null: the client got none." },
    outcome = { enum = OUTCOMES }, origin = { enum = ORIGINS }, stream = boolean,
    ms = count, first_byte_ms = nullable_count, first_event_ms = nullable_count,
    usage = schema.nullable(usage), cost_micros = { type = { "integer", "null" },
      description = "Millionths of a USD; null where no price is known." },
    price_version = nullable_count, bytes_in = count, bytes_out = count, generation = count,
    details = { type = "boolean", description = "Whether there is more of it: raw usage, error, "
      .. "trace." },
    attempts = { type = "array", items = attempt },
  }
end

local REQUIRED = { "id", "start_us", "status", "outcome", "origin", "stream", "ms", "usage",
  "cost_micros", "attempts" }

record_schema.item = schema.named("Record", schema.object(properties(), REQUIRED))

local anything = { description = "JSON where it is some, else a text; null where there is none." }
local more = properties()
more.raw_usage, more.error, more.trace = anything, anything, anything
more.bodies = { type = "array", items = kept_bodies.schema,
  description = "What there is of the bodies: `/api/v1/records/{id}/bodies` gives them." }
record_schema.detail = schema.named("RecordDetail", schema.object(more, REQUIRED))

-- ------------------------------------------------------------------------------------
-- Filters

local function name_of(what)
  return { type = "string", minLength = 1, maxLength = 240, description = what }
end

--- The parameters that choose records, to be put into an operation's query.
---@param others table<string, table>? the operation's own
function record_schema.query(others)
  local query = {
    from = { type = "string", format = "date-time",
      description = "Of requests that ended at this moment or later." },
    ["until"] = { type = "string", format = "date-time",
      description = "Of requests that ended before this moment." },
    token = name_of "Its name.",
    group = name_of "Its name.",
    provider = name_of "Of the answer, or of any attempt.",
    model = name_of "As asked for, or of any attempt.",
    key = name_of "Its id, of the answer or of any attempt.",
    conversation = name_of "Its id.",
    text = name_of "A part of a model, an error, a conversation or a request's id, in any case.",
    status = { type = "string", format = "status",
      description = "A status, or a class: 429, 4xx." },
    outcome = { enum = OUTCOMES, type = "string" },
    stream = { type = "boolean" },
    origin = { enum = ORIGINS, type = "string",
      description = "test: requests of the playground; import: another router's, carried over by "
        .. "`neap import`." },
    min_ms = { type = "integer", minimum = 0, maximum = 1e9 },
    min_cost_micros = { type = "integer", minimum = 0, maximum = 1e15 },
  }
  for name, one in pairs(others or {}) do query[name] = one end
  return query
end

local SAME = { "token", "group", "provider", "model", "key", "conversation", "text", "outcome",
  "stream", "min_ms", "min_cost_micros" }

-- The journal's time is from 1970 to the end of 9999; what is asked for has some of it.
local FIRST_UNTIL, LAST_FROM = 60, 253402300800 - 86400

--- The moments `from` and `until` of a request, in seconds since 1970; nil where it names none.
function record_schema.span(query)
  local from = query.from and math.min(math.max(0, schema.moment(query.from)), LAST_FROM)
  local till = query["until"] and math.max(FIRST_UNTIL, schema.moment(query["until"]))
  if from and till and from >= till then
    problem.raise(400, "invalid_query", "until must be later than from", { field = "until" })
  end
  return from, till
end

--- What host.journal_page takes, out of a request's parameters.
---@param query table
---@param is_bounded boolean? whether records that come from now on stay out
function record_schema.filter(query, is_bounded)
  local from, till = record_schema.span(query)
  local filter = { from = from, before = till or (is_bounded and host.wall() or nil) }
  for _, name in ipairs(SAME) do filter[name] = query[name] end
  if query.origin then
    filter.test, filter.import = query.origin == "test", query.origin == "import"
  end
  if query.status then
    local class = query.status:match("^(%d)xx$")
    filter.status_class = tonumber(class)
    if not class then filter.status = tonumber(query.status) end
  end
  return filter
end

return record_schema
