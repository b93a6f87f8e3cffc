--- neap.test.upstream: providers that answer by a script, and the attempts at them.
---
--- An answer is one of
---
---     { text = "hi" }                               an answer, streamed if the client asked for it
---     { stream = { "he", { "llo", at = 1.5 } } }    a stream; at: seconds since the attempt began
---     { stream = { "he", { failure = "reset" } } }  one that breaks
---     { stream = { { data = "{…}" } } }             one with an event of any kind
---     { status = 429, headers = { … }, body = … }   any answer at all
---     { failure = "connect", why = "…" }            none
---
--- each with `after = seconds` before it begins.

local clock = require "neap.test.clock"
local host = require "neap.host"
local json = require "neap.json"
local suggest = require "neap.suggest"

local upstream = {}

local HELD_MAX = 256 * 1024 -- bytes; what the host's gate holds

-- ------------------------------------------------------------------------------------
-- The script

local USAGE = json.raw "{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"

local function whole(text)
  return json.encode { object = "chat.completion", usage = USAGE, choices = json.array { {
    index = 0, finish_reason = "stop", message = { role = "assistant", content = text },
  } } }
end

local function event(data) return ("data: %s\n\n"):format(data) end

local function chunk(delta, finish)
  return event(json.encode { object = "chat.completion.chunk", choices = json.array { {
    index = 0, delta = json.object(delta), finish_reason = finish or json.null,
  } } })
end

