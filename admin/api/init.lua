--- admin.api.init: the admin side: one request from arrival to answer: who asks, may he, is what he
--- sends right, and the operation itself.
---
--- Takes the place of neap.router in the admin worker: the host calls the same functions, and
--- `start` once the generation is in force. It loads the same router.lua, so that catalog and
--- policies are at hand. Answers nothing but `open` operations to whoever is not logged in: 401,
--- unknown paths too.

local auth = require "admin.api.auth"
local fault = require "neap.fault"
local host = require "neap.host"
local job = require "admin.api.job"
local json = require "neap.json"
local lenient = require "admin.api.lenient"
local openapi = require "admin.api.openapi"
local origin = require "admin.api.origin"
local problem = require "admin.api.problem"
local provider_seal = require "admin.api.provider_seal"
local query = require "admin.api.query"
local reply = require "admin.api.reply"
local router = require "neap.router"
local routes = require "admin.api.routes"
local schema = require "admin.api.schema"
local session = require "admin.api.session"
local setup = require "admin.api.setup"
local zone = require "neap.zone"

local admin = {}

local BODY_MAX = 2 * 1024 * 1024 -- bytes; the listener takes no more either
local LARGE = 64 * 1024          -- bytes of a body that is read in a run of its own
local FORM_MAX = 16 * 1024       -- bytes of a form: those there are have a password in them

local known              -- the routes
local configuration      -- of router.lua: listen, names
local is_secure          -- whether the listener speaks TLS
local password           -- that the environment gives
local document           -- openapi.json, as text

-- ------------------------------------------------------------------------------------
-- Loading

local function openapi_operation()
  return { id = "get_openapi", method = "GET", path = "/openapi.json", tag = "health",
    scope = "open", summary = "This document",
    run = function() return 200, reply.raw("application/json", document) end,
    responses = { { 200, "An OpenAPI 3.1 document.", { type = "object",
      additionalProperties = true } } } }
end

--- Loads router.lua as clients' workers do, and the routes. See neap.router.open.
function admin.open(path)
  local problem_text
  password, problem_text = setup.read_environment()
  if problem_text then return nil, ("%s:1: %s"):format(path, problem_text) end
  router.keep()
  local settings, errors = router.open(path)
  if not settings then return nil, errors end
  -- Whether there is an admin side is decided at the start; what is left of it is this machine's.
  admin.prepare(router.loaded().admin or { listen = "127.0.0.1:8081" },
    settings.certificate ~= nil)
  return settings
end

--- Builds the routes and their document.
---@param given table { listen, names } of router.lua
---@param has_tls boolean
function admin.prepare(given, has_tls)
  configuration, is_secure = given, has_tls
  zone.keep_all()
  known = routes.all()
  routes.add(known, openapi_operation())
  document = json.encode(openapi.document(known.list,
    { cookie = session.cookie_name(is_secure) }))
  return known
end

--- The OpenAPI document without anything configured, for neap openapi.
function admin.describe()
  admin.prepare({ listen = "127.0.0.1:8081" }, false)
  return document
end

--- The generation is in force.
function admin.start()
  host.spawn(provider_seal.run)
  job.start()
  host.spawn(function()
    local is_done, raised = pcall(setup.start, configuration, is_secure, password)
    password = nil
    if is_done then return end
    local of = problem.of(raised)
    host.log("error", "admin", "setup: " .. (of and of.message or tostring(raised)))
  end)
end

-- ------------------------------------------------------------------------------------
-- What the request holds

local function invalid(status, code, name, message, field)
  problem.raise(status, code, name .. " " .. message, { field = field or name })
end

local function read_params(of, values)
  local params = routes.params(of.op, values)
  if not params then problem.not_found("such path: it holds a % without two hex digits") end
  for name, self in pairs(of.op.params or {}) do
    local value = params[name]
    if schema.check(self, value) then problem.not_found(("%s %q"):format(name, value)) end
  end
  of.params = params
end

