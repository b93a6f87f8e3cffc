--- neap.explain: a dry run of one request: which group it belongs to, its chain, its targets in
--- order and why, and what would be tried if the attempts came back as told.
---
--- The real configuration, the real policies and the real runtime; the host's place is taken by
--- neap.test.stand_in, so that nothing is sent, nobody waits and no state but that of this run is
--- touched: all targets and keys are ready, as in a neap that has just started. The command calls
--- open, walk and show, each once. Secrets are never shown: neither a key's, nor a token's, nor
--- what env and file gave to a policy's setting.

local catalog = require "neap.catalog"
local offer = require "neap.offer"
local client = require "neap.test.client"
local clock = require "neap.test.clock"
local explain_text = require "neap.explain_text"
local host = require "neap.host"
local json = require "neap.json"
local memory = require "neap.test.memory"
local object = require "neap.object"
local redact = require "neap.redact"
local router = require "neap.router"
local stand_in = require "neap.test.stand_in"
local trace = require "neap.trace"

local explain = {}

-- How the command ends.
local FAILURE, USAGE, CONFIGURATION = 1, 2, 78

local FAILURES = { connect = true, timeout = true, tls = true, reset = true, protocol = true,
  empty = true }

local now -- what this run has found so far

-- ------------------------------------------------------------------------------------
-- What was asked

local function read_headers(list)
  local headers = {}
  for _, line in ipairs(list) do
    local name, value = line:match("^([%w!#$%%&'*+.^_`|~-]+):%s*(.-)%s*$")
    if not name then return nil, ("\"%s\" is no header: \"name: value\""):format(line) end
    headers[name:lower()] = value
  end
  return headers
end

local function check_answers(answers)
  for _, answer in ipairs(answers) do
    local status = answer:match("^[2-5]%d%d$")
    if not status and not FAILURES[answer] then
      return ("\"%s\" is no answer: a status from 200 to 599, or one of connect, empty, protocol, "
        .. "reset, timeout, tls"):format(answer)
    end
  end
end

--- The client's request, or nil and what is wrong with its body.
local function read_request(body, headers)
  local value, problem = json.decode(body)
  if value == nil then return nil, "the request is no JSON: " .. problem end
  if not json.is_object(value) then return nil, "the request must be a JSON object" end
  local handle = client.of_text(body, headers)
  if not handle.model or handle.model == "" then
    return nil, "the request names no model: \"model\" must be a text"
  end
  return handle
end

--- The token of that name; nil and what is wrong.
local function find_token(known, name)
  for _, token in pairs(known.tokens) do
    if token.name == name then
      if token.expires and stand_in.host_wall() >= token.expires then
        return nil, ("the token \"%s\" has expired"):format(name), FAILURE
      end
      return token
    end
  end
  return nil, ("there is no token \"%s\" in the configuration"):format(name), USAGE
end

-- ------------------------------------------------------------------------------------
-- Secrets

--- Functions for env and file that remember in `secrets` what they gave, and what to show
--- instead.
local function watched_lookups(secrets)
  return {
    getenv = function(name)
      local value = host.env(name)
      if value then secrets[value] = ("[env %s]"):format(name) end
      return value
    end,
    read = function(path)
      local text, why = host.read(path)
      if text then secrets[(text:gsub("\r?\n$", ""))] = ("[file %s]"):format(path) end
      return text, why
    end,
  }
end

local function add_written_secrets(secrets, configuration)
  local function add(secret, instead) secrets[secret] = secrets[secret] or instead end
  for _, provider in ipairs(configuration.providers) do
    for _, key in ipairs(provider.keys) do add(key.secret, ("[key %s]"):format(key.id)) end
  end
  for _, token in ipairs(configuration.tokens) do
    add(token.secret, ("[secret of token %s]"):format(token.name))
  end
  -- A model that comes from the environment is a name for all to see.
  for _, group in ipairs(configuration.groups) do
    for _, target in ipairs(group.targets) do secrets[target.model] = nil end
  end
end

local function hide(text)
  local secrets = now.secrets
  if secrets[text] then return secrets[text] end
  for secret, instead in pairs(secrets) do
    text = redact.text(text, secret, instead)
  end
  return text
end

