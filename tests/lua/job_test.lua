require "neap.test"
local clock = require "neap.test.clock"
local host = require "neap.host"
local job = require "neap.job"
local memory = require "neap.test.memory"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"

local WALL = 1767225600

--- Runs the story in a fiber of its own, in a world without any job yet; what runs beside it ends
--- with it.
local function story(name, run)
  test(name, function()
    stand_in.use { memory = memory.new(), wall = WALL }
    local is_current = true
    host.is_current = function() return is_current end
    clock.run { function()
      local ok, problem = pcall(run)
      is_current = false
      if not ok then error(problem, 0) end
    end }
  end)
end

--- Jobs with one job that counts its runs; more: fields of the spec.
local function counting(more)
  local jobs, seen = job.new(), { count = 0, moments = {} }
  local spec = { name = "count", every = 100, run = function()
    seen.count = seen.count + 1
    seen.moments[seen.count] = clock.time
    return "done " .. seen.count
  end }
  for name, value in pairs(more or {}) do spec[name] = value end
  jobs:add(spec)
  return jobs, seen
end

story("a job runs soon after the start, and then at its pace", function()
  local jobs, seen = counting()
  local began = clock.time
  jobs:start()
  host.sleep(31)
  test.equal(seen.count, 1)
  host.sleep(1000)
  for index = 2, seen.count do
    local distance = seen.moments[index] - seen.moments[index - 1]
    test.ok(distance > 89 and distance < 112, distance)
  end
  test.ok(seen.count >= 10 and seen.count <= 12, seen.count)
  test.ok(seen.moments[1] - began <= 31)
end)