local function read_query(of)
  local given, trouble = query.parse(of.query_text)
  if not given then problem.raise(400, "invalid_query", "the query cannot be read: " .. trouble) end
  local specs, values = of.op.query or {}, {}
  if of.op.is_compat then given = lenient.parameters(specs, given) end
  for name, text in pairs(given) do
    local spec = specs[name]
    if not spec then invalid(400, "invalid_query", name, "is not known here", name) end
    local value = schema.from_text(spec, text)
    if value == nil then value = text end
    local place, message = schema.check(spec, value)
    if place then invalid(400, "invalid_query", name, message) end
    values[name] = value
  end
  for name, spec in pairs(specs) do
    if values[name] == nil then
      if spec.is_required then invalid(400, "invalid_query", name, "is missing") end
      values[name] = spec.default
    end
  end
  of.query = values
end

--- The body's text; nil where there is none.
local function receive(of)
  local handle = of.handle
  local size, status, message = handle:receive()
  if not size then
    if message:find("not valid JSON", 1, true) then problem.raise(400, "invalid_json", message) end
    problem.raise(status, status == 413 and "too_large" or "invalid_body", message)
  end
  if size == 0 then return nil end
  local text = handle:body(BODY_MAX)
  if not text then problem.raise(413, "too_large", "the body is longer than 2 MiB") end
  return text
end

local FORM = "application/x-www-form-urlencoded"

local function decode_json(text)
  local value, message = json.decode(text)
  if value == nil then
    problem.raise(400, "invalid_json", "the body is no JSON: " .. tostring(message))
  end
  return value
end

--- The members of a form, as an object; numbers and booleans as the schema has them.
local function decode_form(text, self)
  local given, trouble = query.parse(text)
  if not given then problem.raise(400, "invalid_form", "the form cannot be read: " .. trouble) end
  local result = json.object {}
  for name, value in pairs(given) do
    local property = self.properties[name]
    local read = property and schema.from_text(property, value)
    if read == nil then read = value end
    result[name] = read
  end
  return result
end

--- The body as the operation takes it. What its type says decides; curl's own, which people send
--- JSON with, counts as none where no form is taken.
local function decode(of, text, kind)
  local op = of.op
  if op.takes == "text" and not kind:find("json", 1, true) then
    of.text = text
    return nil
  end
  if op.takes == "form" and kind == FORM and not text:find("^%s*{") then
    if #text > FORM_MAX then problem.raise(413, "too_large", "the form is longer than 16 KiB") end
    return decode_form(text, op.body)
  end
  if kind ~= "" and kind ~= FORM and not kind:find("json", 1, true) then
    problem.raise(415, "unsupported_type", "the body must be JSON", { field = "Content-Type" })
  end
  return decode_json(text)
end

local function read_body(of)
  local op = of.op
  if not op.body and not op.takes then return end
  local text = receive(of)
  if not text then
    if op.is_body_optional then return end
    problem.raise(422, "invalid", "there is no body", { field = "" })
  end
  if #text > LARGE then host.sleep(0) end
  local kind = (of.handle:header("content-type") or ""):lower():match("^%s*([^;%s]*)")
  of.body = decode(of, text, kind)
  if of.body == nil or not op.body then return end
  if op.is_compat then lenient.prune(op.body, of.body) end
  local pointer, message = schema.check(op.body, of.body)
  if #text > LARGE then host.sleep(0) end
  if pointer then
    invalid(422, "invalid", pointer == "" and "the body" or pointer, message, pointer)
  end
end

-- ------------------------------------------------------------------------------------
-- Dispatch