--- A copy of a setting's value without what env and file gave.
local function hidden(value)
  if type(value) == "string" then return hide(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, element in pairs(value) do copy[name] = hidden(element) end
  return copy
end

-- ------------------------------------------------------------------------------------
-- The chain

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for name, value in pairs(a) do
    if not is_same(value, b[name]) then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

--- What router.lua sets, by name; what it leaves at its default is not told.
local function settings_of(definition, given)
  local list = json.array {}
  for name, value in pairs(given or {}) do
    local default = definition.settings[name].default
    list[#list + 1] = json.object { name = name, value = hidden(value), default = default,
      is_default = is_same(value, default) }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- entries: those of router.lua; nil for the chain of a group that names none.
local function chain_of(of_chain, entries)
  if not of_chain then return nil end
  local list = json.array {}
  for index, instance in ipairs(of_chain.instances) do
    local definition = instance.definition
    list[index] = json.object {
      policy = instance.name, summary = definition.summary, walks = definition.walks,
      orders = definition.orders,
      settings = settings_of(definition, entries and entries[index].settings),
    }
  end
  return list
end

-- ------------------------------------------------------------------------------------
-- Targets

--- Why a target stands behind the one before it: the first thing in which they differ.
local function why_after(before, this)
  if before.state == "ready" and this.state ~= "ready" then return "it rests" end
  if before.state ~= "ready" then return "it wakes later" end
  if before.priority ~= this.priority then
    return ("priority %s after %s"):format(this.priority, before.priority)
  end
  if before.price ~= this.price then
    return this.price and ("%s USD after %s"):format(this.price, before.price) or "no known price"
  end
  if before.in_flight ~= this.in_flight then
    return ("%d in flight, not %d"):format(this.in_flight, before.in_flight)
  end
  return "as written"
end

local function keys_of(inside)
  local list = json.array {}
  for index, key in ipairs(inside.keys) do
    list[index] = json.object { id = key.id, state = key.state, balance = key.balance }
  end
  return list
end

local function targets_of(group)
  local list = json.array {}
  for index, target in ipairs(catalog.order_targets(group)) do
    local inside = object.inside(catalog.Target, target)
    local one = json.object {
      name = target.name, priority = target.priority, weight = target.weight,
      price = target.price, in_flight = target.in_flight, state = target.state,
      keys = keys_of(inside),
    }
    if list[index - 1] then one.why = why_after(list[index - 1], one) end
    list[index] = one
  end
  return list
end

--- The group's targets whose provider is off, and why it is.
local function off_targets(group, configuration)
  local providers, list = {}, json.array {}
  for _, provider in ipairs(configuration.providers) do providers[provider.name] = provider end
  for _, target in ipairs(group.given.targets or {}) do
    local provider = providers[target.provider]
    if provider and not provider.is_on then
      list[#list + 1] = json.object { name = target.provider .. "/" .. target.model,
        why = provider.url and "its provider has no key" or "its provider has no url" }
    end
  end
  return list
end

-- ------------------------------------------------------------------------------------
-- The walk

--- What the answer that was asked for is in the language of neap.test.upstream.
local function script_of(answer)
  local status = tonumber(answer)
  -- It never comes: the timers of the attempt decide.
  if answer == "timeout" then return { failure = "timeout", after = math.huge } end
  if answer == "empty" then return { text = "" } end
  if not status then return { failure = answer } end
  if status < 300 then return { text = "Made up by neap explain.", status = status } end
  return { status = status, body = json.encode { error = json.object {
    message = "made up by neap explain" } } }
end

--- Providers that answer in turn as asked, whoever is tried; the last answer stands for the rest.
local function scripted(answers)
  local place = 0
  return setmetatable({}, { __index = function()
    place = math.min(place + 1, #answers)
    return script_of(answers[place])
  end })
end

local function attempts_of(of)
  local list = json.array {}
  for index, attempt in ipairs(of.attempts) do
    list[index] = json.object { target = attempt.target.name,
      key = attempt.key and attempt.key.id, status = attempt.status, failure = attempt.failure,
      seconds = attempt.seconds }
  end
  return list
end

local function message_of(handle)
  local raw, kind = json.find(handle.answer or "", "error", "message")
  return kind == "string" and json.decode(raw) or nil
end

-- ------------------------------------------------------------------------------------
-- The command

local function group_kind(known, group)
  if not group.is_implicit then return "group" end
  return known.providers[group.name:match("^[^/]+")] and "provider/model" or "model"
end

--- Loads the configuration and finds the request's group. options: config, body, headers, answers
--- (lists of texts), token, is_json.
---@return integer status 0, or how the command ends
---@return string? problem
function explain.open(options)
  local headers, problem = read_headers(options.headers)
  problem = problem or check_answers(options.answers)
  if problem then return USAGE, problem end
  local world = { memory = memory.new(), upstream = scripted(options.answers), places = {},
    wall = stand_in.host_wall() }
  stand_in.use(world)
  now = { options = options, world = world, secrets = {} }
  local known, configuration = router.load(options.config, watched_lookups(now.secrets))
  if not known then return CONFIGURATION, configuration end
  add_written_secrets(now.secrets, configuration)
  local handle, token, group, status
  handle, problem = read_request(options.body, headers)
  if not handle then return FAILURE, problem end
  if options.token then
    token, problem, status = find_token(known, options.token)
    if not token then return status, problem end
  end
  group, status = offer.resolve(known, token, handle.model)
  if not group then
    return FAILURE, explain_text.printable((status == 403 and "the token may not use \"%s\""
      or "there is no group, provider/model or provider's model \"%s\""):format(handle.model))
  end
  now.of = stand_in.context(world, handle, group)
  now.of.token = token
  local given = group.given
  now.report = json.object {
    model = handle.model, stream = handle.is_stream, token = options.token,
    group = json.object { name = group.name, kind = group_kind(known, group),
      attempts = group.attempts, seconds = group.seconds, on_disconnect = group.on_disconnect },
    chain = chain_of(group.chain, not group.is_implicit and given.policies or nil),
    fallback = chain_of(group.fallback, given.fallback),
    targets = targets_of(group), off = off_targets(group, configuration),
    answers = json.array(options.answers),
  }
  return 0
end

--- Runs the chain.
function explain.walk()
  local of, report = now.of, now.report
  local began = clock.time
  clock.run { function() stand_in.serve(of) end }
  report.attempts, report.trace = attempts_of(of), json.array {}
  for index, line in ipairs(trace.lines(of)) do report.trace[index] = hide(line) end
  local message = message_of(of.handle)
  report.result = json.object { status = of.handle.status, seconds = clock.time - began,
    message = message and hide(message) }
end

--- What was found, as text or as a JSON document.
---@return string
function explain.show()
  if now.options.is_json then return json.encode(now.report) .. "\n" end
  return explain_text.write(now.report)
end

return explain
