--- neap.request: the request as a policy sees it.
---
--- Read-only; `with` gives a narrowed one. What belongs to the client's request as a whole (budget,
--- attempts, trace, body) is in its context, which all narrowed requests share.

local canonical = require "neap.dialect.canonical"
local catalog = require "neap.catalog"
local host = require "neap.host"
local json = require "neap.json"
local object = require "neap.object"
local race = require "neap.race"
local response = require "neap.response"
local steps = require "neap.steps"
local usage = require "neap.usage"

local request = {}

local Target, Key = catalog.Target, catalog.Key
local order_targets, take_turn = catalog.order_targets, catalog.take_turn
local object_new, object_inside, pass = object.new, object.inside, steps.pass

local JSON_MAX = 1024 * 1024 -- bytes; more is never decoded for a policy
-- The same: to build them takes a part of the time that a run may take, whoever the client is.
local VALUES_MAX = 40000
local UNPACK_MAX = 4000 -- elements at once, of which a stack has room for some 8000

local WAIT_MAX = 1e9 -- seconds that a client is told to wait; more are as good as for ever

local NONE = {}
-- What has no value yet: in a constructor it makes room.
local none -- luacheck: ignore 221

local Request

-- The places of an inside. It is a list, since three are made for each request, and with names each
-- would take three times the memory. CONTEXT: of the client's request. TARGET, KEY: that it was
-- narrowed to. TARGETS, KEYS: in their order, once somebody has asked; FIRST: of keys as
-- catalog.take_turn gives them. CHANGED: what is to be sent otherwise.
local CONTEXT, TARGET, KEY, TARGETS, KEYS, CHANGED, FIRST = 1, 2, 3, 4, 5, 6, 7
local LISTS = { targets = TARGETS, keys = KEYS }

-- The request that was made last, and its inside: most of what is asked about is this one.
local latest, latest_inside

--- A policy may change the list that it is given. Most have one element.
local function copy(list)
  if not list[2] then return { list[1] } end
  return host.copy_list(list)
end

-- ------------------------------------------------------------------------------------
-- What is read

local function read_headers(inside)
  local of = inside[CONTEXT]
  if not of.headers then
    local headers = {}
    local list = of.handle:headers()
    for index = 1, #list, 2 do
      local name = list[index]:lower()
      headers[name] = headers[name] and headers[name] .. ", " .. list[index + 1] or list[index + 1]
    end
    -- A policy routes; the client's credentials are none of its business.
    for _, name in ipairs { "authorization", "x-api-key", "x-goog-api-key", "cookie",
      "proxy-authorization" } do
      headers[name] = nil
    end
    of.headers = headers
  end
  return of.headers
end

local function targets_of(inside)
  local targets = inside[TARGETS] or order_targets(inside[CONTEXT].group)
  inside[TARGETS] = targets
  return targets
end

--- The target that the innermost step would take.
function request.target_of(inside)
  return inside[TARGET] or targets_of(inside)[1]
end

local function keys_of(inside)
  local keys, first = inside[KEYS], inside[FIRST]
  if not keys then
    local target = inside[TARGET] or targets_of(inside)[1]
    if target then keys, first = take_turn(target) end
    inside[KEYS], inside[FIRST] = keys or NONE, first
  end
  return keys or NONE, first
end

local function key_of(inside)
  if inside[KEY] then return inside[KEY] end
  local keys, first = keys_of(inside)
  return keys[first or 1]
end

--- A list of one's own. Some providers have a thousand keys: unpacked, each takes a nanosecond.
local function list_keys(inside)
  local keys, first = keys_of(inside)
  if not first then return copy(keys) end
  local count = #keys / 2
  if count <= UNPACK_MAX then return { unpack(keys, first, first + count - 1) } end
  local list = {}
  for place = 1, count do list[place] = keys[first + place - 1] end
  return list
end

--- What the innermost step takes: the target and the key (nil where there is none), and what is to
--- be sent otherwise, { model, timeout, headers, set }, or nil.
function request.choose(inside)
  local target = inside[TARGET] or targets_of(inside)[1]
  return target, inside[KEY] or key_of(inside), inside[CHANGED]
end

--- The target and the key that policies have narrowed the request to; nil where none has.
function request.narrowed_to(inside) return inside[TARGET], inside[KEY] end

--- As the usage is estimated where nobody says it: a file or an image in the body is no text.
local function estimate_tokens(inside)
  local of = inside[CONTEXT]
  if not of.tokens_estimate then
    of.tokens_estimate = usage.estimate_prompt(usage.bytes_of_request(of.handle))
  end
  return of.tokens_estimate
end

