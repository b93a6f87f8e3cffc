--- admin.api.audit_prune: removes what is older, or more, than is kept of the audit log.
---
--- Nothing goes unless a setting says so (audit_age, audit_rows), and none that is within both.
--- What went is told in the log itself: a run that removes anything leaves one row, which is
--- written in the very transactions that remove.

local audit = require "admin.api.audit"
local host = require "neap.host"
local json = require "neap.json"
local leap = require "neap.jobs.leap"
local rows = require "admin.api.rows"

local audit_prune = {}

audit_prune.NAME = "audit log"

local EVERY = 86400
local SLICE = 200    -- rows of a transaction
local PAGE = 500     -- rows that are counted at once
local PAUSE = 0.02   -- seconds between two slices: others write, too

--- The key before which all rows were written before the moment: ids begin with their milliseconds.
local function key_of(moment)
  local digits = ("%012x"):format(math.max(0, math.floor(moment * 1000)))
  return ("%s%s-%s"):format(audit.PREFIX, digits:sub(1, 8), digits:sub(9))
end

--- Where there are more rows than so many, the key of the oldest that stays: the row that tells of
--- the others is one of them.
local function key_within(count, run)
  local at, seen, oldest = nil, 0, nil
  while not run:is_over() do
    local some, has_more = rows.page("objects", { prefix = audit.PREFIX, reverse = true,
      before = at, limit = PAGE })
    local place = math.max(1, count - 1) - seen
    oldest = oldest or some[place] and some[place].key
    seen, at = seen + #some, some[1] and some[#some].key
    if seen > count then return oldest end
    if not has_more or not at then return nil end
    host.sleep(0)
  end
end

--- The key before which all rows go, or nil. is_held: the clock may be wrong, none is too old.
local function limit_of(settings, run, is_held)
  local limit
  if settings.audit_age > 0 and not is_held then
    limit = key_of(host.wall() - settings.audit_age)
  end
  local oldest = settings.audit_rows > 0 and key_within(settings.audit_rows, run)
  if oldest and (not limit or oldest > limit) then limit = oldest end
  return limit
end

--- The row that tells what a run has removed, written anew by each slice.
local function put_note(ops, note, count, last)
  note.count = note.count + count
  note.before = last.time and host.time_text(last.time) or note.before
  ops[#ops + 1] = { "put", "objects", audit.PREFIX .. note.id, audit.row(note.id, {
    id = note.id, address = "-" }, { action = "prune", object = "audit", account = "retention",
    after = json.object { count = note.count, last = note.before } }) }
end

--- Removes some rows before the key. Returns whether there may be more.
local function slice(limit, note)
  local some, has_more = rows.page("objects", { prefix = audit.PREFIX, before = limit,
    limit = SLICE })
  if not some[1] then return false end
  local ops = {}
  for index, row in ipairs(some) do ops[index] = { "delete", "objects", row.key } end
  put_note(ops, note, #some, some[#some].document or {})
  rows.write(ops)
  return has_more
end

---@param settings fun(): { audit_age: number, audit_rows: number } those in force
---@return neap.job_spec
function audit_prune.job(settings)
  leap.wait(audit_prune.NAME) -- what comes from now on is seen
  local function run(run_of)
    local values, held, why = settings(), leap.wait(audit_prune.NAME)
    local limit = limit_of(values, run_of, held)
    if not limit then
      return values.audit_age > 0 and why or "nothing is too old, or too much"
    end
    local note = { id = host.id(), count = 0 }
    while slice(limit, note) and not run_of:is_over() do
      run_of:say("%d rows removed", note.count)
      host.sleep(PAUSE)
    end
    return ("%d rows removed"):format(note.count)
  end
  return { name = audit_prune.NAME, every = EVERY, run = run,
    help = "removes what is older, or more, than is kept of the audit log" }
end

return audit_prune
