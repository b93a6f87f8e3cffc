--- neap.jobs.retention: old records and bodies are removed; shown as a job, and begun by hand.
---
--- The journal's own thread removes them, every few seconds and without this job: it is there where
--- nobody administers neap, too. The job has it look at once, waits until it is through, and says
--- what has been removed since the run before.

local host = require "neap.host"
local leap = require "neap.jobs.leap"

local retention = {}

local EVERY = 600 -- seconds
local LOOK = 0.2  -- seconds between two looks how far it is
local TOLD = "retention\0told" -- what the last run knew; common to all generations

local function text_of(figures, told)
  local records, bodies = (told or "0 0"):match("^(%d+) (%d+)$")
  return ("%d records, %d bodies removed"):format(figures.removed - records,
    figures.bodies_removed - bodies)
end

--- Waits until the journal is through with what was asked for, or the run has had its time.
local function wait_for(run, wanted, told)
  local figures = host.journal_figures()
  while figures.retained < wanted and not run:is_over() do
    run:say("%s", text_of(figures, told))
    host.sleep(LOOK)
    figures = host.journal_figures()
  end
  return figures
end

local function run_once(run)
  local wanted, told = host.journal_retain(), host.shared_get(TOLD)
  if not wanted then return "nothing is recorded: there is no journal" end
  local figures = wait_for(run, wanted, told)
  if figures.retention_error then error(figures.retention_error, 0) end
  if figures.held > 0 then return leap.text(figures.held) end
  host.shared_set(TOLD, ("%d %d"):format(figures.removed, figures.bodies_removed))
  return text_of(figures, told)
end

---@return neap.job_spec
function retention.job()
  return { name = "retention", every = EVERY, run = run_once,
    help = "removes records and bodies that are older, or more, than is kept" }
end

return retention
