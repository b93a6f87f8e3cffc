--- neap.record: what is left of a request: the log line, its row in the journal, and the policies'
--- `done`.
---
--- Its names, in seconds and bytes: `uuid` (neap's own), `id` (x-request-id), `wall` and `start`,
--- `origin` (nil: a client's), `client`, `path`, `endpoint`, `token`, `group`, `model` (as asked),
--- `conversation`, `stream`, `dialect_in` (the client's), `dialect_out`, `provider`, `target_model`
--- and `key` (of the answer), `attempts` (each target, key, status or failure, seconds), `status`,
--- `outcome`, `error`, `seconds`, `first_byte_seconds` (to the client), `first_event_seconds`,
--- `bytes_in` and `bytes_out` (bodies), `usage` (neap.usage), `cost_micros`, `prices` (of the model
--- that answered), `generation`, `trace` (neap.trace, of failures, retries and a share of the rest;
--- false: not of this one, unless it fails yet), `last` (the attempt that answered).

local catalog = require "neap.catalog"
local host = require "neap.host"
local json = require "neap.json"
local object = require "neap.object"
local outcome = require "neap.outcome"
local price = require "neap.price"
local record_values = require "neap.record_values"
local steps = require "neap.steps"
local trace = require "neap.trace"
local usage = require "neap.usage"

local record = {}

local TRACE_EACH = 100 -- of requests that went well at once, one keeps its trace

-- What has no value yet: a name with it in a constructor gets its room, one with nil does not.
local none -- luacheck: ignore 221

local function name_of(class, value)
  local inside = value and object.inside(class, value)
  return inside and (inside.name or inside.id)
end

local function ms(seconds) return math.floor(seconds * 1000 + 0.5) end

--- The line of a terminal's log.
local function write_text(self)
  host.log_line(("%s request %s %s %s -> %s %s %d attempt%s %d ms %s"):format(
    host.time_text(self.wall):sub(12, 19), self.id, self.token or "-", self.model or "-",
    self.provider and self.provider .. "/" .. (self.target_model or "") or "-",
    tostring(self.status), #self.attempts, #self.attempts == 1 and "" or "s",
    ms(self.seconds), self.outcome) .. (self.error and ": " .. self.error or ""))
end

-- ------------------------------------------------------------------------------------
-- Traces

local without_trace = 0 -- requests that went well since the last one that kept its trace

--- Whether the journal wants the trace, as far as can be known before the outcome.
local function is_trace_wanted(self)
  if #self.attempts > 1 then return true end
  without_trace = (without_trace + 1) % TRACE_EACH
  return without_trace == 0
end

--- The trace in one line; nil where there is nothing to tell. A story that cannot be told costs no
--- record.
local function tell(of)
  local ok, text = pcall(trace.compact, of)
  if ok and text ~= "" then return text end
end

--- What is left when the context is gone: one attempt, and what came of it.
local function tell_attempts(self)
  for _, attempt in ipairs(self.attempts) do
    if not attempt.target then return end
  end
  return tell { attempts = self.attempts, steps = steps.new() }
end

local function put_trace(self, of)
  if self.trace then return end
  if self.trace == false then
    if self.outcome ~= "ok" then self.trace = of and tell(of) or tell_attempts(self) end
  elseif self.outcome ~= "ok" or is_trace_wanted(self) then
    self.trace = of and tell(of)
  end
end

--- The finished record's line, and its row in the journal.
local function keep(self, of)
  if self.is_quiet then return end
  put_trace(self, of)
  if record_values.tell(self, host) then write_text(self) end
end

--- A new record for a request that has just arrived. of: its context; the others as
--- request:arrive() gives them.
function record.new(of, path, id, uuid, client, start, wall, generation)
  -- The names that a usual request gets stand here, so that the table need not grow; false costs
  -- nothing, and is no value either.
  return {
    path = path, id = id, uuid = uuid, client = client, start = start, wall = wall,
    generation = generation, attempts = of.attempts, context = of, dialect_in = of.dialect.name,
    endpoint = false, token = false, group = false, model = false, stream = false, bytes_in = false,
    conversation = false, provider = false, target_model = false, key = false, dialect_out = false,
    prices = false, usage = false, cost_micros = false, outcome = false, bytes_out = false,
    first_byte_seconds = false,
    status = none, seconds = none, first_event_seconds = none, last = none, trace = none,
  }
end

--- Puts an estimate where the provider has said nothing. content: bytes of text in its answer.
function record.estimate(self, handle, content)
  local body = handle:body(usage.PROMPT_MAX)
  self.usage = usage.estimate(body and usage.bytes_of(body) or self.bytes_in, content)
end

--- Lets go of what only a `done` would need, where no policy has one: a long stream keeps little.
--- So this is when its trace is told.
function record.trim(self)
  local of = self.context
  self.trace = is_trace_wanted(self) and tell(of) or false
  for _, attempt in ipairs(self.attempts) do
    attempt.context, attempt.transfer, attempt.body, attempt.headers = nil, nil, nil, nil
  end
  if not of.entered[1] then self.context = nil end
end

--- Whether what was entered in this place was entered again later.
local function has_later(entered, place)
  for later = place + 1, #entered do
    if entered[later] == entered[place] then return true end
  end
  return false
end

--- Runs `done` of every policy that was entered and has one, innermost first.
local function run_done(self, entered, request)
  local seen
  for index = #entered, 1, -1 do
    local instance = entered[index]
    local done = instance.done
    if done and not has_later(entered, index) then
      seen = seen or outcome.of(self)
      local ok, problem = pcall(done, instance.self, request, seen)
      if host.relax() or not ok then
        host.log("error", "policy", ("%s: done: %s"):format(instance.name, tostring(problem)))
      end
    end
  end
end

--- What the request cost: by the prices of the model that answered, else what the provider says.
local function put_price(self)
  local used = self.usage
  if not used then return end
  if self.prices then
    self.cost_micros = price.cost(self.prices, used)
  elseif used.reported_cost then
    self.cost_micros = math.floor(used.reported_cost * 1e6 + 0.5)
  end
end

--- Writes the end of a request, once. status and outcome must be known by now. seconds: what it
--- took, where that is known.
function record.finish(self, seconds)
  if self.seconds then return end
  self.seconds = seconds or host.now() - self.start
  local of = self.context
  put_price(self)
  keep(self, of)
  if of and of.request and of.entered[1] then run_done(self, of.entered, of.request) end
  self.context = nil -- not before: by it a `done` finds its request
end

-- ------------------------------------------------------------------------------------
-- A record that outlives its generation

local PLAIN = { "id", "path", "client", "start", "wall", "generation", "token", "group", "model",
  "provider", "target_model", "key", "status", "stream", "first_event_seconds", "usage_rule",
  "dialect_in", "dialect_out", "uuid", "origin", "endpoint", "conversation", "bytes_in",
  "first_byte_seconds", "prices", "frame", "trace" }

--- The record as text, for when its generation is let go while the host relays its answer.
function record.pack(self)
  local plain = json.object {}
  for _, name in ipairs(PLAIN) do plain[name] = self[name] or nil end
  plain.attempts = json.array {}
  for index, attempt in ipairs(self.attempts) do
    plain.attempts[index] = json.object {
      target_name = name_of(catalog.Target, attempt.target),
      key_id = name_of(catalog.Key, attempt.key), status = attempt.status,
      failure = attempt.failure, started = attempt.started, seconds = attempt.seconds,
      first_event_seconds = attempt.first_event_seconds,
    }
  end
  local of = self.context
  plain.is_implicit = of and of.group and of.group.is_implicit
  plain.entered, plain.remembered = json.array {}, json.object {}
  for _, instance in ipairs(of and of.entered or {}) do
    plain.entered[#plain.entered + 1] = instance.name
    local value = of.remembered and of.remembered[instance.self]
    local is_plain, value_text = pcall(json.encode, value)
    if value ~= nil and is_plain then plain.remembered[instance.name] = json.raw(value_text) end
  end
  return json.encode(plain)
end

--- Gives attempts their targets again, where the present catalog still has them.
local function find_targets(self, known)
  local group = self.model and catalog.resolve(known, nil, self.model)
  local by_name = {}
  for _, target in ipairs(group and group.targets or {}) do by_name[target.name] = target end
  for _, attempt in ipairs(self.attempts) do attempt.target = by_name[attempt.target_name] end
end

--- The instances of the record's group by name; none where the group is gone.
local function instances_of(self, known)
  local group = known.groups[self.group]
  if self.is_implicit then group = { chain = known.default_chain } end
  local by_name = {}
  for _, chain in ipairs { group and group.fallback or false, group and group.chain or false } do
    for _, instance in ipairs(chain and chain.instances or {}) do
      by_name[instance.name] = instance
    end
  end
  return by_name
end

--- The record back from its text. Its `done` runs on the instances that the present catalog has;
--- where policy or group is gone, it is skipped and counted.
function record.unpack(text, known)
  local self = json.decode(text)
  local by_name, entered, remembered, skipped = instances_of(self, known), {}, {}, {}
  for name, instance in pairs(by_name) do
    remembered[instance.self] = self.remembered[name]
  end
  for _, name in ipairs(self.entered) do
    if by_name[name] then
      entered[#entered + 1] = by_name[name]
    elseif not skipped[name] then
      skipped[name] = true
      host.tally("done_skipped", 1)
      host.log("debug", "policy", name .. ": done was skipped: the policy is gone")
    end
  end
  find_targets(self, known)
  -- A plain copy: what the request was can be read, nothing can be done with it any more.
  self.context = { entered = entered, remembered = remembered, steps = steps.new(), request = {
    group = self.group, model = self.model, token = self.token, stream = self.stream,
    attempts = self.attempts,
  } }
  return self
end

return record
