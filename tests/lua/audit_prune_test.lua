-- The audit log loses what is older or more than is kept, no other row, and says so itself.
require "neap.test"
local audit = require "admin.api.audit"
local audit_prune = require "admin.api.audit_prune"
local clock = require "neap.test.clock"
local host = require "neap.host"
local job = require "neap.job"
local json = require "neap.json"
local memory = require "neap.test.memory"
local rows = require "neap.test.rows"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"

local NOW = 1767225600

local stored -- of the story that runs

local function story(name, run)
  test(name, function()
    stored = rows.new()
    for function_name, instead in pairs(stored.functions) do host[function_name] = instead end
    stand_in.use { memory = memory.new() }
    local made = 0
    host.id = function()
      made = made + 1
      local digits = ("%012x"):format(host.wall() * 1000)
      return ("%s-%s-7000-8000-%012x"):format(digits:sub(1, 8), digits:sub(9), made)
    end
    clock.run { run }
  end)
end

--- So many rows, the last of now, one each hour; and rows of others beside them.
local function fill(count)
  local wall = host.wall
  for index = 1, count do
    host.wall = function() return NOW - (count - index) * 3600 end
    local ops = {}
    audit.note(ops, { id = "r" .. index, address = "-" }, { action = "update", object = "x" })
    stored.tables.objects[ops[1][3] ] = json.encode(ops[1][4])
  end
  host.wall = wall
  stored.tables.objects["account/admin"] = "{}"
  stored.tables.objects["session/x"] = "{}"
end

--- What is left: the request ids of rows, the oldest first, and the rows that prunes left.
local function left()
  local keys, ids, notes = {}, {}, {}
  for key in pairs(stored.tables.objects) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local row = json.decode(stored.tables.objects[key])
    if row.action == "prune" then notes[#notes + 1] = row end
    if row.action == "update" then ids[#ids + 1] = row.request_id end
  end
  test.equal(stored.tables.objects["account/admin"] and stored.tables.objects["session/x"], "{}")
  return ids, notes
end

local function prune(age, count)
  local jobs = job.new()
  jobs:add(audit_prune.job(function() return { audit_age = age, audit_rows = count } end))
  assert(jobs:run(audit_prune.NAME))
  repeat host.sleep(1) until not jobs:view(audit_prune.NAME).running
  local last = jobs:view(audit_prune.NAME).last
  return last.outcome .. ": " .. last.text
end

story("nothing goes unless somebody said so", function()
  fill(1000)
  test.equal(prune(0, 0), "ok: nothing is too old, or too much")
  test.equal(#left(), 1000)
  test.equal(prune(2000 * 3600, 5000), "ok: 0 rows removed")
  local ids, notes = left()
  test.equal({ #ids, #notes }, { 1000, 0 })
end)

story("by age", function()
  fill(1000)
  test.equal(prune(10 * 3600 + 60, 0), "ok: 989 rows removed")
  local ids, notes = left()
  test.equal({ #ids, ids[1], #notes }, { 11, "r990", 1 })
  test.equal({ notes[1].object, notes[1].after.count, notes[1].actor.name, notes[1].after.last },
    { "audit", 989, "retention", host.time_text(NOW - 11 * 3600) })
  test.equal(prune(10 * 3600 + 60, 0), "ok: 0 rows removed")
  test.equal(select(2, left())[2], nil, "a run that removes nothing says nothing")
end)

story("a clock that leaps ahead makes no row too old", function()
  fill(10)
  local wall, ahead = host.wall, 0
  host.wall = function() return wall() + ahead end
  test.equal(prune(20 * 3600, 0), "ok: 0 rows removed")
  ahead = 365 * 86400
  test.match(prune(20 * 3600, 0), "^ok: the clock went ahead by more than a day")
  test.equal(prune(20 * 3600, 9), "ok: 2 rows removed", "what is too much goes all the same")
  host.wall = wall
end)

story("by number, with the row that tells", function()
  fill(1000)
  test.equal(prune(0, 600), "ok: 401 rows removed")
  local ids, notes = left()
  test.equal({ #ids, ids[1], #notes }, { 599, "r402", 1 })
  test.equal(prune(0, 600), "ok: nothing is too old, or too much")
  test.equal(prune(0, 600), "ok: nothing is too old, or too much")
  test.equal(prune(3600 * 1000, 10), "ok: 591 rows removed")
  ids, notes = left()
  test.equal({ #ids + #notes, ids[1] }, { 10, "r993" })
end)

story("a store that fails keeps all that it has, and the job says so", function()
  fill(300)
  stored.on_write = function() stored.failure = "failed" end
  test.match(prune(3600, 0), "^failed")
  stored.failure, stored.on_write = nil, nil
  local ids, notes = left()
  test.equal({ #ids, #notes }, { 300, 0 })
end)
