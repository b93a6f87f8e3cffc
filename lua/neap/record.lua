--- neap.record: what is left of a request: the log line, its row in the journal, and the policies'
--- `done`.
---
--- What the host knows of a request (its ids, client and path, when it came, how long its body is)
--- it puts there by itself (host/script/arrival.h). What was found out on its way is read from its
--- context: token, group, model and so on. What belongs to the target that answered is read from
--- that attempt's way (catalog.way). A record has the rest, in seconds and bytes: `context` until
--- its end, `attempts` (each target, key, status or failure, seconds), `last` (the attempt that
--- answered), `status`, `outcome`, `failure`, `error`, `policy` (that failed), `seconds`,
--- `first_byte_seconds` (to the client), `first_event_seconds`, `bytes_out`, `usage` (neap.usage),
--- `cost_micros`, `origin` (nil: a client's), `is_quiet` (it leaves nothing), `usage_rule` and
--- `frame` (of a relay's usage), `trace` (neap.trace, of failures, retries and a share of the rest;
--- false: not of this one, unless it fails yet).

local catalog = require "neap.catalog"
local fault = require "neap.fault"
local host = require "neap.host"
local json = require "neap.json"
local object = require "neap.object"
local offer = require "neap.offer"
local outcome = require "neap.outcome"
local price = require "neap.price"
local record_values = require "neap.record_values"
local steps = require "neap.steps"
local trace = require "neap.trace"
local usage = require "neap.usage"

local record = {}

local TRACE_EACH = 100 -- of requests that went well at once, one keeps its trace

local function name_of(class, value)
  local inside = value and object.inside(class, value)
  return inside and (inside.name or inside.id)
end

local function ms(seconds) return math.floor(seconds * 1000 + 0.5) end

--- The text with what would break the line or move a terminal's cursor as numbers. \194 begins the
--- controls above 127 in UTF-8.
local function shown(text)
  return (text:gsub("\194[\128-\159]", function(pair) return ("\\x%02x"):format(pair:byte(2)) end)
    :gsub("%c", function(byte) return ("\\x%02x"):format(byte:byte()) end))
end

--- The line of a terminal's log.
local function write_text(self, id, wall)
  local of, way = self.context, self.last and self.last.way
  host.log_line(shown(("%s request %s %s %s -> %s %s %d attempt%s %d ms %s"):format(
    host.time_text(wall):sub(12, 19), id, of.token and of.token.name or "-", of.model or "-",
    way and way.provider .. "/" .. (self.last.model or way.model) or "-",
    tostring(self.status), #self.attempts, #self.attempts == 1 and "" or "s",
    ms(self.seconds), self.outcome) .. (self.error and ": " .. self.error or "")))
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

local function put_trace(self)
  local known, of = self.trace, self.context
  if known == nil then
    if self.outcome ~= "ok" or is_trace_wanted(self) then self.trace = tell(of) end
  elseif not known and self.outcome ~= "ok" then
    self.trace = of.steps and tell(of) or tell_attempts(self)
  end
end

--- A new record for a request that has just arrived. of: its context.
function record.new(of)
  -- The names that a usual request gets stand here, so that the table need not grow; false costs
  -- nothing, and is no value either.
  return {
    context = of, attempts = of.attempts, last = false, status = false, outcome = false,
    seconds = false, first_byte_seconds = false, first_event_seconds = false, bytes_out = false,
    usage = false, cost_micros = false,
  }
end

--- Puts an estimate where the provider has said nothing. content: bytes of text in its answer.
function record.estimate(self, handle, content)
  self.usage = usage.estimate(usage.bytes_of_request(handle), content)
end

--- What the end of a request needs of its context.
local function remainder_of(of)
  return {
    handle = of.handle, dialect = of.dialect, endpoint = of.endpoint, token = of.token,
    group = of.group, model = of.model, stream = of.stream, conversation = of.conversation,
    entered = of.entered,
  }
end

--- Lets go of what only a `done` would need, where no policy has one: a long stream keeps little.
--- So this is when its trace is told.
function record.trim(self)
  local of = self.context
  self.trace = is_trace_wanted(self) and tell(of) or false
  for _, attempt in ipairs(self.attempts) do
    attempt.context, attempt.transfer, attempt.body, attempt.headers = nil, nil, nil, nil
  end
  if not of.entered[1] then self.context = remainder_of(of) end
end

--- Whether what was entered in this place was entered again later.
local function has_later(entered, place)
  for later = place + 1, #entered do
    if entered[later] == entered[place] then return true end
  end
  return false
end

--- Runs `done` of every policy that was entered and has one, innermost first. What one of them does
--- is no fault of the others.
local function run_done(self, entered, request)
  local told -- made once there is somebody to tell
  for index = #entered, 1, -1 do
    local instance = entered[index]
    local done = instance.done
    if done and not has_later(entered, index) then
      told = told or outcome.of(self)
      local _, problem = fault.catch(done, instance.self, request, told)
      if problem then
        host.log("error", "policy", ("%s: done: %s"):format(instance.name, problem))
      end
    end
  end
end

--- The prices of the target that answered, or nil. A policy may have changed the model.
local function prices_of(last)
  local way, model = last.way, last.model
  if model then return way.at.prices[model] end
  return way.prices
end

--- What the request cost: by the prices of the model that answered, else what the provider says.
local function put_price(self, used, prices)
  if prices then
    self.cost_micros = price.cost(prices, used)
  elseif used.reported_cost then
    self.cost_micros = math.floor(used.reported_cost * 1e6 + 0.5)
  end
end

--- Writes the end of a request, once: its line, its row in the journal, and `done`. status and
--- outcome must be known by now. seconds: what it took, where that is known.
function record.finish(self, seconds)
  if self.seconds then return end
  local of, last, used = self.context, self.last, self.usage
  self.seconds = seconds or of.handle:elapsed()
  local prices = last and prices_of(last)
  if used then put_price(self, used, prices) end
  if not self.is_quiet then
    put_trace(self)
    local id, wall = record_values.tell(self, prices)
    if id then write_text(self, id, wall) end
  end
  if of.request and of.entered[1] then run_done(self, of.entered, of.request) end
  self.context = nil -- not before: by it a `done` finds its request
end

-- ------------------------------------------------------------------------------------
-- A record that outlives its generation

local OF_RECORD = { "status", "first_event_seconds", "first_byte_seconds", "usage_rule", "frame",
  "origin", "policy", "trace" }
local OF_CONTEXT = { "endpoint", "model", "stream", "conversation" }

--- The values of these names, where there are any.
local function copy_of(self, names)
  local plain = json.object {}
  for _, name in ipairs(names) do plain[name] = self[name] or nil end
  return plain
end

--- The way of the attempt that answered, as far as its end needs it.
local function plain_way(last)
  local way = last.way
  return json.object { provider = way.provider, model = last.model or way.model,
    key_id = way.key_id, dialect = way.dialect.name, prices = prices_of(last) }
end

--- The record as text, for when its generation is let go while the host relays its answer.
function record.pack(self)
  local of = self.context
  local plain = copy_of(of, OF_CONTEXT)
  plain.record = copy_of(self, OF_RECORD)
  plain.dialect, plain.token = of.dialect.name, of.token and of.token.name or nil
  if of.group then plain.group, plain.is_implicit = of.group.name, of.group.is_implicit end
  plain.way = self.last and plain_way(self.last) or nil
  plain.attempts = json.array {}
  for index, attempt in ipairs(self.attempts) do
    if attempt == self.last then plain.answered = index end
    plain.attempts[index] = json.object {
      target_name = name_of(catalog.Target, attempt.target),
      key_id = name_of(catalog.Key, attempt.key), status = attempt.status,
      failure = attempt.failure, started = attempt.started, seconds = attempt.seconds,
      first_event_seconds = attempt.first_event_seconds,
    }
  end
  plain.entered, plain.remembered = json.array {}, json.object {}
  for _, instance in ipairs(of.entered) do
    plain.entered[#plain.entered + 1] = instance.name
    local value = of.remembered and of.remembered[instance.self]
    local is_plain, value_text = pcall(json.encode, value)
    if value ~= nil and is_plain then plain.remembered[instance.name] = json.raw(value_text) end
  end
  return json.encode(plain)
end

--- The key of this id that a target has, if it has one.
local function key_of(target, id)
  for _, key in ipairs(target and object.inside(catalog.Target, target).keys or {}) do
    if key.id == id then return key end
  end
end

--- Gives attempts their targets and keys again, where the present catalog still has them.
local function find_targets(plain, known)
  local group = plain.model and offer.resolve(known, nil, plain.model)
  local by_name = {}
  for _, target in ipairs(group and group.targets or {}) do by_name[target.name] = target end
  for _, attempt in ipairs(plain.attempts) do
    attempt.target = by_name[attempt.target_name]
    attempt.key = key_of(attempt.target, attempt.key_id)
  end
end

--- The instances of the record's group by name; none where the group is gone.
local function instances_of(plain, known)
  local group = known.groups[plain.group]
  if plain.is_implicit then group = { chain = known.default_chain } end
  local by_name = {}
  for _, chain in ipairs { group and group.fallback or false, group and group.chain or false } do
    for _, instance in ipairs(chain and chain.instances or {}) do
      by_name[instance.name] = instance
    end
  end
  return by_name
end

--- Those whose `done` runs, and what they remembered. Where policy or group is gone, it is skipped
--- and counted.
local function entered_of(plain, known)
  local by_name, entered, remembered, skipped = instances_of(plain, known), {}, {}, {}
  for name, instance in pairs(by_name) do
    remembered[instance.self] = plain.remembered[name]
  end
  for _, name in ipairs(plain.entered) do
    if by_name[name] then
      entered[#entered + 1] = by_name[name]
    elseif not skipped[name] then
      skipped[name] = true
      host.tally("done_skipped", 1)
      host.log("debug", "policy", name .. ": done was skipped: the policy is gone")
    end
  end
  return entered, remembered
end

local function dialect_of(name) return require("neap.dialect." .. name) end

--- The record back from its text. Its `done` runs on the instances that the present catalog has.
---@param handle table of its request, in the present generation
function record.unpack(text, known, handle)
  local plain = json.decode(text)
  local self, way = plain.record, plain.way
  local entered, remembered = entered_of(plain, known)
  find_targets(plain, known)
  if way then
    way.dialect = dialect_of(way.dialect)
    local answered = plain.attempts[plain.answered] or {}
    self.last = { way = way, target = answered.target, key = answered.key }
  end
  self.attempts = plain.attempts
  self.context = {
    handle = handle, dialect = dialect_of(plain.dialect), endpoint = plain.endpoint,
    token = plain.token and { name = plain.token }, group = plain.group and { name = plain.group },
    model = plain.model, stream = plain.stream, conversation = plain.conversation,
    entered = entered, remembered = remembered, steps = steps.new(),
    -- A plain copy: what the request was can be read, nothing can be done with it any more.
    request = { group = plain.group, model = plain.model, token = plain.token,
      stream = plain.stream, conversation = plain.conversation, attempts = plain.attempts },
  }
  return self
end

return record