local function attempts_of(inside)
  local list = { none }
  for index, attempt in ipairs(inside[CONTEXT].attempts) do
    list[index] = {
      target = attempt.target, key = attempt.key, status = attempt.status,
      failure = attempt.failure, started = attempt.started, seconds = attempt.seconds,
      first_event_seconds = attempt.first_event_seconds,
    }
  end
  return list
end

-- ------------------------------------------------------------------------------------
-- What is done

--- Raises for a body that is the client's fault, not the policy's: whoever runs the chain answers
--- with this status if nobody catches it.
local function raise_body_fault(of, status, text)
  of.body_fault = { status = status, text = text }
  error(text, 0)
end

local function body_of(self)
  local of = object.check(Request, self, "the request")[CONTEXT]
  if of.json == nil then
    local text = of.handle:body(JSON_MAX)
    if not text then
      raise_body_fault(of, 413, "the body is longer than 1 MiB: it is not decoded")
    end
    local problem, are_too_many
    of.json, problem, are_too_many = host.json_decode_some(text, VALUES_MAX)
    if are_too_many then
      raise_body_fault(of, 413, ("the body holds more than %d values: it is not decoded"):format(
        VALUES_MAX))
    end
    if of.json == nil then raise_body_fault(of, 400, "the body is no JSON: " .. problem) end
  end
  return of.json
end

local function is_list_of(class, value)
  if type(value) ~= "table" then return false end
  for _, element in ipairs(value) do
    if not object_inside(class, element) then return false end
  end
  return true
end

local CHECKS = {
  targets = function(value) return is_list_of(Target, value) end,
  keys = function(value) return is_list_of(Key, value) end,
  model = function(value) return type(value) == "string" and value ~= "" end,
  timeout = function(value) return type(value) == "number" and value > 0 end,
  headers = function(value) return type(value) == "table" end,
  set = function(value) return type(value) == "table" end,
}
local WANTED = { target = "a target", targets = "a list of targets", key = "a key",
  keys = "a list of keys", model = "a model's name", timeout = "seconds",
  headers = "a table of headers", set = "a table of members" }

local function check_headers(headers)
  for name, value in pairs(headers) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
      error(("\"%s\" is no name of a header"):format(tostring(name)), 4)
    end
    if type(value) ~= "string" or value:find("[%c\127]") then
      error(("the header %s must be a text without line ends"):format(name), 4)
    end
  end
end

local function check_members(set)
  for name, value in pairs(set) do
    if type(name) ~= "string" or not name:find("^[%w_.$-]+$") then
      error(("\"%s\" is no name of a member"):format(tostring(name)), 4)
    end
    -- It is encoded by the attempt, where no line of the policy's is near.
    local is_good, problem = pcall(json.encode, value)
    if not is_good then error(("the member %s: %s"):format(name, problem), 4) end
  end
end

local function merge(old, new)
  local merged = {}
  for name, value in pairs(old or {}) do merged[name] = value end
  for name, value in pairs(new) do merged[name] = value end
  return merged
end

local IS_SENT = { model = true, timeout = true, headers = true, set = true }

--- Looks at what is no object of the class that its name asks for: raises, at the policy's line,
--- where a request cannot be narrowed to it; returns whether something else is to be sent.
local function check_value(name, value)
  local wanted, check = WANTED[name], CHECKS[name]
  if not wanted then error(("a request has no \"%s\" to narrow"):format(tostring(name)), 3) end
  if not (check and check(value)) then error(("%s must be %s"):format(name, wanted), 3) end
  return IS_SENT[name]
end

--- The members to set without the model, and the model that they name: nil where it is the client's
--- own name for it, as in a body that was read, changed and is set whole.
local function without_model(of, set)
  local model = set.model
  if model == nil then return set end
  if type(model) ~= "string" or model == "" then error("model must be a model's name", 4) end
  local rest = merge(nil, set)
  rest.model = nil
  return rest, model ~= of.model and model or nil
end

--- What is to be sent otherwise, after these changes: { model, timeout, headers, set }.
local function changed(of, before, changes)
  local headers, set, model = changes.headers, changes.set, nil
  if headers then check_headers(headers) end
  if set then
    check_members(set)
    set, model = without_model(of, set)
  end
  before = before or {}
  return { model = changes.model or model or before.model,
    timeout = changes.timeout or before.timeout,
    headers = headers and merge(before.headers, headers) or before.headers,
    set = set and merge(before.set, set) or before.set }
end

