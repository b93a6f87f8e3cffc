--- neap.router: one client request from arrival to record: authenticate, resolve, run the chain,
--- answer.
---
--- The host calls open (at load), serve, fault, failed, gone, finish, finish_packed and pack; each
--- but open and pack runs in a fiber, with the request's handle first.

local access = require "neap.access"
local answer = require "neap.answer"
local bodies = require "neap.bodies"
local conversation = require "neap.conversation"
local fallback = require "neap.fallback"
local health = require "neap.health"
local host = require "neap.host"
local key_list = require "neap.key_list"
local loading = require "neap.loading"
local models = require "neap.models"
local openai = require "neap.dialect.openai"
local offer = require "neap.offer"
local record = require "neap.record"
local steps = require "neap.steps"
local usage = require "neap.usage"

local router = {}

local NONE = {}
local CHALLENGE = { fields = { "www-authenticate", "Bearer realm=\"neap\"" } } -- of each 401
-- What has no value yet: a name with it in a constructor gets its room, one with nil does not.
local none -- luacheck: ignore 221
-- What each request calls: a local takes less than to look a method up.
local arrive = host.request.arrive
local give_way = host.give_way
local receive, look = host.request.receive, host.request.look
local check_access, resolve, new_record = access.check, offer.resolve, record.new

local known  -- the catalog of this generation
local loaded -- the configuration that it is made of

-- ------------------------------------------------------------------------------------
-- Loading

--- A group to try neap with: echo, which needs no key, else the first whose name can stand in a
--- command.
local function sample_group()
  if known.groups.echo then return "echo" end
  for _, group in ipairs(known.group_list) do
    if group.name:find("^[%w_.:/-]+$") then return group.name end
  end
end

