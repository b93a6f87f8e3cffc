--- admin.test.journal: stands in for the host's journal: records in memory, in the order in which
--- they were written, and statistics that are scripted.
---
---     local world = admin_world.new()
---     world.journal:add { model = "m", outcome = "failed", status = 502, ["end"] = 12.5 }
---     world.journal.problem = "failed" -- from now on nothing can be read

local json = require "neap.json"

local journal = {}

local Journal = {}
Journal.__index = Journal

local NULL = json.null
local DETAILS = { "raw_usage", "error", "trace" }

local function defaults(number)
  return json.object { id = ("01900000-0000-7000-9000-%012x"):format(number), request_id = NULL,
    start_us = 0, token = NULL, group = NULL, endpoint = "chat", dialect_in = "openai",
    dialect_out = NULL, model = NULL, provider = NULL, target_model = NULL, key = NULL,
    conversation = NULL, client = "127.0.0.1", status = 200, outcome = "ok", origin = "client",
    stream = false, ms = 0, first_byte_ms = NULL, first_event_ms = NULL, usage = NULL,
    cost_micros = NULL, price_version = NULL, bytes_in = 0, bytes_out = 0, generation = 1,
    details = false, attempts = json.array {} }
end

--- Adds a record. given: members of it, `end` (seconds since 1970; the world's present moment), and
--- raw_usage, error, trace, and bodies: { request = text, response = text }.
function Journal:add(given)
  local record, details = defaults(#self.list + 1), {}
  local ended = given["end"] or self.wall()
  for name, value in pairs(given) do record[name] = value end
  record["end"], record.bodies = nil, nil
  for _, name in ipairs(DETAILS) do
    details[name] = record[name] or NULL
    record.details, record[name] = record.details or details[name] ~= NULL, nil
  end
  record.start_us = math.floor(ended * 1e6 + 0.5) - record.ms * 1000
  self.list[#self.list + 1] = { record = record, details = details, ended = ended,
    bodies = given.bodies or {} }
  return record
end

local function fits(filter, one)
  local record = one.record
  if filter.from and one.ended < filter.from then return false end
  if filter.before and one.ended >= filter.before then return false end
  for _, name in ipairs { "token", "group", "provider", "model", "key", "conversation", "status",
    "outcome", "stream" } do
    if filter[name] ~= nil and filter[name] ~= record[name] then return false end
  end
  if filter.test ~= nil and filter.test ~= (record.origin == "test") then return false end
  if filter.import ~= nil and filter.import ~= (record.origin == "import") then return false end
  if filter.status_class and math.floor(record.status / 100) ~= filter.status_class then
    return false
  end
  if filter.min_ms and record.ms < filter.min_ms then return false end
  if not filter.text then return true end
  local all = ("%s %s"):format(tostring(record.model), tostring(one.details.error))
  return all:lower():find(filter.text:lower(), 1, true) ~= nil
end

local function text_of(one, is_detailed)
  -- The id comes first, as in the host.
  local rest = json.object {}
  for name, value in pairs(one.record) do rest[name] = value end
  rest.id = nil
  local text = ('{"id":"%s",%s'):format(one.record.id, json.encode(rest):sub(2))
  if not is_detailed then return text end
  return text:sub(1, -2) .. "," .. json.encode(json.object(one.details)):sub(2)
end

local function page(self, filter)
  if self.problem then return nil, self.problem, "by the test" end
  self.pages = self.pages + 1
  local from, to, step = #self.list, 1, -1
  if filter.oldest_first then from, to, step = 1, #self.list, 1 end
  local letter = filter.oldest_first and "u" or "d"
  if filter.cursor then
    local number = filter.cursor:match("^" .. letter .. "(%d+)$")
    if not number then return nil, "invalid", "the cursor is of no such page" end
    from = tonumber(number)
  end
  local parts, looked, at = {}, 0, from
  while (to - at) * step >= 0 and #parts < (filter.limit or 100) and looked < self.step do
    local one = self.list[at]
    if fits(filter, one) then parts[#parts + 1] = text_of(one, filter.detailed) end
    at, looked = at + step, looked + 1
  end
  local cursor = (to - at) * step >= 0 and letter .. at or nil
  if not filter.lines then return "[" .. table.concat(parts, ",") .. "]", cursor end
  return #parts > 0 and table.concat(parts, "\n") .. "\n" or "", cursor
end

local function record(self, id)
  if self.problem then return nil, self.problem, "by the test" end
  for _, one in ipairs(self.list) do
    if one.record.id == id then
      local facts = json.array {}
      for _, part in ipairs { "request", "response" } do
        local text = one.bodies[part]
        facts[#facts + 1] = text and json.object { part = part, size = #text, whole_size = #text,
          cut = false } or nil
      end
      return ("%s,\"bodies\":%s}"):format(text_of(one, true):sub(1, -2), json.encode(facts))
    end
  end
  return nil, "missing", "there is no such record"
end

local function body(self, id, part)
  for _, one in ipairs(self.list) do
    if one.record.id == id and one.bodies[part] then return one.bodies[part] end
  end
  return nil, "missing", "there is no such body"
end

local function stats(self, spec)
  if self.problem then return nil, self.problem, "by the test" end
  self.asked[#self.asked + 1] = spec
  local what = spec.by and "breakdown" or spec.edges and "series" or "overview"
  local answer = self.stats[what]
  return json.encode(type(answer) == "function" and answer(spec) or answer)
end

local function sums(more)
  local times = { average = NULL, p50 = NULL, p95 = NULL, p99 = NULL }
  local result = json.object { requests = 0, ok = 0, failed = 0, aborted = 0, truncated = 0,
    tests = 0, streams = 0, attempts = 0, attempts_failed = 0, retries = 0, retried = 0,
    status = { none = 0, ["1xx"] = 0, ["2xx"] = 0, ["3xx"] = 0, ["4xx"] = 0, ["5xx"] = 0 },
    usage = { known = 0, estimated = 0, in_fresh = 0, cache_read = 0, cache_write_5m = 0,
      cache_write_1h = 0, in_audio = 0, out_total = 0, reasoning = 0, requests = 0, audio_ms = 0,
      images = 0, total = 0 }, priced = 0, cost_micros = 0, bytes_in = 0, bytes_out = 0,
    ms = times, first_event_ms = times, success_rate = NULL, requests_per_s = 0,
    tokens_per_s = 0 }
  for name, value in pairs(more or {}) do result[name] = value end
  return result
end
--- Sums as statistics give them: zeros but for these.
journal.sums = sums

--- An empty journal. wall: the present moment.
---@param wall fun(): number
function journal.new(wall)
  return setmetatable({ list = {}, wall = wall, pages = 0, step = 1000, asked = {}, stats = {
    overview = sums { from = 0, ["until"] = 60 },
    series = json.object { spans = json.array {} },
    breakdown = json.object { from = 0, ["until"] = 60, count = 0, by = "model",
      values = json.array {}, other = NULL, total = sums() },
  } }, Journal)
end

--- The functions of neap.host that work on it.
function Journal:functions()
  return {
    journal_page = function(filter) return page(self, filter) end,
    journal_record = function(id) return record(self, id) end,
    journal_body = function(id, part) return body(self, id, part) end,
    journal_stats = function(spec) return stats(self, spec) end,
    journal_figures = function()
      return { written = #self.list, dropped = 0, bodies_dropped = 0, transactions = 0,
        removed = 0, bodies_removed = 0, retained = 1, held = 0,
        waiting_bytes = 0, ring_bytes = 4194304, last = self.wall(),
        error = self.error, bytes = 8192 }
    end,
    journal_retain = function() return 1 end,
  }
end

return journal
