--- admin.api.compat.journal: records and statistics as the replaced systems' clients ask for them:
--- numbered pages and sums of spans.
---
--- Their calls are requests for completions: that somebody listed models is recorded, and counts
--- for none. The journal goes on from a cursor and not from a number: a page far behind the first
--- costs all those before it, so that only so many records can be left out.

local host = require "neap.host"
local json = require "neap.json"
local page_text = require "admin.api.journal"
local problem = require "admin.api.problem"
local zone = require "neap.zone"

local journal = {}

local SKIP_MAX = 20000  -- records before a page, and records that are looked at
local PAGES_MAX = 200   -- of the journal for one of ours: a search may give empty ones
local PAGE = 1000
local DAY = 86400
local CALLS = "chat"    -- the endpoint of what counts as a call

local function read(name, ...)
  if not host[name] then
    problem.raise(503, "no_journal", "nothing is recorded: there is no journal")
  end
  local text, cursor = host[name](...)
  if not text then
    host.log("error", "admin", ("%s: %s"):format(name, tostring(cursor)))
    problem.raise(503, "journal_failed", "the journal cannot be read; neap's log says why")
  end
  return text, cursor
end

local function call(name, ...)
  local text, cursor = read(name, ...)
  return assert(json.decode(text)), cursor
end

--- Refuses what lies too far behind the newest record.
function journal.check_skip(skip)
  if skip <= SKIP_MAX then return end
  problem.raise(400, "too_far", ("only %d records can be left out: /api/v1/records goes on from "
    .. "where a page ended"):format(SKIP_MAX))
end

--- Records of calls, newest first: `count` of those that pass, behind the first `skip` of these;
--- and how many pass of the newest SKIP_MAX. Waits.
---@param filter table as host.journal_page has it
---@param skip integer
---@param count integer
---@param options { passes: function?, is_counted: boolean?, is_any: boolean? }? passes(record);
---is_counted: go on to the end to count them; is_any: of any endpoint
---@return table[] records, integer total
function journal.slice(filter, skip, count, options)
  options = options or {}
  journal.check_skip(skip)
  local list, seen, looked, pages, cursor = {}, 0, 0, 0, nil
  local most = options.is_counted and SKIP_MAX or skip + count
  repeat
    local asked = { limit = math.min(PAGE, most) }
    for name, value in pairs(filter) do asked[name] = value end
    asked.cursor = cursor
    local page
    page, cursor = call("journal_page", asked)
    looked, pages = looked + #page, pages + 1
    for _, record in ipairs(page) do
      local is_wanted = options.is_any or record.endpoint == CALLS
      if is_wanted and (not options.passes or options.passes(record)) then
        seen = seen + 1
        if seen > skip and #list < count then list[#list + 1] = record end
      end
    end
  until not cursor or cursor == "" or seen >= most or looked >= SKIP_MAX or pages == PAGES_MAX
  return list, seen
end

--- The record of an id with its details, or nil. Waits.
function journal.record(id)
  if not host.journal_record then read("journal_record") end
  local text = host.journal_record(id)
  return text and assert(json.decode(text)) or nil
end

--- A body that is kept of a request; nil where there is none, or who asks lacks the scope bodies.
--- Waits.
---@param id string
---@param part "request"|"response"
---@return string?
function journal.body(of, id, part)
  return of.who.scopes.bodies and host.journal_body and host.journal_body(id, part) or nil
end

--- How many conversations the newest SKIP_MAX records belong to. Waits.
---@return integer
function journal.conversations()
  local seen, count, looked, cursor = {}, 0, 0, nil
  for _ = 1, PAGES_MAX do
    local text
    text, cursor = read("journal_page", { limit = PAGE, cursor = cursor })
    looked = looked + page_text.count(text)
    -- A quote inside of a text has a backslash before it: this is found as a member only.
    for from in page_text.behind(text, '"conversation":"') do
      local id = text:sub(from, text:find('"', from, true) - 1)
      if not seen[id] then seen[id], count = true, count + 1 end
    end
    if not cursor or cursor == "" or looked >= SKIP_MAX then break end
  end
  return count
end

--- What host.journal_stats takes: whole seconds. Of long ago only whole days are known, so that a
--- span without an end goes on to the end of today.
local function span(from, till)
  local tomorrow = (math.floor(host.wall() / DAY) + 1) * DAY
  return { from = math.floor(from or 0), before = math.ceil(till or tomorrow) }
end

--- The same of calls alone.
local function span_of_calls(from, till)
  local spec = span(from, till)
  spec.dimension, spec.value = "endpoint", CALLS
  return spec
end

--- Sums of the calls of a span; without one, of all time. Waits.
function journal.sums(from, till)
  return (call("journal_stats", span_of_calls(from, till)))
