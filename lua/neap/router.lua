--- neap.router: one client request from arrival to record: authenticate, resolve, run the chain,
--- answer.
---
--- The host calls open (at load), serve, fault, failed, gone, finish, finish_packed and pack; each
--- but open and pack runs in a fiber, with the request's handle first.

local access = require "neap.access"
local answer = require "neap.answer"
local attempt = require "neap.attempt"
local bodies = require "neap.bodies"
local catalog = require "neap.catalog"
local chain = require "neap.chain"
local config = require "neap.config"
local config_stored = require "neap.config_stored"
local conversation = require "neap.conversation"
local fallback = require "neap.fallback"
local fault = require "neap.fault"
local health = require "neap.health"
local host = require "neap.host"
local key_list = require "neap.key_list"
local models = require "neap.models"
local openai = require "neap.dialect.openai"
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
local check_access, resolve, new_record = access.check, catalog.resolve, record.new

local known  -- the catalog of this generation
local loaded -- the configuration that it is made of
local kept   -- what rehearsals need; see router.keep

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

--- The dialects that there are: a provider of another one is an error with its line.
local function dialects()
  local names = { "openai" }
  for name in (host.env("NEAP_DIALECTS") or ""):gmatch("[%w_]+") do names[#names + 1] = name end
  return names
end

--- Where policies are looked for: the user's folder, then neap's.
local function folders_of(configuration)
  return { configuration.policies, host.home() .. "/policies" }
end

--- The errors as text, one per line.
local function shown(errors) return table.concat(config.format(config.sorted(errors)), "\n") end

--- Without a token neap serves this machine alone. A check does not open the storage, where there
--- may be tokens, too.
local function token_problem(configuration, has_tokens, rows, path)
  local may_be_stored = not rows and host.files(configuration.storage .. "/state")[1] ~= nil
  if has_tokens or may_be_stored or access.is_loopback(configuration.listen) then return nil end
  return { path = path, line = configuration.listen_line, text = "without a token neap serves "
    .. "loopback only: give it a token, or listen on 127.0.0.1" }
end

--- lookups: { getenv, read }, what stands for the host's in env and file; or nil.
local function open_configuration(path, lookups)
  local text, why = host.read(path)
  if not text then return nil, ("%s:1: it cannot be read: %s"):format(path, why) end
  local configuration, errors, rest = config.load { text = text, path = path,
    getenv = lookups and lookups.getenv or host.env, read = lookups and lookups.read or host.read,
    dialects = dialects(), certificate_problem = host.certificate_problem,
    run_protected = fault.at_load }
  if configuration then return configuration end
  local of_chains = chain.problems(rest.groups, chain.loader(folders_of(rest)), path)
  for _, problem in ipairs(of_chains) do errors[#errors + 1] = problem end
  return nil, shown(errors)
end

local function stored_rows()
  local config_rows, key_rows = host.stored("config"), host.stored("keys")
  return config_rows and { config = config_rows, keys = key_rows, unseal = host.unseal }
end

--- Puts what is stored behind it. A mistake in here must not keep neap from starting either.
local function merge_stored(configuration, rows)
  local ok, problem = pcall(config_stored.merge, configuration, rows,
    { path = "stored", dialects = dialects() })
  if ok then return end
  configuration.stored = { shadowed = {}, errors = { { record = "*", text = tostring(problem) } } }
  configuration.needs_token, configuration.stored_policies = rows ~= nil, {}
end

--- Leaves out the stored policies that cannot be loaded.
local function remove_broken_policies(loader, configuration)
  for name in pairs(loader.stored) do
    local definition, problem = chain.definition(loader, name)
    if not definition then
      local errors = configuration.stored.errors
      errors[#errors + 1] = { record = "policy/" .. name, text = problem }
      loader.stored[name], loader.definitions[name] = nil, nil
    end
  end
end

--- Takes out the stored groups whose chain cannot run.
local function remove_broken(made, configuration, of_stored)
  for _, problem in ipairs(of_stored) do
    local errors = configuration.stored.errors
    errors[#errors + 1] = { record = "group/" .. problem.group.name, text = problem.text }
    catalog.remove_group(made, problem.group)
  end
end

--- What comes of router.lua's part and of these rows. read: of policies; see chain.loader.
local function build(configuration, rows, path, folders, read)
  merge_stored(configuration, rows)
  local ok, made = pcall(catalog.new, configuration)
  if not ok then return nil, ("%s:1: %s"):format(path, tostring(made)) end
  local loader = chain.loader(folders, { stored = configuration.stored_policies, read = read })
  remove_broken_policies(loader, configuration)
  local errors, of_stored = chain.attach(made, loader, attempt.run, path)
  errors[#errors + 1] = token_problem(configuration, made.has_tokens, rows, path)
  if errors[1] then return nil, shown(errors) end
  remove_broken(made, configuration, of_stored)
  return made, configuration
end

--- A copy of plain tables.
local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for name, member in pairs(value) do result[name] = copy(member) end
  return result
end

--- From now on `open` keeps what `rehearse` needs: for the admin side.
function router.keep() kept = {} end

--- Keeps router.lua's part, and the texts of all policies.
local function keep(configuration, path, folders)
  local read, names = chain.shelf(folders)
  kept = { configuration = copy(configuration), path = path, folders = folders, read = read,
    names = { own = names[folders[1] ], neap = names[folders[2] ] } }
end

--- The catalog and the configuration that router.lua, what is stored and the policies give, or nil
--- and every error, one per line. configuration.stored says what of the stored is left out.
function router.load(path, lookups)
  local configuration, problem = open_configuration(path, lookups)
  if not configuration then return nil, problem end
  local folders = folders_of(configuration)
  if kept then keep(configuration, path, folders) end
  return build(configuration, stored_rows(), path, folders)
end

--- What a load would make of these rows of the table config, without one: as `load`, but that of
--- stored keys there are these alone. After `keep` only.
---@param rows string[] key, value, …
---@param keys string[]? of the table keys; none
---@param unseal (fun(record: string, field: string, sealed: string): string?, string?)? of these
---@return table? catalog, table|string configuration_or_errors
function router.rehearse(rows, keys, unseal)
  return build(copy(kept.configuration), { config = rows, keys = keys or {},
    unseal = unseal or host.unseal }, kept.path, kept.folders, kept.read)
end

--- What is kept: `configuration` of router.lua alone, `folders` and `names` ({ own, neap }) of
--- policies, and `read`, which gives a policy's text by its path.
function router.kept() return kept end

local function settings_of(configuration)
  local log = configuration.log or {}
  local stored = configuration.settings or {}
  return {
    listen = configuration.listen, storage = configuration.storage,
    admin_listen = configuration.admin and configuration.admin.listen,
    certificate = configuration.tls and configuration.tls.certificate,
    key = configuration.tls and configuration.tls.key, log_format = log.format,
    log_level = log.level, workers = configuration.workers or 0,
    drain_timeout = configuration.drain_timeout, spool = configuration.spool,
    body_max = configuration.body_max or 0, watch = configuration.watch,
    journal = configuration.journal,
    record_age = stored.record_age, record_bytes = stored.record_bytes,
    body_age = stored.body_age, body_bytes = stored.body_bytes,
  }
end

local function stored_problems(report)
  local lines = {}
  for index, problem in ipairs(report.errors) do
    lines[index] = ("%s: %s"):format(problem.record, (problem.text:gsub("%s+", " ")))
  end
  return table.concat(lines, "\n")
end

--- Reads router.lua alone: the settings that the host needs before it opens its storage, or nil
--- and every error, one per line.
function router.peek(path)
  local configuration, problem = open_configuration(path)
  if not configuration then return nil, problem end
  return settings_of(configuration)
end

--- Loads router.lua, what is stored, and the policies. Returns the settings that the host itself
--- needs, or nil and every error, one per line.
function router.open(path)
  local made, configuration = router.load(path)
  if not made then return nil, configuration end
  known, loaded = made, configuration
  local settings = settings_of(configuration)
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

local function chat(of)
  of.operation = "chat"
  if known.keeps_bodies then bodies.of_token(of, known) end
  if not read_request(of) then return end
  local group, status = resolve(known, of.token, of.model)
  if not group then
    if status == 403 then
      return answer.refuse(of, 403, ("the token may not use \"%s\""):format(of.model))
    end
    return answer.refuse(of, 404, ("there is no model \"%s\"; GET /v1/models lists what there is")
      :format(of.model), { code = "model_not_found" })
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
    if method == "OPTIONS" and route then return access.preflight(of, route) end
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

--- The fiber of the request failed: an error of neap itself, or a second overrun.
function router.failed(handle, message)
  host.log("error", "router", message)
  local self = handle:record()
  local of = self and self.context
  if not of or self.seconds then return end -- it was over
  of.open = nil
  if of.is_begun then return answer.break_off(of, message) end
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