local function allowed_of(methods)
  local list = {}
  for method in pairs(methods) do list[#list + 1] = method end
  if methods.GET then list[#list + 1] = "HEAD" end
  list[#list + 1] = "OPTIONS"
  table.sort(list)
  return table.concat(list, ", ")
end

local function refuse_method(of, methods)
  local allowed = allowed_of(methods)
  problem.raise(405, "method_not_allowed", ("%s takes %s, not %s"):format(of.path, allowed,
    of.method), { headers = { "allow", allowed } })
end

--- The operation asked for, once it is known who asks: a stranger learns nothing of what there is.
local function find_operation(of)
  local methods, values = known:find(of.path)
  local op = methods and (methods[of.method] or (of.method == "HEAD" and methods.GET))
  if not op then
    local other, inside = lenient.find(known, of.method, of.path)
    if other then op, methods, values = other, {}, inside end
  end
  if op and of.method == "HEAD" and (op.has_effect or op.is_stream) then op = nil end
  of.is_compat = op and op.is_compat -- its clients read refusals in another place
  if not (op and op.scope == "open") then of.who = auth.require(of) end
  if not methods then problem.not_found(of.path) end
  if of.method == "OPTIONS" then return nil, methods end
  if not op then refuse_method(of, methods) end
  of.op = op
  read_params(of, values)
  return op
end

local function dispatch(of)
  origin.check_host(of, configuration)
  local op, methods = find_operation(of)
  if not op then return 204, nil, { "allow", allowed_of(methods) } end
  if of.who then auth.check_scope(of.who, op.scope) end
  origin.check_forgery(of)
  read_query(of)
  read_body(of)
  -- A write goes on to its end when its caller leaves.
  if of.method ~= "GET" and of.method ~= "HEAD" then of.handle:on_disconnect("detach") end
  return op.run(of)
end

local function new_context(handle)
  local method, path, query_text = handle:line()
  local of = { handle = handle, id = host.id(), method = method, path = path,
    query_text = query_text or "", address = (handle:peer()), is_secure = is_secure,
    start = host.now(), fields = {}, op = nil, who = nil, is_compat = nil }
  handle:set_record({ context = of })
  return of
end

--- Whether the request is one of the playground's, which the router has taken.
local function is_routed(self) return self ~= nil and self.origin ~= nil end

--- The request took more time or memory than one may: because of what is in it, or for now.
local function refuse_overrun(of, text)
  if is_routed(of.handle:record()) then error(text, 0) end
  host.log("warn", "admin", ("%s: %s"):format(of.id, text))
  if of.is_answered then return of.handle:cut() end
  local is_large = of.op and (of.op.body or of.op.takes) and of.handle:size() > LARGE
  reply.refuse(of, is_large
    and { status = 413, code = "too_large", message = "there is more in the body than can be read "
      .. "at once: send it in parts" }
    or { status = 503, code = "busy", message = "it took more time or memory than a request may: "
      .. "ask for less, or try again", headers = { "retry-after", 1 } })
end

--- The operation and its answer, whose text may be the longest part of it. A handler that has
--- answered by itself (a stream, a relay) returns nothing.
local function answer(of)
  local status, given, fields = dispatch(of)
  if status then reply.send(of, status, given, fields) end
end

--- A request of the admin side.
function admin.serve(handle)
  local of = new_context(handle)
  local is_done, raised
  local _, overrun = fault.catch(function() is_done, raised = pcall(answer, of) end)
  if overrun then return refuse_overrun(of, overrun) end
  if is_done then return end
  local known_problem = problem.of(raised)
  if known_problem and not of.is_answered then return reply.refuse(of, known_problem) end
  error(known_problem and known_problem.message or raised, 0)
end

--- A request that breaks the protocol or a limit; its head may be incomplete.
function admin.fault(handle, status, message)
  local of = new_context(handle)
  reply.send(of, status, problem.document { code = status == 413 and "too_large" or "bad_request",
    message = message })
end

--- The fiber of the request failed: an error of neap itself, or an overrun of its limits.
function admin.failed(handle, message)
  local self = handle:record()
  if is_routed(self) then return router.failed(handle, message) end
  host.log("error", "admin", message)
  local of = self and self.context or new_context(handle)
  if of.is_answered then return of.handle:cut() end
  reply.send(of, 500, problem.document { code = "internal_error",
    message = "neap could not process the request; its log says why" })
end

--- The client left before its answer was complete.
function admin.gone(handle)
  local self = handle:record()
  if is_routed(self) then return router.gone(handle) end
  if self and self.context then reply.write_log(self.context, 499) end
end

-- Relays are the playground's: requests of the router's own.
admin.finish, admin.finish_packed, admin.pack = router.finish, router.finish_packed, router.pack

return admin
