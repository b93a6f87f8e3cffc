--- neap.attempt: the innermost step of every chain: one try at one target with one key.

local catalog = require "neap.catalog"
local host = require "neap.host"
local json = require "neap.json"
local redact = require "neap.redact"
local request = require "neap.request"
local response = require "neap.response"
local retry_after = require "neap.retry_after"
local steps = require "neap.steps"

local attempt = {}

-- What each attempt asks for, kept at hand.
local give_way, transfers = host.give_way.starts, host.attempt
local way_of, choose = catalog.way, request.choose
local count_steps, new_response = steps.count, response.of_attempt

-- What has no value yet: a name with it in a constructor gets its room, one with nil does not.
local none -- luacheck: ignore 221

local NONE = {}
local CREDENTIALS = { authorization = true, ["x-api-key"] = true, ["x-goog-api-key"] = true }

local ERROR_BODY_MAX = 64 * 1024 -- bytes of an error answer that are kept
local ERROR_BODY_SECONDS = 10    -- to read it
local LONG_EVENT = 64 * 1024     -- bytes of an event that the relay does not look at, either
local TRANSLATE_MAX = 2 * 1024 * 1024 -- bytes of a body that is translated; more lies in a file

-- ------------------------------------------------------------------------------------
-- What is sent

-- Never of a client or a policy. What a provider's own headers must not have, its checks refuse.
local FORBIDDEN = { host = true, ["content-length"] = true, ["transfer-encoding"] = true,
  connection = true, ["keep-alive"] = true, te = true, trailer = true, upgrade = true,
  ["proxy-connection"] = true, ["proxy-authorization"] = true, cookie = true }

