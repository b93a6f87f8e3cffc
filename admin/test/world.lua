--- admin.test.world: the admin side without a host: a store, a clock and passwords in memory, and
--- requests that are answered at once. For tests of the admin side's resources.
---
---     local world = require("admin.test.world").new()
---     local got = world:request { path = "/api/v1/settings", as = "read" }
---     test.equal(got.status, 200)
---
--- `as` is who asks: nil (nobody), "session" (the cookie of a person, with the header that writes
--- need), or a list of scopes as a text: "read", "write", "keys", "read keys".

local admin = require "admin.api.init"
local fake_journal = require "admin.test.journal"
local host = require "neap.host"
local json = require "neap.json"
local memory = require "neap.test.memory"
local clock = require "neap.test.clock"
local router = require "neap.router"
local schema = require "admin.api.schema"

local world = {}

local WALL = 1767225600 -- 2026-01-01, UTC

local World = {}
World.__index = World

local now_used -- the world that the host's functions work on

local ROUTER = "/world/router.lua"
local read_file = host.read

-- ------------------------------------------------------------------------------------
-- What a load reads

function host.read(path)
  if path == ROUTER then return now_used.config end
  return read_file(path)
end

function host.stored(table_name)
  local flat, rows = {}, now_used.store[table_name]
  local names = {}
  for key in pairs(rows) do names[#names + 1] = key end
  table.sort(names)
  for _, key in ipairs(names) do flat[#flat + 1], flat[#flat + 2] = key, rows[key] end
  return flat
end

function host.seal(record, field, secret) return ("%s|%s|%s"):format(record, field, secret) end
function host.unseal(record, field, sealed)
  local front = ("%s|%s|"):format(record, field)
  if sealed:sub(1, #front) ~= front then return nil, "it belongs to another record" end
  return sealed:sub(#front + 1)
end

local function load()
  local settings, problem = router.open(ROUTER)
  if not settings then return nil, problem end
  return true
end

-- ------------------------------------------------------------------------------------
-- The store

local function row_of(self, table_name, key)
  local rows = self.store[table_name]
  if not rows then error("there is no table " .. tostring(table_name)) end
  if #key == 0 or #key > 511 then error("a key has 1 to 511 bytes") end
  return rows[key]
end

local function sorted_keys(rows)
  local keys = {}
  for key in pairs(rows) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

function host.store_get(table_name, key)
  if now_used.store_problem then return nil, now_used.store_problem, "by the test" end
  return row_of(now_used, table_name, key)
end

function host.store_scan(table_name, options)
  if now_used.store_problem then return nil, now_used.store_problem, "by the test" end
  local rows, flat, limit = now_used.store[table_name], {}, options.limit or 100
  local keys = sorted_keys(rows)
  local from, to, step = 1, #keys, 1
  if options.reverse then from, to, step = #keys, 1, -1 end
  for index = from, to, step do
    local key = keys[index]
    local is_in = key:sub(1, #options.prefix) == options.prefix
      and key > (options.after or "") and key < (options.before or "\255")
    if is_in then
      if #flat == limit * 2 then return flat, flat[#flat - 1] end
      flat[#flat + 1], flat[#flat + 2] = key, rows[key]
    end
  end
  return flat
end

function host.store_write(ops)
  local trouble = now_used.store_problem or now_used.write_problem
  if trouble then return nil, trouble, "by the test" end
  for index, op in ipairs(ops) do
    if op[1] == "expect" and row_of(now_used, op[2], op[3]) ~= op[4] then
      return nil, "conflict", index
    end
  end
  for _, op in ipairs(ops) do
    row_of(now_used, op[2], op[3])
    if op[1] == "put" then
      if type(op[4]) ~= "string" then error("a value is a text") end
      now_used.store[op[2]][op[3]] = op[4]
    elseif op[1] == "delete" then
      now_used.store[op[2]][op[3]] = nil
    end
  end
  return true
end

-- ------------------------------------------------------------------------------------
-- The rest of the host

host.now = function() return clock.time end
host.wall = function() return WALL + clock.time end
host.sleep = function(seconds) clock.time = clock.time + seconds end
host.spawn = function(run, ...) run(...) end
host.is_current = function() return true end
host.generation = function() return now_used.generation end
local function check_password(text)
  if #text > 1024 then error("a password has 1024 bytes at most") end
end
host.password_hash = function(text)
  check_password(text)
  if now_used.is_busy then return nil, "busy" end
  return "hash of " .. text
end
host.password_verify = function(hash, text)
  check_password(text)
  if now_used.is_busy then return nil, "busy" end
  now_used.verified = now_used.verified + 1
  return hash == "hash of " .. text
end
host.id = function()
  now_used.ids = now_used.ids + 1
  return ("01900000-0000-7000-8000-%012x"):format(now_used.ids)
end
host.token_new = function()
  now_used.tokens = now_used.tokens + 1
  local text = ("neap-test%d"):format(now_used.tokens)
  return text, host.digest(text)
end
host.log = function(level, area, text)
  local lines = now_used.lines
  lines[#lines + 1] = ("%s %s %s"):format(level, area, text)
end
router.try_chat = function(handle, fields)
  fields[#fields + 1], fields[#fields + 2] = "content-type", "application/json"
  handle:set_record { origin = "test" }
  now_used.tried = handle
  if now_used.try_problem then error(now_used.try_problem, 0) end
  handle:reply(200, fields, "{}")
end
router.failed = function(handle, message)
  handle:reply(500, {}, "the router: " .. message)
end
router.gone = function(handle) handle.is_left = true end
local loaded = router.loaded
router.loaded = function()
  if now_used.known then return {}, now_used.known end
  return loaded()
end
host.figures = function()
  return { uptime = 1, workers = 1, generation = now_used.generation, reloads = 0,
    reload_errors = 0, connections = 0, requests = 0, attempts = 0, admin_connections = 1,
    log_dropped = 0, late = 0, done_skipped = 0, draining = now_used.is_draining or false }
end
host.reload = function()
  local errors, loads = now_used.reload_errors, now_used.loads
  if not errors then errors = select(2, load()) end
  if not errors then now_used.generation = now_used.generation + 1 end
  table.insert(loads, 1, { at = host.wall(), cause = "api", errors = errors,
    generation = not errors and now_used.generation or nil })
  if errors then return nil, errors end
  return now_used.generation
end
host.generations = function() return { current = now_used.generation, loads = now_used.loads } end

-- ------------------------------------------------------------------------------------
-- A request

local Handle = {}
Handle.__index = Handle

function Handle:line() return self.method, self.path, self.query end
function Handle:header(name) return self.given[name:lower()] end
function Handle:peer() return self.address, self.address:sub(1, 4) == "127." end
function Handle:receive()
  if self.fault then return nil, self.fault[1], self.fault[2] end
  return #self.text, self:kind()
end
function Handle:kind()
  local value = self.given["content-type"] == "application/json" and json.decode(self.text)
  return type(value) == "table" and json.is_object(value) and "object" or value and "other" or nil
end
function Handle:size() return #self.text end
function Handle:body(most)
  if #self.text <= most then return self.text end
end
function Handle:on_disconnect(what) self.leave = what end
function Handle:set_record(record) self.known = record end
function Handle:record() return self.known end

local function take(self, status, fields)
  if self.status then error("the request is answered already", 3) end
  self.status, self.headers, self.cookies = status, {}, {}
  for index = 1, #fields, 2 do
    local name, value = fields[index], tostring(fields[index + 1])
    if self.headers[name] then error("the header " .. name .. " is there twice", 3) end
    self.headers[name] = value
  end
end

function Handle:reply(status, fields, body)
  take(self, status, fields)
  self.answer = body
end

function Handle:start(status, fields)
  take(self, status, fields)
  self.answer = ""
end

function Handle:write(text) self.answer = self.answer .. text end
function Handle:finish() self.is_finished = true end
function Handle:cut() self.is_cut = true end

--- The secret of the session cookie that the answer sets.
function Handle:cookie()
  return (self.headers["set-cookie"] or ""):match("^[%w_-]*neap_session=([^;]*)")
end

local function handle_of(self, given)
  local headers = { host = self.host }
  for name, value in pairs(given.headers or {}) do headers[name:lower()] = value end
  local path, query = given.path:match("^([^?]*)%??(.*)$")
  local text = given.body or ""
  if type(text) == "table" then
    text = json.encode(text)
    headers["content-type"] = headers["content-type"] or "application/json"
  end
  return setmetatable({ method = given.method or (given.body and "POST") or "GET", path = path,
    query = query, given = headers, text = text, fault = given.fault,
    address = given.address or "127.0.0.1" }, Handle)
end

--- The secret of an admin token with these scopes.
function World:token(scopes)
  if self.secrets[scopes] then return self.secrets[scopes] end
  local list = json.array {}
  for scope in scopes:gmatch("%a+") do list[#list + 1] = scope end
  local got = self:request { path = "/api/v1/admin_tokens", as = "session",
    body = { name = "token " .. scopes, scopes = list } }
  if got.status ~= 201 then error("no admin token: " .. got.answer) end
  self.secrets[scopes] = got.json.secret
  return got.json.secret
end

local function sign(self, handle, as)
  local given = handle.given
  if as == "session" then
    given.cookie = given.cookie or self.cookie .. "=" .. self:log_in()
    given["x-neap-request"] = given["x-neap-request"] or "1"
  elseif as then
    given.authorization = "Bearer " .. self:token(as)
  end
end

--- Sends a request; what comes back has status, headers, answer (the text) and json.
---@param given { path: string, method: string?, headers: table?, body: any, as: string? }
function World:request(given)
  now_used = self
  local handle = handle_of(self, given)
  sign(self, handle, given.as)
  local is_done, raised = pcall(admin.serve, handle)
  if not is_done then
    self.raised = tostring(raised)
    admin.failed(handle, self.raised)
  end
  local kind = handle.headers["content-type"] or ""
  if kind:find("^application/json") then handle.json = assert(json.decode(handle.answer)) end
  return handle
end

--- The secret of the session of the account "admin", whose password is "the password".
function World:log_in()
  if self.session then return self.session end
  local got = self:request { path = "/login",
    body = { username = "admin", password = "the password" } }
  self.session = got:cookie()
  if got.status ~= 200 then error("no login: " .. got.answer) end
  return self.session
end

--- What is wrong with an answer, by what its operation declares; nil where all is well.
function World:fault_of(op, got)
  if not self.statuses[op.id][got.status] then
    return ("status %d is not declared"):format(got.status)
  end
  for _, response in ipairs(op.responses) do
    local is_json = (response[4] or "application/json") == "application/json"
    if response[1] == got.status and response[3] and is_json then
      local pointer, message = schema.check(response[3], got.json)
      return pointer and ("the answer: %s %s"):format(pointer, message)
    end
  end
  if got.status < 400 then return nil end
  local pointer, message = schema.check(self.problem, got.json)
  return pointer and ("the error: %s %s"):format(pointer, message)
end

--- A new world: an empty store but for the account "admin". options: listen, names, is_secure,
--- is_bare (no account), config (the text of router.lua).
function world.new(options)
  options = options or {}
  clock.time = 0
  local self = setmetatable({
    store = { config = {}, keys = {}, objects = {} }, generation = 1, config = options.config or "",
    loads = {}, lines = {}, ids = 0, tokens = 0, verified = 0, secrets = {},
    host = options.host or "127.0.0.1:8081",
    cookie = options.is_secure and "__Host-neap_session" or "neap_session", statuses = {},
    problem = require("admin.api.openapi").problem }, World)
  now_used = self
  for name, instead in pairs(memory.new()) do host[name] = instead end
  router.keep()
  assert(load())
  self.journal = fake_journal.new(host.wall)
  for name, instead in pairs(self.journal:functions()) do host[name] = instead end
  self.routes = admin.prepare({ listen = options.listen or "127.0.0.1:8081",
    names = options.names }, options.is_secure or false)
  for _, op in ipairs(self.routes.list) do
    self.statuses[op.id] = require("admin.api.routes").statuses(op)
  end
  if not options.is_bare then
    self.store.objects["account/admin"] = json.encode { name = "admin",
      hash = "hash of the password", created = WALL, changed = WALL }
  end
  return self
end

--- The world that is used from now on, where a test has several.
function World:use() now_used = self end

return world