story("what is known of a job is shown", function()
  local jobs = counting { help = "counts" }
  local view = jobs:view "count"
  test.equal(view.last, nil)
  test.equal({ view.running, view.runs, view.failures, view.every, view.help },
    { false, 0, 0, 100, "counts" })
  test.ok(view.next >= WALL and view.next <= WALL + 30, view.next)
  jobs:run "count"
  host.sleep(1)
  view = jobs:view "count"
  test.equal(view.last, { started = WALL, seconds = 0, outcome = "ok", text = "done 1" })
  test.ok(view.next > WALL + 89 and view.next < WALL + 111, view.next)
  test.equal(view.runs, 1)
  test.equal(jobs:view "other", nil)
  test.equal(#jobs:views(), 1)
end)

story("one that raises is shown, and runs again: sooner at first, then at its pace", function()
  local moments = {}
  local jobs = counting { every = 300, run = function()
    moments[#moments + 1] = clock.time
    if #moments <= 5 then error("no luck", 0) end
    return "well"
  end }
  jobs:start()
  host.sleep(35)
  local view = jobs:view "count"
  test.equal({ view.last.outcome, view.last.text }, { "failed", "no luck" })
  test.equal(view.failures, #moments)
  host.sleep(1000)
  local wanted = { 30, 60, 120, 240, 300 }
  for index = 1, #wanted do
    local distance = moments[index + 1] - moments[index]
    test.ok(math.abs(distance - wanted[index]) <= wanted[index] * 0.1 + 1.1,
      ("%d: %s"):format(index, distance))
  end
  test.equal(jobs:view("count").failures, 0)
end)

story("a short pace is no shorter after a failure", function()
  local moments = {}
  local jobs = counting { every = 10, run = function()
    moments[#moments + 1] = clock.time
    error("no", 0)
  end }
  jobs:start()
  host.sleep(200)
  for index = 2, #moments do test.ok(moments[index] - moments[index - 1] >= 9) end
end)

story("an error without a text, and a result that is none", function()
  local jobs = counting { run = function() error({}) end }
  jobs:add { name = "number", every = 0, run = function() return 42 end }
  jobs:add { name = "nothing", every = 0, run = function() end }
  for _, name in ipairs { "count", "number", "nothing" } do jobs:run(name) end
  host.sleep(1)
  test.equal(jobs:view("count").last.outcome, "failed")
  test.equal(jobs:view("number").last.text, "42")
  test.equal(jobs:view("nothing").last.text, "")
end)

story("a long result is cut", function()
  local jobs = counting { run = function() return ("x"):rep(10000) end }
  jobs:run "count"
  host.sleep(1)
  test.ok(#jobs:view("count").last.text < 600)
end)

story("by hand: one run at a time", function()
  local jobs, seen = counting { every = 0, run = function(run)
    run:say("%d of %d", 1, 2)
    host.sleep(50)
    return "slept"
  end }
  test.equal({ jobs:run "count" }, { true })
  host.sleep(1)
  local view = jobs:view "count"
  test.equal({ view.running, view.progress, view.since }, { true, "1 of 2", WALL })
  test.equal({ jobs:run "count" }, { nil, "it runs already" })
  test.equal({ jobs:run "other" }, { nil, "there is no such job" })
  host.sleep(50)
  view = jobs:view "count"
  test.equal({ view.running, view.progress, view.last.text, view.last.seconds },
    { false, nil, "slept", 50 })
  test.equal(seen.count, 0)
end)

story("a job that is off runs by hand only, and a setting turns it on and off", function()
  local every = 0
  local jobs, seen = counting { every = function() return every end }
  jobs:start()
  host.sleep(1000)
  test.equal(seen.count, 0)
  test.equal(jobs:view("count").next, nil)
  every = 50
  host.sleep(200)
  test.ok(seen.count >= 3, seen.count)
  every = 0
  host.sleep(1)
  local count = seen.count
  host.sleep(1000)
  test.equal(seen.count, count)
  test.ok(jobs:run "count")
  host.sleep(1)
  test.equal(seen.count, count + 1)
  test.equal(jobs:view("count").next, nil)
end)

story("a new pace counts from the last run", function()
  local every = 10000
  local jobs, seen = counting { every = function() return every end }
  jobs:run "count"
  jobs:start()
  host.sleep(500)
  test.equal(seen.count, 1)
  every = 400
  host.sleep(2)
  test.equal(seen.count, 2)
end)

story("a pace that raises, or is no number, is off", function()
  local jobs, seen = counting { every = function() error("no setting", 0) end }
  jobs:add { name = "text", every = function() return "often" end, run = function()
    seen.count = seen.count + 1
  end }
  jobs:start()
  host.sleep(100)
  test.equal(seen.count, 0)
  test.equal(jobs:view("count").every, 0)
end)

story("no more jobs at once than allowed", function()
  local jobs, open, most, ended = job.new { limit = 2 }, 0, 0, 0
  for index = 1, 6 do
    jobs:add { name = "job " .. index, every = 1000, run = function()
      open = open + 1
      most = math.max(most, open)
      host.sleep(40)
      open, ended = open - 1, ended + 1
    end }
  end
  jobs:start()
  host.sleep(200)
  test.equal({ most, ended }, { 2, 6 })
end)

story("a run that has had its time is told so, and shown", function()
  local jobs = counting { timeout = 20, run = function(run)
    local turns = 0
    while not run:is_over() do
      host.sleep(3)
      turns = turns + 1
    end
    return ("%d turns"):format(turns)
  end }
  jobs:run "count"
  host.sleep(30)
  local last = jobs:view("count").last
  test.equal({ last.outcome, last.text, last.seconds }, { "timeout", "7 turns", 21 })
  test.equal(jobs:view("count").failures, 1)
end)

story("a run that never comes back blocks its job for its time and no longer", function()
  local count = 0
  local jobs = counting { every = 0, timeout = 20, run = function()
    count = count + 1
    host.sleep(1000)
  end }
  jobs:run "count"
  host.sleep(79)
  test.equal({ jobs:run "count" }, { nil, "it runs already" })
  host.sleep(2)
  test.equal({ jobs:run "count" }, { true })
  host.sleep(1)
  test.equal(count, 2)
end)

story("a reload keeps what is known, and never makes a job run twice at once", function()
  local open, most, count = 0, 0, 0
  local function run()
    open, count = open + 1, count + 1
    most = math.max(most, open)
    host.sleep(60)
    open = open - 1
    return "run " .. count
  end
  local old = counting { every = 100, run = run }
  old:start()
  host.sleep(31)
  test.equal({ count, open }, { 1, 1 })
  old:close()
  local new = counting { every = 100, run = run }
  new:start()
  test.equal(new:view("count").running, true)
  test.equal({ new:run "count" }, { nil, "it runs already" })
  host.sleep(60)
  local view = new:view "count"
  test.equal({ view.running, view.last.text, view.runs }, { false, "run 1", 1 })
  test.ok(view.next > host.wall() + 40, "the pace goes on")
  host.sleep(200)
  test.equal(most, 1)
  test.ok(count >= 2)
end)

story("a generation that was replaced begins no runs", function()
  local jobs, seen = counting { every = 10 }
  host.is_current = function() return false end
  jobs:start()
  host.sleep(100)
  test.equal(seen.count, 0)
end)

story("two jobs of one name are a mistake", function()
  local jobs = counting()
  test.raises(function() jobs:add { name = "count", every = 1, run = print } end, "two jobs")
end)

return test.finish()