local function with(self, changes)
  local inside = latest_inside
  if self ~= latest then inside = object.check(Request, self, "the request") end
  if type(changes) ~= "table" then error("with takes a table: with { target = … }", 2) end
  local made = { inside[1], inside[2], inside[3], inside[4], inside[5], inside[6],
    inside[7] } -- a copy
  local is_changed = false
  for name, value in next, changes do
    if name == "key" and object_inside(Key, value) then
      made[KEY] = value
    elseif name == "target" and object_inside(Target, value) then
      made[TARGET] = value
    elseif check_value(name, value) then
      is_changed = true
    else
      made[LISTS[name]] = copy(value)
    end
  end
  if made[TARGET] ~= inside[TARGET] then -- keys belong to a target: another target has others
    made[KEY], made[KEYS] = changes.key, changes.keys and made[KEYS]
  end
  if made[KEYS] ~= inside[KEYS] then made[FIRST] = none end
  if is_changed then made[CHANGED] = changed(inside[1], inside[CHANGED], changes) end
  local narrowed = object_new(Request, made)
  latest, latest_inside = narrowed, made
  return narrowed
end

local function remaining(self)
  local of = object.check(Request, self, "the request")[CONTEXT]
  return math.max(0, of.budget - #of.attempts), math.max(0, of.deadline - host.now())
end

local function refuse(self, status, message, retry_after)
  local inside = object.check(Request, self, "the request")
  if type(status) ~= "number" or not (status >= 400 and status <= 599) or status % 1 ~= 0 then
    error("refuse takes a status from 400 to 599", 2)
  end
  local wait = tonumber(retry_after)
  if wait and not (wait >= 0 and wait <= WAIT_MAX) then wait = nil end
  return response.refusal(inside[CONTEXT], status, tostring(message or ""), wait)
end

local function reply(self, message)
  local inside = object.check(Request, self, "the request")
  if type(message) == "string" then message = { text = message } end
  if type(message) ~= "table" then error("reply takes a text or a message", 2) end
  local of = inside[CONTEXT]
  local made, problem = canonical.message(message, of.model)
  if not made then error(problem, 2) end
  return (response.reply(of, made))
end

--- The context of a request; nil for anything else.
local function context_of(value)
  local inside = object_inside(Request, value)
  return inside and inside[CONTEXT]
end

--- The same request in the context of a leg.
local function in_context(value, of)
  local inside = { unpack(object_inside(Request, value), 1, FIRST) }
  inside[CONTEXT] = of
  return object_new(Request, inside)
end

local function run_race(self, next, legs)
  local of = object.check(Request, self, "the request")[CONTEXT]
  local problem = race.check(context_of, of, next, legs)
  if problem then error(problem, 2) end
  return race.run(in_context, of, next, legs)
end

local getters = {
  timeout = function(self) return self[CHANGED] and self[CHANGED].timeout end,
  target = request.target_of,
  key = key_of,
  group = function(self) return self[CONTEXT].group.name end,
  model = function(self)
    return (self[CHANGED] and self[CHANGED].model) or self[CONTEXT].model
  end,
  headers = read_headers,
  token = function(self) return (self[CONTEXT].token or NONE).name end,
  stream = function(self) return self[CONTEXT].stream end,
  conversation = function(self) return self[CONTEXT].conversation end,
  told_conversation = function(self) return self[CONTEXT].told_conversation end,
  tokens_estimate = estimate_tokens,
  attempts = attempts_of,
  targets = function(self) return copy(self[TARGETS] or targets_of(self)) end,
  keys = list_keys,
}
local methods = {
  json = body_of, with = with, remaining = remaining, refuse = refuse, reply = reply,
  race = run_race,
}

--- What policies read is mostly of the request that was made last: its inside is at hand.
local function read(self, name)
  local method = methods[name]
  if method then return method end
  local get = getters[name]
  if not get then object.raise_missing("request", name, 3) end
  local inside = latest_inside
  if self ~= latest then inside = object_inside(Request, self) end
  return get(inside)
end

Request = object.class("request", { getters = getters, methods = methods, index = read })

--- The request that the chain begins with.
function request.new(of)
  latest_inside = { of, none, none, none, none, none, none }
  latest = object_new(Request, latest_inside)
  return latest
end

--- What each layer of a chain does first: the inside of the request that it is given, and its
--- context. step: of whoever gave it (steps.mark), nil where that is no policy. Raises for anything
--- else, where next was called.
function request.enter(value, step)
  local inside = latest_inside
  if value ~= latest then
    inside = object_inside(Request, value)
    if not inside then
      error(("next takes a request: what it got is a %s"):format(type(value)), 3)
    end
  end
  local of = inside[CONTEXT]
  if step then pass(of.steps, step, inside) end
  return inside, of
end

return request
