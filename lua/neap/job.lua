--- neap.job: work that the admin worker does by itself now and then, or by hand.
---
--- Each job is visible: when it ran last and with what result in words, whether it runs now, when
--- it runs next. A job never runs twice at once, only a few jobs run side by side, and one that
--- raises is shown and runs again, sooner than usual at first. What is known of a job lies in the
--- memory that all share, so that it outlives a reload; a run that a reload finds goes on to its
--- end in the generation that it began in, and holds up the next run until then.
---
---     local jobs = job.new()
---     jobs:add { name = "sweep", every = 3600, run = function(run) return "swept" end }
---     jobs:start()

local fault = require "neap.fault"
local host = require "neap.host"
local json = require "neap.json"

local job = {}

local LIMIT = 4            -- jobs that the timer lets run at once
local LOOK_SECONDS = 1     -- between two looks at what is due
local FIRST_SECONDS = 30   -- within which a job runs that has never run
local RETRY_SECONDS = 30   -- after the first of some failures
local TIMEOUT = 600        -- seconds of a run
local GRACE_SECONDS = 60   -- beyond that, after which a run counts as lost
local TEXT_MAX = 500       -- bytes

---@class neap.job_spec
---@field name string
---@field help string? what it does, for people
---@field every number|fun(): number seconds between two runs; 0: by hand only
---@field timeout number? seconds, 600: after that run:is_over() is true
---@field run fun(run: neap.job_run): string? returns its result in words

---@class neap.job_view moments are seconds since 1970
---@field name string
---@field help string?
---@field every number 0: by hand only
---@field running boolean
---@field since number? when the present run began
---@field progress string? what the present run said
---@field last { started: number, seconds: number, outcome: string, text: string }? outcome: "ok",
---"failed" or "timeout"
---@field next number?
---@field runs integer since the process began
---@field failures integer in a row

local function bounded(text) return #text <= TEXT_MAX and text or text:sub(1, TEXT_MAX) .. "…" end

-- ------------------------------------------------------------------------------------
-- What is known of a job

local function key_of(name, what) return ("job\0%s\0%s"):format(name, what) end

--- { runs, failures, started, seconds, outcome, text, ended, next, every }; ended and next are of
--- the clock that never jumps.
local function load(name)
  local text = host.shared_get(key_of(name, "state"))
  return text and json.decode(text) or { runs = 0, failures = 0 }
end

local function save(name, state)
  local _, problem = host.shared_set(key_of(name, "state"), json.encode(state))
  if problem then host.log("warn", "job", ("%s: %s"):format(name, problem)) end
end

--- Up to a tenth less or more by chance, so that jobs do not keep step.
local function spread(seconds) return seconds * (0.9 + host.random() * 0.2) end

--- Seconds from the end of a run to the next one. After failures it is tried again sooner, at
--- growing distances, but never more often than is asked for.
local function pause(every, failures)
  if failures == 0 then return spread(every) end
  return spread(math.min(every, RETRY_SECONDS * 2 ^ math.min(failures - 1, 16)))
end

--- How often it shall run now: a setting may have changed. What is no number counts as off.
local function every_of(spec)
  local every, problem = spec.every, nil
  if type(every) == "function" then every, problem = fault.catch(every) end
  if problem then host.log("error", "job", ("%s: %s"):format(spec.name, problem)) end
  return type(every) == "number" and every > 0 and every or 0
end

--- The state with the moment of the next run brought up to date.
local function plan(spec)
  local state, every, now = load(spec.name), every_of(spec), host.now()
  if state.every == every then return state, every end
  if every == 0 then
    state.next = nil
  elseif state.ended then
    state.next = math.max(now, state.ended + pause(every, state.failures))
  else
    state.next = now + host.random() * math.min(every, FIRST_SECONDS)
  end
  state.every = every
  save(spec.name, state)
  return state, every
end

-- ------------------------------------------------------------------------------------
-- A run

---@class neap.job_run
---@field name string
---@field timeout number seconds that are left of it at the beginning
---@field given any what a run by hand was begun with
local Run = {}
Run.__index = Run

--- Whether the run has had its time: then it ends as soon as it can.
---@return boolean
function Run:is_over()
  self.is_cut = self.is_cut or host.now() >= self.deadline
  return self.is_cut
end

--- Shows how far the run has come.
---@param format string
---@param ... any
function Run:say(format, ...)
  host.shared_set(key_of(self.name, "progress"), bounded(format:format(...)), self.timeout)