end

--- Sums by the value of a dimension, the greatest first: { { value, sums … }, … }. What has no
--- value (of providers: what was refused before one was asked) is left out. Waits.
---@return table[] list, boolean is_whole whether these are all that there are
---@param by "provider"|"model"|"group"|"token"|"endpoint"|"key"
---@param options { from: number?, till: number?, order: string?, top: integer? }?
function journal.breakdown(by, options)
  options = options or {}
  local spec = span(options.from, options.till)
  spec.by, spec.order, spec.top = by, options.order or "requests", options.top or 1000
  local list, found = {}, call("journal_stats", spec)
  for _, one in ipairs(found.values) do
    if one.value ~= "" and one.value ~= json.null then list[#list + 1] = one end
  end
  return list, found.other == nil or found.other == json.null
end

--- Sums of one value of a dimension, of all time. Waits.
function journal.sums_of(dimension, value)
  local spec = span()
  spec.dimension, spec.value = dimension, value
  return (call("journal_stats", spec))
end

--- Sums of calls between each two of the edges, in a list as long as there are gaps; nil where
--- nothing is kept. Waits.
function journal.series(edges)
  local spec, different = span_of_calls(edges[1], edges[#edges]), {}
  for _, edge in ipairs(edges) do
    if edge ~= different[#different] then different[#different + 1] = edge end
  end
  spec.edges = different
  local spans = call("journal_stats", spec).spans
  local list = {}
  for _, one in ipairs(spans) do
    for index = #edges - 1, 1, -1 do
      local middle = (one.from + one["until"]) / 2
      if middle >= edges[index] then
        list[index] = one
        break
      end
    end
  end
  return list
end

-- ------------------------------------------------------------------------------------
-- Tokens

--- Tokens that went in, of a record's or a sum's usage.
function journal.tokens_in(usage)
  if usage == nil or usage == json.null then return 0 end
  return usage.in_fresh + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    + usage.in_audio
end

function journal.tokens_out(usage)
  if usage == nil or usage == json.null then return 0 end
  return usage.out_total
end

function journal.tokens(usage) return journal.tokens_in(usage) + journal.tokens_out(usage) end

-- ------------------------------------------------------------------------------------
-- Days and months

--- The first moment at which clocks of the zone show so many seconds since 1970; where they never
--- do, because they are put forward, the moment of that.
local function moment_of(self, shown)
  local before, after = zone.offset(self, shown - DAY), zone.offset(self, shown + DAY)
  local early, late = shown - math.max(before, after), shown - math.min(before, after)
  return early + zone.offset(self, early) == shown and early or late
end

--- The moment at which a local date begins.
local function begin_of(self, year, month, day)
  return moment_of(self, zone.days_of(year, month, day) * DAY)
end

--- Where the 24 hours of the local day of a moment begin, and the day's end. One that clocks show
--- twice is as long as two, and one that they leave out has no length.
---@return number[] edges
function journal.hours(self, wall)
  local now = zone.calendar(self, wall)
  local midnight, edges = zone.days_of(now.year, now.month, now.day) * DAY, {}
  for hour = 0, 24 do edges[hour + 1] = moment_of(self, midnight + hour * 3600) end
  return edges
end

--- Where local days begin: `count` from the date on, and the last one's end.
local function days_from(self, year, month, day, count)
  local edges, naive = {}, zone.days_of(year, month, day)
  for index = 0, count do
    -- At noon everybody has the same date.
    local date = zone.calendar(assert(zone.find("UTC")), (naive + index) * DAY + DAY / 2)
    edges[index + 1] = begin_of(self, date.year, date.month, date.day)
  end
  return edges
end

--- Where the days of the local month of a moment begin, and the month's end.
function journal.days_of_month(self, wall)
  local now = zone.calendar(self, wall)
  local year, month = now.year, now.month + 1
  if month == 13 then year, month = year + 1, 1 end
  local count = zone.days_of(year, month, 1) - zone.days_of(now.year, now.month, 1)
  return days_from(self, now.year, now.month, 1, count)
end

--- Where the last `count` local days begin, today the last of them; and their dates.
function journal.last_days(self, wall, count)
  local now = zone.calendar(self, wall)
  local first = zone.calendar(assert(zone.find("UTC")),
    (zone.days_of(now.year, now.month, now.day) - count + 1) * DAY + DAY / 2)
  local dates = {}
  for index = 1, count do
    local date = zone.calendar(assert(zone.find("UTC")),
      (zone.days_of(first.year, first.month, first.day) + index - 1) * DAY + DAY / 2)
    dates[index] = ("%04d-%02d-%02d"):format(date.year, date.month, date.day)
  end
  return days_from(self, first.year, first.month, first.day, count), dates
end

return journal