--- What serve says behind the address, and the group of its example.
local function greeting()
  local sample = sample_group()
  local lines = {}
  if not known.has_tokens then
    lines[#lines + 1] = "No token is configured: only this machine is served, without one.\n"
  end
  if sample then
    lines[#lines + 1] = known.has_tokens and "Try it, with a token in the place of TOKEN:\n"
      or sample == "echo" and "Try it, without any key:\n" or "Try it:\n"
  end
  return lines[1] and table.concat(lines), sample
end

local function stored_problems(report)
  local lines = {}
  for index, problem in ipairs(report.errors) do
    lines[index] = ("%s: %s"):format(problem.record, (problem.text:gsub("%s+", " ")))
  end
  return table.concat(lines, "\n")
end

router.keep, router.kept, router.peek = loading.keep, loading.kept, loading.peek
router.load, router.rehearse = loading.load, loading.rehearse

--- Loads router.lua, what is stored, and the policies. Returns the settings that the host itself
--- needs, or nil and every error, one per line.
function router.open(path)
  local made, configuration = router.load(path)
  if not made then return nil, configuration end
  known, loaded = made, configuration
  local settings = loading.settings_of(configuration)
  settings.has_tokens = known.has_tokens
  settings.greeting, settings.sample_group = greeting()
  settings.stored_problems = stored_problems(configuration.stored)
  settings.secrets = bodies.secrets(configuration)
  return settings
end

--- What `open` has loaded: the configuration and its catalog.
function router.loaded() return loaded, known end

-- ------------------------------------------------------------------------------------
-- Chat

local function read_request(of)
  local handle = of.handle
  local size, kind, problem = receive(handle)
  if not size then
    answer.refuse(of, kind, problem) -- then it is a status
    return false
  end
  if kind ~= "object" then
    answer.refuse(of, 400, "the body must be a JSON object")
    return false
  end
  local model, is_stream, is_usage_wanted, told = look(handle, of.dialect.asked)
  if not model or model == "" then
    answer.refuse(of, 400, "the body names no model: \"model\" must be a text",
      { code = "model_required" })
    return false
  end
  of.model, of.stream, of.is_usage_wanted = model, is_stream, is_stream and is_usage_wanted
  of.told_conversation = told -- until conversation.of has seen to it
  return true
end

local function refuse_unknown(of)
  local off = offer.off_provider(known, of.token, of.model)
  local why = off and (": the provider \"%s\" is off, as it has no key or no URL"):format(off)
    or "; GET /v1/models lists what there is"
  answer.refuse(of, 404, ("there is no model \"%s\"%s"):format(of.model, why),
    { code = "model_not_found" })
end

local function chat(of)
  of.operation = "chat"
  if known.keeps_bodies then bodies.of_token(of, known) end
  if not read_request(of) then return end
  local group, status = resolve(known, of.token, of.model)
  if not group then
    if status == 403 then
      return answer.refuse(of, 403, ("the token may not use \"%s\""):format(of.model))
    end
    return refuse_unknown(of)
  end
  of.group = group
  if known.keeps_bodies then bodies.of_group(of, known) end
  of.conversation, of.told_conversation = conversation.of(of, known.is_guessing)
  of.budget, of.deadline = group.attempts, host.now() + group.seconds
  if group.on_disconnect ~= "cancel" then of.handle:on_disconnect(group.on_disconnect) end
  give_way.routes()
  local got = fallback.run(of, group)
  if not got then
    return answer.refuse(of, 500, "the routing policy of this group failed; neap's log says why",
      { final = true, code = "policy_failed" })
  end
  give_way.replies()
  return answer.commit(of, got)
end

-- ------------------------------------------------------------------------------------
-- Routes

local routes = {
  ["/v1/chat/completions"] = { POST = chat, endpoint = "chat" },
  ["/v1/models"] = { GET = function(of) models.list(of, known) end, endpoint = "models" },
  ["/v1/keys/list"] = { GET = function(of) key_list.show(of, known) end, endpoint = "keys" },
  ["/health"] = { GET = function(of) health.show(of, known) end, is_open = true },
  ["/healthz"] = { GET = function(of) health.alive(of) end, is_open = true },
  ["/readyz"] = { GET = function(of) health.ready(of) end, is_open = true },
}

-- Other names of the same, which clients of other routers have in their settings.
for other, path in pairs {
  ["/chat/completions"] = "/v1/chat/completions", ["/models"] = "/v1/models",
  ["/hf/v1/chat/completions"] = "/v1/chat/completions", ["/hf/v1/models"] = "/v1/models",
  ["/hf/v1/keys/list"] = "/v1/keys/list", ["/"] = "/health",
} do
  routes[other] = routes[path]
end

local MODEL_PATHS = { "^/v1/models/(.+)$", "^/models/(.+)$", "^/hf/v1/models/(.+)$" }

--- The route of a path that names a model.
local function model_route(path)
  for _, pattern in ipairs(MODEL_PATHS) do
    local id = path:match(pattern)
    if id then
      return { GET = function(of) models.show(of, known, id) end, endpoint = "models" }
    end
  end
end

--- Returns the context, the method and the path.
local function new_context(handle)
  -- The names that a usual request gets stand here, those without a value too, and there is room
  -- for some others, so that the table need not grow; false costs nothing, and is what has no value
  -- and is never shown to a policy.
  local of = {
    handle = handle, dialect = openai, steps = steps.new(), attempts = { none },
    entered = { none, none },
    cors = NONE, budget = 0, deadline = 0, record = false, operation = false, model = false,
    stream = false, is_usage_wanted = false, group = false, request = false, layer = false,
    came = false, provider = false, open = false, token = false, conversation = false,
    told_conversation = false, endpoint = false,
  }
  of.record = new_record(of)
  return of, arrive(handle, of.record)
end

--- The request of a handle: what the client asked for, answered by whoever serves the path.
function router.serve(handle)
  local of, method, path = new_context(handle)
  local route = routes[path] or model_route(path)
  if known.cors then
    of.cors = access.cors_fields(known.cors, handle)
    if method == "OPTIONS" and (route or of.cors[1]) then return access.preflight(of, route) end
  end
  -- Whoever watches over neap asks each second: a line for each would bury the others.
  if route then
    of.endpoint = route.endpoint
    if route.is_open then of.record.is_quiet = true end
  end
  local problem, status = check_access(of, known, route and route.is_open)
  if problem then
    return answer.refuse(of, status, problem, status == 401 and CHALLENGE or nil)
  end
  if not route then
    return answer.refuse(of, 404, ("there is no %s"):format(path), { code = "not_found" })
  end
  local run = route[method] or (method == "HEAD" and route.GET)
  if not run then
    local allowed = route.GET and "GET, HEAD" or "POST"
    return answer.refuse(of, 405, ("%s takes %s, not %s"):format(path, allowed, method),
      { fields = { "allow", allowed } })
  end
  return run(of)
end

--- A chat request of an administrator, who needs no token and may use everything. Its record has
--- the origin "test", and its answer the trace and, as x-neap-record, the record's id.
---@param fields (string|number)[] name, value, … of the answer, besides the router's own; taken
function router.try_chat(handle, fields)
  local of = new_context(handle)
  of.record.origin, of.endpoint = "test", "chat"
  fields[#fields + 1], fields[#fields + 2] = "x-neap-record", handle:uuid()
  of.cors, of.is_traced = fields, true
  return chat(of)
end

--- A request that breaks the protocol or a limit; its head may be incomplete.
function router.fault(handle, status, message)
  local of = new_context(handle)
  if known.cors then of.cors = access.cors_fields(known.cors, handle) end
  answer.refuse(of, status, message)
end

--- The fiber of the request failed: an error of neap itself, or a second overrun. is_stopped: neap
--- ends, and has cut it off.
function router.failed(handle, message, is_stopped)
  if not is_stopped then host.log("error", "router", message) end
  local self = handle:record()
  local of = self and self.context
  if not of or self.seconds then return end -- it was over
  of.open = nil
  if of.is_begun then return answer.break_off(of, message) end
  if is_stopped then
    return answer.refuse(of, 503, "neap is being stopped; the request can be sent again",
      { retry_after = 1, code = "stopping", why = message })
  end
  answer.refuse(of, 500, "neap could not process the request; its log says why",
    { final = true, code = "internal_error" })
end

--- The client left before an answer had begun, or while Lua was writing it.
function router.gone(handle)
  local self = handle:record()
  if not self then return end
  self.status, self.outcome = 499, "aborted"
  local last = self.attempts[#self.attempts]
  if last then self.last = last end
  -- A provider that was at work has read the prompt, and asks to be paid for it.
  local is_at_work = last and not last.failure and (not last.status or last.status < 300)
  if is_at_work and not self.usage then
    record.estimate(self, handle, self.context.content_size or 0)
  end
  record.finish(self)
end

--- What the provider of a relayed answer said about its usage: in an event that was kept, or at its
--- end; or nil.
local function usage_of(self, result)
  local dialect = self.last.way.dialect
  if not self.usage_rule then
    return result.tail and dialect.usage_of_tail and dialect.usage_of_tail(result.tail)
  end
  for index = self.usage_rule, table.maxn(result.kept) do
    local used = result.kept[index] and dialect.usage(result.kept[index])
    if used then return used end
  end
end

--- A relay has ended. result: { outcome, aborted, failure, error, size, kept, events, event_bytes,
--- tail }.
function router.finish(handle, self, result)
  self.usage, self.bytes_out = usage_of(self, result), result.size
  if not self.usage then
    record.estimate(self, handle,
      self.usage_rule and usage.content_of_stream(result, self.frame) or result.size)
  end
  self.outcome = result.outcome
  if result.outcome ~= "ok" then
    self.failure = result.failure
    self.error = result.error ~= "" and result.error or result.failure
  end
  if result.aborted then self.outcome, self.status, self.error = "aborted", 499, nil end
  record.finish(self)
end

--- The same, where the record's generation is gone.
function router.finish_packed(handle, text, result)
  local self = record.unpack(text, known, handle)
  handle:set_record(self)
  return router.finish(handle, self, result)
end

router.pack = record.pack

return router
