--- admin.api.statistics: sums of requests, tokens, costs and times: of a span, as a series, and who
--- had how much. They are handed on as the journal gives them.
---
--- Sums are kept by one dimension each. A breakdown of one token by model is made of the records
--- themselves, as far as they are kept and not too many.

local host = require "neap.host"
local job = require "admin.api.job"
local journal = require "admin.api.journal"
local json = require "neap.json"
local problem = require "admin.api.problem"
local record_schema = require "admin.api.record_schema"
local recost = require "neap.jobs.recost"
local reply = require "admin.api.reply"
local schema = require "admin.api.schema"
local settings = require "admin.api.settings"
local time_steps = require "admin.api.time_steps"

local DIMENSIONS = { "model", "provider", "group", "token", "endpoint", "key" }
local DAY = 86400
local SPANS_MAX = 3000

-- ------------------------------------------------------------------------------------
-- What is asked

--- The dimension and value that a request narrows its question to, put into the spec.
local function narrow(spec, query)
  for _, name in ipairs(DIMENSIONS) do
    if query[name] then
      if spec.dimension then
        problem.raise(400, "invalid_query", ("%s and %s cannot go together: sums are kept by one "
          .. "of them each"):format(spec.dimension, name), { field = name })
      end
      spec.dimension, spec.value = name, query[name]
    end
  end
  return spec
end

--- The end of the minute that runs: the newest requests are in it.
local function now_ended() return math.floor(host.wall() / 60) * 60 + 60 end

local function span_of(query, seconds)
  local from, till = record_schema.span(query)
  from, till = from and math.floor(from), till and math.ceil(till)
  till = till or math.max(now_ended(), from and from + 60 or 0)
  return from or math.max(0, till - seconds), till
end

local function overview(of)
  local from, till = span_of(of.query, DAY)
  local spec = narrow({ from = from, before = till }, of.query)
  return 200, reply.raw("application/json", journal.stats(spec))
end

--- Refuses a span of which there are no records any more, where they alone can tell.
local function check_kept(from)
  local age = settings.get("record_age")
  if age == 0 or from >= host.wall() - age then return end
  problem.raise(400, "invalid_query", ("of one value by another dimension there are no sums, and "
    .. "records are kept for %.4g days: ask for a later time"):format(age / DAY),
    { field = "from" })
end

local function breakdown(of)
  local from, till = span_of(of.query, DAY)
  local spec = narrow({ from = from, before = till, by = of.query.by, order = of.query.order,
    top = of.query.top }, of.query)
  if spec.dimension and spec.dimension ~= spec.by then check_kept(from) end
  return 200, reply.raw("application/json", journal.stats(spec))
end

-- ------------------------------------------------------------------------------------
-- Series

-- How far a series goes back where the request does not say.
local BACK = { minute = 3600, hour = DAY, day = 30 * DAY, month = 366 * DAY }

local function series(of)
  local zone, zone_name = settings.zone(of)
  local step, query = of.query.step, of.query
  local from, till = span_of(query, BACK[step])
  -- A series of its own accord begins where a step does.
  if not query.from then from = time_steps.after(zone, step, from) end
  if from >= till then from = till - 60 end
  local edges = time_steps.edges(zone, step, from, till, SPANS_MAX + 1)
  if not edges then
    problem.raise(400, "invalid_query",
      ("a series has at most %d steps: ask for a shorter time or longer steps"):format(SPANS_MAX),
      { field = "step" })
  end
  local text = journal.stats(narrow({ from = from, before = till, edges = edges }, query))
  -- Put together by hand: the text may be of megabytes, which is too much for a pattern.
  local head = json.encode(json.object { step = step, zone = zone_name })
  return 200, reply.raw("application/json", head:sub(1, -2) .. "," .. text:sub(2))
end

-- ------------------------------------------------------------------------------------
-- Costs made anew

local function recompute(of)
  local from, till = record_schema.span(of.body)
  local given = { from = from, before = till or host.wall(), prices = of.body.prices or "in_force" }
  return job.begin(of, recost.NAME, given, { action = "recompute", object = "statistics/costs",
    after = json.object { from = of.body.from, ["until"] = of.body["until"],
      prices = given.prices } })
end

-- ------------------------------------------------------------------------------------
-- What it looks like

local count = { type = "integer", minimum = 0 }
local share = { type = { "number", "null" } }

local function of_counts(...)
  local properties, names = {}, { ... }
  for _, name in ipairs(names) do properties[name] = count end
  return schema.object(properties, names)
end

local times = schema.named("Times", schema.object({ average = share, p50 = share, p95 = share,
  p99 = share }, { "average", "p50", "p95", "p99" }))