local function stream_arrivals(items, moment)
  local arrivals = { { at = moment, bytes = chunk { role = "assistant", content = "" } } }
  for _, item in ipairs(items) do
    if type(item) == "string" then item = { item } end
    moment = item.at or moment
    if item.failure then
      arrivals[#arrivals + 1] = { at = moment, failure = item.failure, why = item.why }
      return arrivals
    end
    local bytes = item.data and event(item.data) or chunk { content = item[1] }
    arrivals[#arrivals + 1] = { at = moment, bytes = bytes }
  end
  arrivals[#arrivals + 1] = { at = moment, bytes = chunk({}, "stop") .. event "[DONE]" }
  arrivals[#arrivals + 1] = { at = moment, is_end = true }
  return arrivals
end

local FAILURES = { connect = true, timeout = true, tls = true, reset = true, protocol = true,
  empty = true }

--- What arrives when: { at, bytes? | failure? | is_end? }, and the content type.
local function arrivals_of(answer, is_stream)
  local moment = answer.after or 0
  if answer.failure then
    if not FAILURES[answer.failure] then
      error(("\"%s\" is no failure of an attempt%s"):format(tostring(answer.failure),
        suggest.text(tostring(answer.failure), FAILURES)), 0)
    end
    return { { at = moment, failure = answer.failure, why = answer.why } }
  end
  if answer.stream or (answer.text and is_stream) then
    return stream_arrivals(answer.stream or { answer.text }, moment), "text/event-stream"
  end
  local body = answer.body or (answer.text and whole(answer.text)) or ""
  return { { at = moment, bytes = body }, { at = moment, is_end = true } }, "application/json"
end

local function is_answer(script)
  return script.text or script.stream or script.status or script.failure or script.body
end

local FIELDS = { text = true, stream = true, status = true, failure = true, headers = true,
  body = true, why = true, after = true }

--- What is wrong with an answer, as text; nil where nothing is. A slip would be an answer, too, and
--- a test of another thing than it says.
local function problem_of(answer)
  for name in pairs(answer) do
    if not FIELDS[name] then
      return ("an answer has no %s%s"):format(tostring(name), suggest.text(tostring(name), FIELDS))
    end
  end
end

--- The script's next answer for a key: one answer for ever, a list in turn, or either by key.
local function next_answer(world, name, key)
  local script = world.upstream[name]
  if script and not is_answer(script) and not script[1] then script = script[key] end
  if not script then return nil, ("no answer of %s is scripted for %s"):format(name, key) end
  if is_answer(script) then return script end
  local place = (world.places[script] or 0) + 1
  world.places[script] = place
  if script[place] then return script[place] end
  return nil, ("%s is asked %d times, and %d answers are scripted"):format(name, place, #script)
end

-- ------------------------------------------------------------------------------------
-- An attempt: what neap.host.start gives

local Attempt = {}
Attempt.__index = Attempt

local function stop_counting(self)
  for index = 1, 2 do
    if self.health[index] then self.health[index]:finish() end
  end
  self.health = {}
end

local function finish(self, failure, why)
  self.is_ended, self.failure, self.why = true, failure, why or ""
  stop_counting(self)
end

--- The moment at which a timer of the attempt gives it up.
local function last_moment(self)
  local moment = self.began + self.timers.total
  local quiet = self.has_head and self.timers.idle or self.timers.first_byte
  if quiet and quiet > 0 then moment = math.min(moment, self.changed + quiet) end
  return math.min(moment, self.deadline_at)
end

--- Takes in what has arrived by now. Returns the moment of the next change.
local function arrive(self)
  while not self.is_ended do
    local arrival = self.arrivals[self.place]
    local moment = self.began + arrival.at
    local limit = last_moment(self)
    if math.min(moment, limit) > clock.time then return math.min(moment, limit) end
    if limit < moment then
      finish(self, "timeout", "it took too long")
    elseif arrival.failure or arrival.is_end then
      finish(self, arrival.failure, arrival.why)
    else
      self.held, self.has_head, self.changed = self.held .. arrival.bytes, true, moment
      self.place = self.place + 1
    end
  end
  return math.huge
end

--- Waits until look gives a list of results, or the time is over. look(self, is_late).
local function wait(self, look, seconds)
  if self.is_closed then error("the attempt is closed", 3) end
  local give_up = seconds and seconds >= 0 and clock.time + seconds or math.huge
  while true do
    local moment = arrive(self)
    local results = look(self, clock.time >= give_up)
    if results then return unpack(results, 1, 3) end
    clock.wait(math.min(moment, give_up))
  end
end

local function failure_of(self) return { nil, self.failure, self.why } end

function Attempt:answer(look)
  local kind = self:header("content-type")
  local is_to_be_whole = self.status < 300 and not (kind or ""):find("text/event-stream", 1, true)
  local status, held, is_ended = wait(self, function()
    if not self.has_head then return self.is_ended and failure_of(self) end
    if not is_to_be_whole then return { self.status } end
    if self.failure then return failure_of(self) end
    return (self.is_ended or #self.held >= HELD_MAX) and { self.status, #self.held, self.is_ended }
  end)
  if not status then return nil, held, is_ended end
  if not held then return status, kind end
  if not is_ended or not look then return status, kind, held, is_ended end
  return status, kind, held, is_ended, self:look(look)
end

function Attempt:accept(started)
  local seconds = clock.time - started
  self.target:latency(seconds)
  return seconds
end

--- The event that begins at the offset: data | false, the offset behind it, its name.
local function read_event(held, offset)
  local ends = held:find("\n\n", offset + 1, true)
  if not ends then return nil end
  local name, data
  for line in held:sub(offset + 1, ends):gmatch("([^\n]*)\n") do
    local field, value = line:match("^(%a+): ?(.*)$")
    if field == "event" then name = value end
    if field == "data" then data = data and data .. "\n" .. value or value end
  end
  return { data or false, ends + 1, name }
end

function Attempt:event(offset, seconds)
  return wait(self, function(_, is_late)
    local found = read_event(self.held, offset)
    if found then return found end
    if #self.held >= HELD_MAX then return { nil, "full" } end
    if self.is_ended then return self.failure and failure_of(self) or { nil, "end" } end
    return is_late and { nil, "late" }
  end, seconds)
end

function Attempt:bytes(count, seconds)
  return wait(self, function(_, is_late)
    if self.failure then return failure_of(self) end
    local is_enough = #self.held >= count or #self.held >= HELD_MAX
    if self.is_ended or is_enough or is_late then return { #self.held, self.is_ended } end
  end, seconds)
end

function Attempt:text(from, size)
  from = from or 0
  return self.held:sub(from + 1, from + (size or #self.held))
end

function Attempt:look(look) return look:of(self.held) end

function Attempt:find(...) return host.json_find(self.held, ...) end

function Attempt:measure(...)
  local raw, kind = host.json_find(self.held, ...)
  return kind, raw and #raw
end

function Attempt:header(name) return self.fields[name:lower()] end

function Attempt:headers()
  local list = {}
  for name, value in pairs(self.fields) do
    list[#list + 1], list[#list + 2] = name, value
  end
  return list
end

function Attempt:release(count) self.held = self.held:sub(count + 1) end

function Attempt:deadline(seconds)
  self.deadline_at = seconds > 0 and clock.time + seconds or math.huge
end

function Attempt:state()
  return #self.held, self.is_ended, self.failure, self.failure and self.why
end

function Attempt:close()
  self.is_closed = true
  stop_counting(self)
end

--- What the client's relay does: reads to the end and gives all of it.
function Attempt:drain()
  wait(self, function() return self.is_ended and {} end)
  return self.held, self.failure
end

--- Begins an attempt, as neap.host.start does.
---@param world neap.test_world
---@param handle table the client's request (neap.test.client)
---@param given table the route, as neap.attempt describes it
---@param body string|table a text, or the edits of the client's body
function upstream.start(world, handle, given, body)
  local attempts = handle.of.attempts
  local now = attempts[#attempts]
  local answer, problem = next_answer(world, now.target.name, now.key and now.key.id or "no key")
  problem = problem or problem_of(answer)
  if problem then
    handle.problem = problem
    error(problem, 0)
  end
  local arrivals, kind = arrivals_of(answer, handle.of.stream)
  local self = setmetatable({
    arrivals = arrivals, place = 1, held = "", status = answer.status or 200,
    fields = { ["content-type"] = kind }, began = clock.time, changed = clock.time,
    deadline_at = given.first_event > 0 and clock.time + given.first_event or math.huge,
    is_ended = false, health = { given.health[1], given.health[2] },
    target = given.health[1],
    timers = { total = given.total or math.huge, idle = given.idle, first_byte = given.first_byte },
  }, Attempt)
  for name, value in pairs(answer.headers or {}) do self.fields[name:lower()] = value end
  for index = 1, 2 do
    if self.health[index] then self.health[index]:begin() end
  end
  handle.sent[#handle.sent + 1] = { url = given.url, headers = given.headers, edits = body }
  return self
end

--- The methods of its attempts, which stand in for host.attempt.
upstream.methods = Attempt

return upstream
