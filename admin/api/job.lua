--- admin.api.job: what neap does by itself now and then: looked at, and begun by hand. The jobs run
--- in the admin worker, of the generation that is in force.

local audit_prune = require "admin.api.audit_prune"
local change = require "admin.api.change"
local host = require "neap.host"
local jobs_of = require "neap.jobs.all"
local json = require "neap.json"
local problem = require "admin.api.problem"
local price_history = require "neap.price_history"
local router = require "neap.router"
local schema = require "admin.api.schema"

local job = {}

local LIMIT = 20 -- keys of a provider asked about at once

local jobs, jobs_of_catalog -- of this generation

local time = { type = { "string", "null" }, format = "date-time" }
local view_schema = schema.named("Job", schema.object({
  name = { type = "string" }, help = { type = "string" },
  every = { type = "number", description = "Seconds; 0: by hand only." },
  running = { type = "boolean" }, since = time, progress = { type = { "string", "null" } },
  next = time, runs = { type = "integer" }, failures = { type = "integer",
    description = "In a row." },
  last = { anyOf = { { type = "null" }, schema.object({
    started = { type = "string", format = "date-time" }, seconds = { type = "number" },
    outcome = { enum = { "ok", "failed", "timeout" } }, text = { type = "string" },
  }, { "started", "seconds", "outcome", "text" }) } },
}, { "name", "every", "running", "since", "progress", "last", "next", "runs", "failures" }))

--- The jobs of what is loaded.
local function prepare()
  local configuration, known = router.loaded()
  if jobs_of_catalog == known then return jobs end
  jobs_of_catalog = known
  jobs = jobs_of.jobs(known, { limit = LIMIT,
    refresh_every = function() return configuration.settings.refresh_every end })
  jobs:add(audit_prune.job(function() return configuration.settings end))
  return jobs
end

--- The jobs of what is loaded.
---@return neap.jobs
function job.jobs() return prepare() end

local function note_prices(known)
  local count, why = price_history.note(known)
  if not count then host.log("error", "admin", "prices were not noted: " .. tostring(why)) end
end

--- The generation is in force: its jobs run from now on, and its prices hold.
function job.start()
  prepare():start()
  host.spawn(note_prices, jobs_of_catalog)
end

local function time_of(seconds) return seconds and host.time_text(seconds) or json.null end

local function view(one)
  local last = one.last
  return json.object { name = one.name, help = one.help, every = one.every, running = one.running,
    since = time_of(one.since), progress = one.progress or json.null, next = time_of(one.next),
    runs = one.runs, failures = one.failures, last = last and json.object {
      started = time_of(last.started), seconds = last.seconds, outcome = last.outcome,
      text = last.text } or json.null }
end

local function list()
  local items = json.array {}
  for index, one in ipairs(prepare():views()) do items[index] = view(one) end
  return 200, json.object { items = items }
end

--- Begins a job, audited, and answers 202 with how it stands.
---@param given any? what the run is begun with
---@param entry table? of the audit log
function job.begin(of, name, given, entry)
  local known = prepare()
  if not known:view(name) then problem.not_found(("job %q"):format(name)) end
  change.commit(of, {}, entry or { action = "run", object = "job/" .. name })
  local is_begun, why = known:run(name, given)
  if not is_begun then problem.raise(409, "running", ("the job %q: %s"):format(name, why)) end
  return 202, view(known:view(name))
end

local function run(of) return job.begin(of, of.params.name) end

job.schema = view_schema

job.operations = {
  { id = "list_jobs", method = "GET", path = "/api/v1/jobs", tag = "jobs", scope = "read",
    summary = "What neap does by itself, when it did it last, and how that went", run = list,
    responses = { { 200, "All jobs.", schema.object({
      items = { type = "array", items = view_schema } }, { "items" }) } } },
  { id = "run_job", method = "POST", path = "/api/v1/jobs/{name}/run", tag = "jobs",
    scope = "write", summary = "Begin a job by hand, now",
    params = { name = { type = "string", format = "line", maxLength = 300 } }, errors = { 409 },
    run = run, responses = { { 202, "It has begun; the list tells how it goes.", view_schema } } },
}

return job
