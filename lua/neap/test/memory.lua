--- neap.test.memory: what all workers share (values, health of targets and keys), in one table
--- and on the virtual clock. It keeps to the rules of the host's own memory.

local clock = require "neap.test.clock"

local memory = {}

local PROBE_SECONDS = 60 -- after which a probe that nobody concludes gives way
local LATENCY_FALL_SECONDS = 60
local LATENCY_FORGET_SECONDS = 600

-- ------------------------------------------------------------------------------------
-- Shared values

local function find(values, key)
  local entry = values[key]
  if entry and (not entry.ends or entry.ends > clock.time) then return entry end
end

local function put(values, key, value, ttl)
  if value == nil then
    values[key] = nil
  else
    values[key] = { value = value, ends = ttl and ttl > 0 and clock.time + ttl or nil }
  end
end

--- The functions that stand in for those of neap.host, around one table of values.
local function shared_functions(values)
  local functions = {}

  function functions.shared_get(key)
    local entry = find(values, key)
    return entry and entry.value
  end

  function functions.shared_set(key, value, ttl)
    put(values, key, value, ttl)
    return true
  end

  function functions.shared_add(key, step, ttl, limit)
    local entry = find(values, key)
    if entry and type(entry.value) ~= "number" then return nil, "there is no number to add to" end
    local sum = (entry and entry.value or 0) + step
    if limit and sum > limit then return nil, "over the limit" end
    if entry then entry.value = sum else put(values, key, sum, ttl) end
    return sum
  end

  function functions.shared_swap(key, old, new, ttl)
    local entry = find(values, key)
    if (entry and entry.value) ~= old then return false end
    put(values, key, new, ttl)
    return true
  end

  return functions
end

-- ------------------------------------------------------------------------------------
-- Health

local Health = {}
Health.__index = Health

local function set_state(self, state, ends, why)
  self.condition, self.ends, self.why = state, ends, why
  self.since, self.probe_seconds, self.probing_until = clock.time, nil, 0
end

local function new_health()
  local self = setmetatable({ count = 0, uses = 0, seconds = 0, sampled = 0,
    rest_count = 0, failures = 0, failures_end = 0, well_at = 0 }, Health)
  set_state(self, "ready", nil, "")
  return self
end

function Health:state(other)
  local at = other and self:is_ready() and other or self
  return at:is_ready() and "ready" or at.condition
end

function Health:rests() return self.rest_count end

function Health:is_ready()
  return self.condition == "ready" or (self.condition == "resting" and self.ends <= clock.time)
end

function Health:in_flight() return self.count end

--- The average falls while nobody takes the target.
local function latency_of(self)
  return self.seconds * math.exp((self.sampled - clock.time) / LATENCY_FORGET_SECONDS)
end

function Health:view()
  local state = self:is_ready() and "ready" or self.condition
  return {
    state = state, since = self.since, why = self.why, in_flight = self.count, uses = self.uses,
    remaining = state ~= "ready" and self.ends and math.max(0, self.ends - clock.time) or nil,
    latency = latency_of(self), rests = self.rest_count, balance = self.known_balance,
    balance_at = self.balance_at,
  }
end

--- What ran side by side reports the same trouble: it counts once, and the longer rest stands.
function Health:rest(seconds, why)
  if self.condition == "disabled" then return end
  local ends = clock.time + seconds
  if self:is_ready() then
    self.rest_count = self.rest_count + 1
  elseif ends <= self.ends then
    return
  end
  set_state(self, "resting", ends, why or "")
end

function Health:disable(why, probe_seconds)
  local has_probes = probe_seconds and probe_seconds > 0
  set_state(self, "disabled", has_probes and clock.time + probe_seconds or nil, why)
  self.probe_seconds = probe_seconds
end

--- What failed before is forgotten; older than the last failure it says nothing.
function Health:well(at)
  at = at or clock.time
  if self.failed_at then
    if at < self.failed_at then return end
    self.well_at, self.failed_at, self.failures = at, nil, 0
  end
  if self.condition == "ready" then return end
  set_state(self, "ready", nil, "")
  self.rest_count = 0
end

function Health:is_well()
  return self.condition == "ready" and self.rest_count == 0 and not self.failed_at
end

function Health:fail(at, window)
  if at < self.well_at then return 0 end
  self.failed_at = at
  if self.failures_end <= clock.time then self.failures = 0 end
  if self.failures == 0 then self.failures_end = clock.time + window end
  self.failures = self.failures + 1
  return self.failures
end

function Health:probe()
  local is_due = self.condition ~= "ready" and self.ends and self.ends <= clock.time
  if not is_due or self.probing_until > clock.time then return false end
  self.probing_until = clock.time + PROBE_SECONDS
  if self.condition == "disabled" then self.ends = clock.time + self.probe_seconds end
  return true
end

--- What the host does where an attempt is accepted.
function Health:latency(seconds)
  local known = latency_of(self)
  local share = 1 - math.exp((self.sampled - clock.time) / LATENCY_FALL_SECONDS)
  local is_peak = self.seconds == 0 or seconds > known
  self.seconds = is_peak and seconds or known + (seconds - known) * share
  self.sampled = clock.time
end

function Health:balance() return self.known_balance end

function Health:set_balance(balance)
  self.known_balance, self.balance_at = balance, balance and clock.time or nil
end

--- Around each attempt.
function Health:begin() self.count, self.uses = self.count + 1, self.uses + 1 end
function Health:finish() self.count = self.count - 1 end

--- A new, empty memory: the functions of neap.host that work on it.
---@return table<string, function>
function memory.new()
  local functions, entries = shared_functions {}, {}
  function functions.health(name)
    entries[name] = entries[name] or new_health()
    return entries[name]
  end
  local tallies = {}
  function functions.tally(name, step)
    tallies[name] = (tallies[name] or 0) + step
    return tallies[name]
  end
  return functions
end

return memory