local function sum_properties(more)
  local properties = {
    status = of_counts("none", "1xx", "2xx", "3xx", "4xx", "5xx"),
    usage = of_counts("known", "estimated", "in_fresh", "cache_read", "cache_write_5m",
      "cache_write_1h", "in_audio", "out_total", "reasoning", "requests", "audio_ms", "images",
      "total"),
    priced = { type = "integer", description = "Requests whose cost is known." },
    cost_micros = { type = "integer", description = "Millionths of a USD." },
    ms = times, first_event_ms = times, success_rate = share, requests_per_s = share,
    tokens_per_s = share,
  }
  for _, name in ipairs { "requests", "ok", "failed", "aborted", "truncated", "tests", "streams",
    "attempts", "attempts_failed", "retries", "retried", "bytes_in", "bytes_out" } do
    properties[name] = count
  end
  properties.attempts_failed = { type = "integer", minimum = 0,
    description = "Attempts that failed or were answered with an error." }
  for name, one in pairs(more or {}) do properties[name] = one end
  return properties
end

local REQUIRED = { "requests", "ok", "failed", "usage", "cost_micros", "ms" }
local moment = { type = "integer", description = "Seconds since 1970." }
local sums = schema.named("Sums", schema.object(sum_properties(), REQUIRED))
local span = schema.named("SpanSums", schema.object(
  sum_properties { from = moment, ["until"] = moment },
  { "from", "until", "requests", "usage", "cost_micros", "ms" }))
local of_value = schema.named("ValueSums", schema.object(
  sum_properties { value = { type = { "string", "null" } } },
  { "value", "requests", "usage", "cost_micros", "ms" }))

local function query_of(more)
  local query = {
    from = { type = "string", format = "date-time" },
    ["until"] = { type = "string", format = "date-time",
      description = "The first moment that does not belong to it; now where it is not said." },
  }
  for _, name in ipairs(DIMENSIONS) do
    query[name] = { type = "string", maxLength = 240,
      description = "Only requests with this one; one of these parameters at most." }
  end
  for name, one in pairs(more or {}) do query[name] = one end
  return query
end

local KEPT = "Minutes are kept for 48 hours, hours for 90 days, days of UTC for ever: `from` and "
  .. "`until` of the answer say to where what was asked for was moved."

local function operation(name, self)
  self.id, self.path = "get_statistics_" .. name, "/api/v1/statistics/" .. name
  self.method, self.tag, self.scope = "GET", "statistics", "read"
  return self
end

local recompute_body = schema.object({
  from = { type = "string", format = "date-time",
    description = "Of requests that ended at this moment or later." },
  ["until"] = { type = "string", format = "date-time",
    description = "Of requests that ended before this moment; now where it is not said." },
  prices = { enum = { "in_force", "current" }, description = "`in_force`: those that were in "
    .. "force when a request began, as far as neap has noted them since it has an admin side; "
    .. "`current`: those of now. Without it `in_force`." },
}, { "from" })

return {
  { id = "recompute_costs", method = "POST", path = "/api/v1/statistics/recompute",
    tag = "statistics", scope = "write", summary = "Make the costs of a span of time anew",
    description = "Records and sums change together, page by page; a record whose prices are not "
      .. "known stays as it is. The job `costs` in `/api/v1/jobs` tells how far it is and what "
      .. "came of it.",
    body = recompute_body, errors = { 409 }, run = recompute,
    responses = { { 202, "It has begun.", job.schema } } },
  operation("overview", { summary = "Requests, tokens, costs and times of a span",
    description = "Without `from` of the last 24 hours. " .. KEPT, query = query_of(),
    run = overview, responses = { { 200, "The sums.", span } } }),
  operation("series", { summary = "The same by minute, hour, day or month", run = series,
    description = ("Without `from` the last hour of minutes, day of hours, 30 days or 12 months. "
      .. "At most %d steps. "):format(SPANS_MAX) .. KEPT,
    query = query_of { zone = settings.zone_query, step = { type = "string",
      enum = { "minute", "hour", "day", "month" }, default = "hour" } },
    responses = { { 200, "One after the other.", schema.object({ step = { type = "string" },
      zone = { type = "string" }, spans = { type = "array", items = span } },
      { "step", "zone", "spans" }) } } }),
  operation("breakdown", { summary = "Who had how much of it", run = breakdown,
    description = "Without `from` of the last 24 hours. " .. KEPT .. " Of one value by another "
      .. "dimension, such as the models of one token, there are no sums: the records of the span "
      .. "are counted, with its very ends; of more than 50,000 that is refused.",
    query = query_of({
      by = { type = "string", enum = DIMENSIONS, default = "model" },
      order = { type = "string", enum = { "requests", "tokens", "cost" }, default = "requests" },
      top = { type = "integer", minimum = 1, maximum = 1000, default = 20,
        description = "How many are named; the others are one sum." },
    }),
    responses = { { 200, "Those with most first.", schema.object({ from = moment,
      ["until"] = moment, by = { enum = DIMENSIONS }, count = count,
      values = { type = "array", items = of_value }, other = schema.nullable(sums),
      total = sums }, { "from", "until", "by", "count", "values", "other", "total" }) } } }),
}