end

local function conclude(spec, run, result, problem)
  local state = load(spec.name)
  state.runs, state.seconds = state.runs + 1, host.now() - run.began
  state.started, state.ended = run.started, host.now()
  state.outcome = problem and "failed" or run.is_cut and "timeout" or "ok"
  state.text = bounded(problem or result or "")
  state.failures = state.outcome == "ok" and 0 or state.failures + 1
  state.every = every_of(spec)
  state.next = state.every > 0 and state.ended + pause(state.every, state.failures) or nil
  save(spec.name, state)
  local level = problem and "error" or run.is_cut and "warn" or "debug"
  host.log(level, "job", ("%s: %s"):format(spec.name, state.text))
end

local function work(self, spec, run)
  local result, problem = fault.catch(spec.run, run)
  if result ~= nil then result = tostring(result) end
  conclude(spec, run, result, problem)
  host.shared_set(key_of(spec.name, "progress"), nil)
  host.shared_swap(key_of(spec.name, "run"), run.mark, nil)
  self.open = self.open - 1
end

--- Begins a run, unless one goes on, perhaps in another generation.
local function begin(self, spec, given)
  local timeout = spec.timeout or TIMEOUT
  local run = setmetatable({
    name = spec.name, timeout = timeout, began = host.now(), started = host.wall(),
    deadline = host.now() + timeout, given = given,
  }, Run)
  run.mark = ("%.3f %s"):format(run.started, host.id())
  local did, problem =
    host.shared_swap(key_of(spec.name, "run"), nil, run.mark, timeout + GRACE_SECONDS)
  if problem then return nil, problem end
  if not did then return nil, "it runs already" end
  self.open = self.open + 1
  host.spawn(work, self, spec, run)
  return true
end

-- ------------------------------------------------------------------------------------
-- The jobs of a worker

---@class neap.jobs
local Jobs = {}
Jobs.__index = Jobs

---@param options { limit: integer? }?
---@return neap.jobs
function job.new(options)
  return setmetatable({
    list = {}, by_name = {}, open = 0, limit = options and options.limit or LIMIT,
  }, Jobs)
end

---@param spec neap.job_spec
function Jobs:add(spec)
  if self.by_name[spec.name] then error(("there are two jobs %q"):format(spec.name), 2) end
  self.list[#self.list + 1], self.by_name[spec.name] = spec, spec
end

local function start_due(self)
  for _, spec in ipairs(self.list) do
    local state, every = plan(spec)
    if every > 0 and host.now() >= state.next and self.open < self.limit then begin(self, spec) end
  end
end

local function look_after(self)
  while not self.is_closed and host.is_current() do
    local _, problem = fault.catch(start_due, self)
    if problem then host.log("error", "job", problem) end
    host.sleep(LOOK_SECONDS)
  end
end

--- Runs each job when it is due, from now on until a reload replaces this generation.
function Jobs:start() host.spawn(look_after, self) end

--- Begins no more runs by itself; those that were begun go on to their end.
function Jobs:close() self.is_closed = true end

--- Begins a run by hand, now. nil and why where there is none: no such job, or it runs already.
---@param name string
---@param given any? for the run, as run.given
---@return true?, string? why
function Jobs:run(name, given)
  local spec = self.by_name[name]
  if not spec then return nil, "there is no such job" end
  return begin(self, spec, given)
end

local function last_of(state)
  if not state.ended then return nil end
  return { started = state.started, seconds = state.seconds, outcome = state.outcome,
    text = state.text }
end

---@param name string
---@return neap.job_view? # nil: there is no such job
function Jobs:view(name)
  local spec = self.by_name[name]
  if not spec then return nil end
  local state, every = plan(spec)
  local mark = host.shared_get(key_of(name, "run"))
  return {
    name = name, help = spec.help, every = every, running = mark ~= nil,
    since = mark and tonumber(mark:match("^%S+")),
    progress = mark and host.shared_get(key_of(name, "progress")) or nil, last = last_of(state),
    next = state.next and host.wall() + state.next - host.now(), runs = state.runs,
    failures = state.failures,
  }
end

---@return neap.job_view[] # in the order in which they were added
function Jobs:views()
  local views = {}
  for index, spec in ipairs(self.list) do views[index] = self:view(spec.name) end
  return views
end

return job
