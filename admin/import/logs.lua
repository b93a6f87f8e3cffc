--- admin.import.logs: the calls in other routers' logs as records of neap's, with the origin
--- "import".
---
--- The modules of the systems say what a row means (plan:log); here the rows are read one page
--- after the other and handed to the journal (host/script/import_journal.c), whatever their
--- number. A row that was carried once is not carried again: its record's id is made of the row,
--- and a mark in the journal says up to which row a database was read.

local source = require "admin.import.source"

local logs = {}

local SAME = "%s\n%d\n%s\n%s" -- what two rows of one number and moment do not share
local NONE = {}
local ERROR_MAX, SECRET_LEAST = 4096, 16 -- bytes
local CUT_SHORT = "what was carried over so far stays, but the logs are not complete: %s; run it "
  .. "again"

-- ------------------------------------------------------------------------------------
-- What rows say

local function whole(value)
  value = tonumber(value)
  return value and value >= 0 and value < 2 ^ 53 and math.floor(value) or nil
end

logs.whole = whole

--- Tokens as a record has them, of numbers as a row has them; nil where it has none.
---@param prompt any
---@param completion any
---@param total any
---@return table?
function logs.usage(prompt, completion, total)
  prompt, completion, total = whole(prompt), whole(completion), whole(total)
  if not prompt and not completion and not total then return nil end
  completion = completion or (prompt and total and math.max(0, total - prompt)) or 0
  return { in_fresh = prompt or math.max(0, (total or 0) - completion), out_total = completion }
end

--- Millionths of a dollar; nil where there is no price.
function logs.micros(dollars)
  dollars = tonumber(dollars)
  return dollars and dollars >= 0 and dollars < 2 ^ 33 and math.floor(dollars * 1e6 + 0.5) or nil
end

--- What an old log says of a failure, bounded, and without what looks like a secret: providers
--- quote the key that they refuse.
---@param value any
---@param secrets table<string, any> a set
---@return string?
function logs.error_text(value, secrets)
  if type(value) ~= "string" or value == "" then return nil end
  return (value:sub(1, ERROR_MAX):gsub("[%w_%-]+", function(word)
    local is_secret = secrets[word] or (#word >= SECRET_LEAST and (word:find("^sk%-")
      or word:find("^AIza")))
    return is_secret and source.mask(word) or nil
  end))
end

--- What the columns of a row that may be anything make of a record: its start, its target, and
--- the one attempt that these logs know of.
---@param row { ends: number, seconds: number?, provider: string?, model: string?, key: string?,
---status: integer?, is_ok: boolean }
---@return table record
function logs.record(row)
  local seconds = row.seconds or 0
  local record = { wall = row.ends - seconds, seconds = seconds, endpoint = "chat",
    dialect_in = "openai", dialect_out = row.provider and "openai" or nil,
    provider = row.provider, target_model = row.model, key = row.key, status = row.status,
    outcome = row.is_ok and "ok" or "failed", attempts = NONE }
  if row.provider and row.model then
    record.attempts = { { target_name = row.provider .. "/" .. row.model, key_id = row.key,
      status = row.status, seconds = seconds, failure = not row.is_ok and "status" or nil } }
  end
  return record
end

-- ------------------------------------------------------------------------------------
-- Reading

local function seed_of(log, row, record)
  return SAME:format(log.system, row.row, record.model or "", record.target_model or "")
end

--- A row's record with its id, or nil: it has no time.
local function record_of(log, row, journal, names)
  local record = log.map(row, names)
  if not record or not (record.wall >= 0 and record.wall < 2 ^ 33) then return nil end
  record.uuid = journal.id(seed_of(log, row, record), record.wall)
  return record
end

local function mark_name(log, row) return ("import/%s/%d"):format(log.system, row) end

--- The greatest row up to which this very database was carried, or 0: the record of a row that a
--- mark names must be the one that the mark has.
local function row_of_mark(log, journal, names)
  local front, greatest = ("import/%s/"):format(log.system), 0
  local marks, why = journal.marks(front)
  if not marks then source.fail("the journal cannot be read: %s", why) end
  for name, id in pairs(marks) do
    local number = tonumber(name:sub(#front + 1)) or 0
    if number > greatest then
      local row = log.rows(number - 1)()
      local record = row and row.row == number and record_of(log, row, journal, names)
      if record and record.uuid == id then greatest = number end
    end
  end
  return greatest
end

-- ------------------------------------------------------------------------------------
-- Writing

local function put(journal, record, mark)
  local is_taken, why = journal.add(record, record.attempts, mark)
  if is_taken == nil then source.fail(CUT_SHORT, why) end
  return is_taken
end

local function rows_of(log) return ("%ss of %s"):format(log.unit, log.name) end

local function count_of(count, log)
  return ("%s of %s"):format(source.count(count, log.unit), log.name)
end

local function tell(plan, done, log, counts, journal)
  local carried, summed, there = journal.figures()
  there = there + counts.before
  if carried > 0 then
    table.insert(done.carried, count_of(carried, log) .. ", as records with the origin import")
  end
  if summed > 0 then
    plan:hint(count_of(summed, log) .. " are older than records become here (the setting "
      .. "record_age): they are in the statistics, and not in the list of records.")
  end
  if there > 0 then
    table.insert(done.there, count_of(there, log) .. ", of an earlier import")
  end
  plan:leave_count(counts.young, rows_of(log) .. " of the last minute, or of the future",
    "import again later")
  plan:leave_count(counts.timeless, rows_of(log) .. " without a time", "a record has one")
end

local function carry(plan, done, log, journal)
  local from = row_of_mark(log, journal, done)
  local counts = { before = from > 0 and log.count_to(from) or 0, young = 0, timeless = 0 }
  journal.begin(done.record_age, from > 0 and mark_name(log, from) or nil)
  for row in log.rows(from) do
    local record = record_of(log, row, journal, done)
    if not record then
      counts.timeless = counts.timeless + 1
    else
      -- A mark would say that the row before it, which is too young, is carried as well.
      local mark = counts.young == 0 and mark_name(log, row.row) or nil
      if not put(journal, record, mark) then counts.young = counts.young + 1 end
    end
  end
  local is_written, why = journal.finish()
  if not is_written then source.fail(CUT_SHORT, why) end
  tell(plan, done, log, counts, journal)
end

--- Carries the logs of a plan over, once the rest of it is written; done.carried, done.there, and
--- the plan's lists get more.
---@param plan table
---@param done table of admin.import.apply
---@param journal table of the host: begin, add, finish, figures, marks, id
function logs.carry(plan, done, journal)
  for _, log in ipairs(plan.logs) do carry(plan, done, log, journal) end
end

--- Leaves all of them out.
function logs.leave(plan)
  for _, log in ipairs(plan.logs) do
    plan:leave_count(log.count_to(), rows_of(log), "left out by --no-logs")
  end
  plan.logs = {}
end

--- A table of a file's as a plan's log: `columns` are read where the table has them, `condition`
--- says which rows.
---@param file table
---@param given { system: string, name: string, columns: string[], condition: string?, map:
---fun(row: table, done: table): table? }
---@return table
function logs.of_table(file, given)
  local where = given.condition and " AND " .. given.condition or ""
  local log = { system = given.system, name = given.name, unit = "row", map = given.map }
  function log.rows(from)
    return file:stream(given.name, given.columns, ("rowid > %d%s"):format(from, where))
  end
  function log.count_to(row)
    return file:count_where(given.name, ("rowid <= %d%s"):format(row or 2 ^ 53, where))
  end
  return log
end

return logs
