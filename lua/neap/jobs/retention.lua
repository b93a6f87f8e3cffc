--- neap.jobs.retention: removes what is older, or more, than is kept, in small slices.
---
--- What is removed, and how, is up to the sweeps that it is given; each works in slices, so that
--- nobody waits for a long one. After the wall clock went ahead by more than a day nothing is
--- removed for a day: if it is wrong, all that there is would be old, and whoever sets it right
--- again loses nothing.

local host = require "neap.host"

local retention = {}

local EVERY = 600           -- seconds
local SLICE_PAUSE = 0.05    -- seconds between two slices: others write, too

local LEAP = 86400          -- seconds between two runs that only a wrong clock, or sleep, explains
local AHEAD, UNTIL = "retention\0ahead", "retention\0until" -- common to all generations

--- How long nothing is to be removed because of a leap of the wall clock, or nil.
local function time_to_wait()
  local now, ahead = host.now(), host.wall() - host.now()
  local before = host.shared_get(AHEAD) or ahead
  host.shared_set(AHEAD, ahead)
  if ahead - before > LEAP then host.shared_set(UNTIL, now + LEAP) end
  if before - ahead > LEAP then host.shared_set(UNTIL, nil) end
  local left = (host.shared_get(UNTIL) or now) - now
  return left > 0 and left or nil
end

---@class neap.sweep
---@field name string what it removes, in the plural: "records"
---@field slice fun(): integer, boolean? removes a slice of it; how many, and whether more is left

--- Slices until nothing is left, or the run has had its time. Returns how many it removed.
local function sweep_out(run, sweep)
  local sum = 0
  repeat
    local removed, is_more = sweep.slice()
    sum = sum + removed
    run:say("%d %s removed", sum, sweep.name)
    if is_more then host.sleep(SLICE_PAUSE) end
  until not is_more or run:is_over()
  return sum
end

---@param sweeps neap.sweep[] may be added to later
---@param options { every: (number|fun(): number)? }?
---@return neap.job_spec
function retention.job(sweeps, options)
  local function run_all(run)
    local words, problems, wait = {}, {}, time_to_wait()
    if wait then
      return ("the clock went ahead by more than a day: nothing is removed for %d h, so that it "
        .. "can be set right"):format(math.ceil(wait / 3600))
    end
    for _, sweep in ipairs(sweeps) do
      -- One that fails keeps none of the others from its work.
      local ok, got = pcall(sweep_out, run, sweep)
      if ok then
        words[#words + 1] = ("%d %s"):format(got, sweep.name)
      else
        problems[#problems + 1] = ("%s: %s"):format(sweep.name, tostring(got))
      end
    end
    if problems[1] then error(table.concat(problems, "; "), 0) end
    return words[1] and table.concat(words, ", ") .. " removed" or "there is nothing to remove"
  end

  return { name = "retention", every = options and options.every or EVERY, run = run_all,
    help = "removes records and bodies that are older, or more, than is kept" }
end

return retention