--- The fixed headers of an attempt and the names of the client's that go on. Later sources go
--- before earlier ones: the client's, the key, the provider's own, the policy's.
local function headers_for(provider, secret, changed, is_stream)
  local fixed, forward, taken = {}, {}, {}
  local function put(name, value)
    local lower = name:lower()
    if taken[lower] then return end
    taken[lower] = true
    fixed[#fixed + 1] = name .. ": " .. value
  end
  for name, value in pairs(changed.headers or NONE) do
    if not FORBIDDEN[name:lower()] then put(name, value) end
  end
  for name, value in pairs(provider.headers) do put(name, value) end
  put("Accept", is_stream and "text/event-stream" or "application/json")
  local function pass(name)
    if not taken[name] and not FORBIDDEN[name] and not CREDENTIALS[name] then
      taken[name] = true
      forward[#forward + 1] = name
    end
  end
  pass("content-type")
  for _, name in ipairs(provider.dialect.request_headers) do pass(name) end
  for _, name in ipairs(provider.forward) do pass(name) end
  local shown = {}
  if secret then provider.dialect.authorize(shown, secret) end
  for _, line in ipairs(shown) do put(line:match("^([^:]+): (.*)$")) end
  return fixed, forward
end

--- The value of a timer in seconds: the group's goes before the provider's; a policy's
--- timeout bounds both.
local function timer(of, provider, changed, name)
  local value = of.group.timeouts[name] or provider.timeouts[name]
  if changed.timeout and (not value or changed.timeout < value) then return changed.timeout end
  return value
end

--- The body's edits, and the members that a policy sets.
local function edits_with(edits, set)
  edits = { unpack(edits) } -- which may be that of other requests, too
  for name, value in pairs(set) do
    local text = json.encode(value)
    local is_known = false
    for index = 1, #edits, 2 do
      if edits[index] == name then edits[index + 1], is_known = text, true end
    end
    if not is_known then edits[#edits + 1], edits[#edits + 2] = name, text end
  end
  return edits
end

--- The body where it is translated: decoded, changed, encoded in the provider's dialect. Or nil,
--- a message and the status that goes with it.
local function translated_body(of, provider, model, changed)
  local text = of.handle:body(TRANSLATE_MAX)
  if not text then return nil, "the body is too long to be translated for this provider", 413 end
  local canonical, problem = of.dialect.request_in(text)
  if not canonical then return nil, "the body is no valid JSON: " .. problem, 400 end
  for name, value in pairs(changed.set or NONE) do canonical[name] = value end
  return provider.dialect.request_out(canonical, model, provider.options)
end

-- ------------------------------------------------------------------------------------
-- What comes back

local function fail(inside, failure, why)
  inside.failure, inside.status, inside.why = failure, nil, why
end

--- Reads an error answer whole, as far as it is kept.
local function read_error(inside, transfer)
  local held = transfer:bytes(ERROR_BODY_MAX, ERROR_BODY_SECONDS)
  inside.body = held and transfer:text(0, ERROR_BODY_MAX) or transfer:text(0, ERROR_BODY_MAX)
end

local function become_error(inside, status, body)
  inside.status, inside.body, inside.is_error_event = status, body, true
end

--- Whether what fills the gate is an event that can be passed on as it is: an image, say.
local function is_long_content(inside, transfer, offset)
  local of = inside.context
  if not of.stream or inside.way.dialect ~= of.dialect then return false end
  local rest = transfer:text(offset)
  return #rest >= LONG_EVENT and rest:find("^[\239\187\191]*data:") ~= nil
end

--- Waits for the first event that is content. What came before stays held.
local function gate_stream(inside, transfer, dialect)
  local offset = 0
  while true do
    local data, after, name = transfer:event(offset)
    if data == nil then
      if after == "end" then return fail(inside, "empty") end
      if after == "full" then
        -- An event as long as this is no error: it passes without being looked at.
        if is_long_content(inside, transfer, offset) then break end
        return fail(inside, "protocol", "256 KiB without any content")
      end
      return fail(inside, after, name)
    end
    if data then
      local class, status, frame = dialect.classify(data, name)
      if class == "content" then
        inside.frame = frame
        break
      end
      if class == "end" then return fail(inside, "empty") end
      if class == "error" then return become_error(inside, status, frame or data) end
    end
    offset = after
  end
  transfer:deadline(0)
  inside.is_stream = true
end

--- What the dialect says of a whole body.
local function take_verdict(inside, transfer, class, status, used)
  if class == "empty" then return fail(inside, "empty") end
  if class == "broken" then return fail(inside, "protocol", "its JSON ends too early") end
  if class == "error" then become_error(inside, status, transfer:text(0, ERROR_BODY_MAX)) end
  inside.usage = used
end

--- A whole answer that the client gets in another form has to be read, and is as soon as it is
--- here: what cannot be read is no answer, and another target may give one.
local function read_whole(inside, transfer, dialect, size)
  local message, problem = dialect.response_in(transfer:text(0, size))
  if not message then return fail(inside, "protocol", problem) end
  inside.message = message
end

--- What transfers.answer brought: of a body that is no stream all, or as much as the gate holds.
local function take_answer(inside, transfer, dialect, status, failure, held, is_ended, ...)
  if not status then return fail(inside, failure, held) end
  if held then
    inside.is_whole, inside.size = is_ended, held
    if inside.context.stream then transfer:deadline(0) end -- of the first event that it asked for
    if is_ended then
      take_verdict(inside, transfer, dialect.classify_body(transfer, held, ...))
      local of = inside.context
      if (of.stream or dialect ~= of.dialect) and not (inside.failure or inside.body) then
        read_whole(inside, transfer, dialect, held)
      end
    end
  elseif status >= 300 then
    read_error(inside, transfer)
    inside.status = dialect.meant_status and dialect.meant_status(status, inside.body)
  else
    gate_stream(inside, transfer, dialect)
  end
  -- Not before: what is cut short meanwhile has neither a status nor a failure.
  if not inside.failure then inside.status = inside.status or status end
end

-- ------------------------------------------------------------------------------------
-- The step

--- A new attempt, which is the inside of its response, too, and what is left of it in the record.
--- Only what a usual one gets has its room from the start.
local function new_attempt(of, way, now)
  return {
    way = way, target = way.target, key = way.key, target_name = way.target_name,
    key_id = way.key_id, started = now,
    place = count_steps(of.steps), -- of the steps before it: where a trace shows it
    context = of, transfer = false, is_whole = false, size = false, usage = false,
    status = none, seconds = none, first_event_seconds = none,
  }
end

--- Takes the key out of what the provider says where it does not answer.
local function redact_error(inside)
  if not inside.way.key then return end
  local secret, instead = redact.of(inside.way)
  if inside.body then inside.body = redact.text(inside.body, secret, instead) end
  if inside.why then inside.why = redact.text(inside.why, secret, instead) end
  redact.headers(inside.header_list, secret, instead)
end

--- Finishes what is no good: its time, the error's wait, the record; and closes it.
local function conclude_error(inside)
  local transfer = inside.transfer
  inside.seconds = host.now() - inside.started
  if inside.body then
    inside.has_retry_advice = transfer:header("x-should-retry") ~= nil
    inside.retry_after = retry_after.read(function(name)
      return transfer:header(name)
    end, inside.body, host.wall())
  end
  inside.header_list = transfer:headers()
  redact_error(inside)
  response.close(inside)
end

--- Whose turn it is of a provider's proxies: one counter for all workers.
local function proxy_turn(provider)
  local turn = host.shared_add("proxy\0" .. provider.name, 1) or 1
  return (turn - 1) % #provider.proxy + 1
end

--- What the client wants, as the dialect is to ask the provider where a policy sets members:
--- perhaps that the answer is streamed, or that it is not. In which form the client gets it stays.
local function asked_with(of, set)
  local is_stream = set.stream
  if type(is_stream) ~= "boolean" or is_stream == of.stream then return of end
  return { handle = of.handle, model = of.model, stream = is_stream, is_usage_wanted = false,
    is_made_whole = not is_stream }
end

--- What the host sends such attempts by, made once; a policy that changes the model, the time or a
--- header gets one of its own.
local function route_for(of, way, changed, model, is_stream)
  local provider = way.at
  local place = provider.proxy[2] and proxy_turn(provider) or 1
  local routes = is_stream and way.stream_routes or way.routes
  local is_common = changed == NONE or not (changed.model or changed.timeout or changed.headers)
  if is_common and routes[place] then return routes[place] end
  local fixed, forward = headers_for(provider, way.secret, changed, is_stream)
  local made = host.route {
    url = way.dialect.url(provider.url, of.operation, model, is_stream),
    headers = fixed, forward = forward,
    connect = timer(of, provider, changed, "connect"),
    first_byte = is_stream and timer(of, provider, changed, "first_byte") or 0,
    first_event = is_stream and timer(of, provider, changed, "first_event") or 0,
    idle = timer(of, provider, changed, "idle"),
    total = timer(of, provider, changed, "total"),
    proxy = provider.proxy[place], private = provider.options.private ~= false,
    stream = is_stream, health = way.health,
  }
  if is_common then routes[place] = made end
  return made
end

--- Sends the request. Returns nil, a message and a status where it cannot be sent.
local function start(of, inside, changed)
  local way = inside.way
  local provider, model = way.at, way.model
  if changed.model then
    model = changed.model
    inside.model = model
  end
  local asked = changed.set and asked_with(of, changed.set) or of
  local body, said, status
  if way.dialect == of.dialect then
    body, said = way.dialect.edits(asked, model, provider.options)
    if changed.set then body = edits_with(body, changed.set) end
    if said then inside.is_usage_hidden = true end
  else
    body, said, status = translated_body(of, provider, model, changed)
    if not body then return nil, said, status end
  end
  give_way()
  return host.start(of.handle, route_for(of, way, changed, model, asked.stream), body)
end

local function is_gone(of) return select(2, of.handle:elapsed()) end

--- The innermost step. of: the context of a request; narrowed: its inside. Returns a response.
function attempt.run(of, narrowed)
  -- In a `done`, or with a request that was kept: an answer to it would be nobody's.
  if of.record.seconds then error("the request has ended: nothing more is sent for it", 3) end
  if of.open then response.close(of.open) end
  local attempts = of.attempts
  local count, now = #attempts, host.now()
  if count >= of.budget or now >= of.deadline then
    return (response.failed(of, "exhausted", "the request's budget is spent"))
  end
  if of.group.on_disconnect == "drain" and is_gone(of) then -- which only reads on what has begun
    return (response.failed(of, "exhausted", "the client has left"))
  end
  local target, key, changed = choose(narrowed)
  if not target then
    return (response.refusal(of, 503, ("the group \"%s\" has no target"):format(of.group.name)))
  end
  local way = way_of(target, key)
  if not key and way.at.keys[1] then -- a policy has left none of them
    return (response.refusal(of, 503, ("no key of the provider \"%s\" is left to try"):format(
      way.provider)))
  end
  local inside = new_attempt(of, way, now)
  of.provider, attempts[count + 1] = way.provider, inside
  local transfer, problem, status = start(of, inside, changed or NONE)
  if not transfer then
    attempts[count + 1] = nil
    return (response.refusal(of, status, problem))
  end
  inside.transfer = transfer
  if of.leg_of then inside.leg = of end
  local dialect = way.dialect
  take_answer(inside, transfer, dialect, transfers.answer(transfer, dialect.body_look))
  if inside.failure or inside.body then
    conclude_error(inside)
  else
    local seconds = transfers.accept(transfer, inside.started)
    inside.seconds, inside.first_event_seconds, of.open = seconds, seconds, inside
  end
  return (new_response(inside))
end

return attempt
