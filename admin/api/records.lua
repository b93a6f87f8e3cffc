--- admin.api.records: what became of each request: pages, one with everything that is known of it,
--- exports of any length, and those that come in now.

local csv = require "admin.api.csv"
local host = require "neap.host"
local journal = require "admin.api.journal"
local kept_bodies = require "admin.api.kept_bodies"
local json = require "neap.json"
local page = require "admin.api.page"
local problem = require "admin.api.problem"
local record_schema = require "admin.api.record_schema"
local schema = require "admin.api.schema"
local stream = require "admin.api.stream"

local ORDERS = { type = "string", enum = { "newest", "oldest" }, default = "newest",
  description = "Which come first." }

local UUID = { type = "string", format = "uuid" }

local function list(of)
  local filter = record_schema.filter(of.query)
  filter.oldest_first = of.query.order == "oldest"
  local text, cursor = journal.page(filter, of.query.cursor, of.query.limit)
  return 200, json.object { items = json.raw(text), next_cursor = cursor or json.null }
end

local function show(of)
  local is_id = not schema.check(UUID, of.params.id)
  local text = is_id and journal.record(of.params.id)
  if not text then problem.not_found(("record %q"):format(of.params.id)) end
  return 200, json.raw(text)
end

-- ------------------------------------------------------------------------------------
-- Export

-- Records of a step: as many as lie in memory at once, where details may have 192 KiB each, and
-- bodies megabytes.
local STEP, STEP_DETAILED = 200, 20

local kinds = {
  ndjson = { "application/x-ndjson", "", function(lines) return lines end },
  csv = { "text/csv; charset=utf-8; header=present", csv.head(), csv.rows },
}

--- Writes each line with the bodies of its record in it.
local function write_with_bodies(out, lines)
  for line in lines:gmatch("[^\n]+") do out:write(kept_bodies.add(line) .. "\n") end
end

--- Writes step by step what fits the filter, up to the moment of the request: it ends, however
--- fast new records come. Where a step fails the answer is cut off, so that half of it never
--- passes for the whole.
local function export(of)
  local kind, head, rows = unpack(kinds[of.query.format])
  local filter = record_schema.filter(of.query, true)
  filter.oldest_first, filter.lines = of.query.order == "oldest", true
  local is_ndjson = of.query.format == "ndjson"
  local with_bodies = of.query.bodies and is_ndjson
  if with_bodies then kept_bodies.check(of) end
  filter.detailed = is_ndjson and (of.query.details or with_bodies)
  filter.limit = filter.detailed and STEP_DETAILED or STEP
  local text, cursor = journal.step(filter) -- what is wrong is told before the answer begins
  local out = stream.text(of, kind, "records." .. of.query.format)
  if head ~= "" then out:write(head) end
  while true do
    if with_bodies then
      write_with_bodies(out, text)
    elseif text ~= "" then
      out:write(rows(text))
    end
    if not cursor then return out:finish() end
    text, cursor = journal.step(journal.with(filter, cursor, filter.limit))
  end
end

-- ------------------------------------------------------------------------------------
-- Those that come in now

local TAIL_EVERY = 0.5   -- seconds between two looks
local TAIL_SECONDS = 300 -- of a stream: who comes back shows again that he may
local TAIL_MAX = 200     -- records of one look
local TAIL_BACK = 10     -- seconds that a look goes back: no record is written later than that
local TAILS_MAX = 20     -- streams at once
local LOST_SECONDS = 5   -- without a look, after which a stream is taken for gone

local open = setmetatable({}, { __mode = "k" }) -- the last look of each stream, by its request

--- Nothing runs in a stream whose client has left, so that each shows by itself that it is there.
local function check_room()
  local count, now = 0, host.now()
  for _, last in pairs(open) do
    if now - last < LOST_SECONDS then count = count + 1 end
  end
  if count >= TAILS_MAX then
    problem.busy(("%d streams of records are open, more are not served"):format(count), 5)
  end
end

--- Sends those that came after the last one sent, the oldest first. Returns the newest id. The
--- order of a page is that in which records were written.
local function send_new(events, items, last)
  local found
  for index, item in ipairs(items) do
    if item.id == last then found = index end
  end
  if not found and #items >= TAIL_MAX then
    events:send("gap", json.object { message = "more records came than a stream shows" })
  end
  for index = (found or #items + 1) - 1, 1, -1 do
    events:send("record", items[index], items[index].id)
  end
  return items[1] and items[1].id or last
end

local function tail(of)
  check_room()
  open[of] = host.now()
  local filter, ends = record_schema.filter(of.query), host.now() + TAIL_SECONDS
  local began, last, shown = host.wall(), of.handle:header("last-event-id"), nil
  filter.from = last and began - TAIL_BACK or began
  local events = stream.events(of)
  events:write(": the records that come in from now on\n\n")
  while events:is_wanted() and host.now() < ends do
    open[of] = host.now()
    local text = journal.page(filter, nil, TAIL_MAX)
    if text ~= shown then last = send_new(events, json.decode(text), last) end
    shown = text
    filter.from = math.max(filter.from, host.wall() - TAIL_BACK)
    events:rest(TAIL_EVERY)
  end
  open[of] = nil
  events:finish()
end

local tail_query = record_schema.query()
tail_query.from, tail_query["until"] = nil, nil

return {
  { id = "list_records", method = "GET", path = "/api/v1/records", tag = "records",
    scope = "read", summary = "Requests and what became of them", run = list,
    description = "A search that takes long answers with what it has found so far, perhaps with "
      .. "nothing; `next_cursor` goes on from there.",
    query = page.query(record_schema.query { order = ORDERS }),
    responses = { { 200, "A page.", page.schema(record_schema.item) } } },
  { id = "export_records", method = "GET", path = "/api/v1/records/export", tag = "records",
    scope = "read", summary = "All records that fit, as a file", is_stream = true, run = export,
    description = "Written piece by piece, up to the moment of the request. An answer that is cut "
      .. "off was not the whole. A text that a spreadsheet would take for a formula has a ' before "
      .. "it in CSV.",
    query = record_schema.query { order = ORDERS,
      format = { type = "string", enum = { "ndjson", "csv" }, default = "ndjson" },
      details = { type = "boolean", default = false,
        description = "With raw usage, error and trace (not in CSV)." },
      bodies = { type = "boolean", default = false,
        description = "With these and what is kept of the bodies (not in CSV), for which the "
          .. "scope `bodies` is needed." } },
    responses = {
      { 200, "A record in each line.", { type = "string" }, "application/x-ndjson" },
      { 200, "As a table, where `format` says so.", { type = "string" }, "text/csv" } } },
  { id = "tail_records", method = "GET", path = "/api/v1/records/tail", tag = "records",
    scope = "read", summary = "The records that come in now, as events", is_stream = true,
    description = "Server-sent events `record`, with the record as data and its id as id; `gap` "
      .. "where more came in half a second than are shown. Ends after 5 minutes: an EventSource "
      .. "comes back by itself and goes on behind the last id it has seen.",
    query = tail_query, run = tail,
    responses = { { 200, "Events.", { type = "string" }, "text/event-stream" } } },
  { id = "get_record", method = "GET", path = "/api/v1/records/{id}", tag = "records",
    scope = "read", summary = "A record with attempts, raw usage, error and trace", run = show,
    responses = { { 200, "The record.", record_schema.detail } } },
}
