--- admin.test.loaded: a world (admin.test.world) whose router.lua and stored rows are really
--- loaded, at its making and at each reload; with sealing that can be read, and a journal that
--- answers by a script.

local admin_world = require "admin.test.world"
local catalog = require "neap.catalog"
local config = require "neap.config"
local config_stored = require "neap.config_stored"
local host = require "neap.host"
local json = require "neap.json"
local router = require "neap.router"

local loaded = {}

local reload = host.reload

-- Sealed here is "record|field|secret".
host.seal = function(record, field, secret) return table.concat({ record, field, secret }, "|") end
host.unseal = function(record, field, sealed)
  local of, name, secret = sealed:match("^(.-)|(.-)|(.*)$")
  if of == record and name == field then return secret end
  return nil, "it was sealed for another place"
end

local function flat_of(rows)
  local names, flat = {}, {}
  for name in pairs(rows) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do flat[#flat + 1], flat[#flat + 2] = name, rows[name] end
  return flat
end

local function load(world, text)
  local configuration, errors = config.load { path = "router.lua", text = text,
    getenv = function() end, read = function() end }
  if not configuration then error(table.concat(config.format(errors), "\n")) end
  config_stored.merge(configuration, { config = flat_of(world.store.config),
    keys = flat_of(world.store.keys), unseal = host.unseal }, { path = "stored" })
  local known = catalog.new(configuration)
  return configuration, known, configuration.stored.errors[1]
end

--- A reload that leaves anything out is refused. A request sees to its end what was in force at its
--- beginning, as it does in the host.
---@param text string router.lua
function loaded.new(text)
  local world, configuration, known = admin_world.new { config = text }, nil, nil
  local function look() configuration, known = load(world, text) end
  local send = world.request
  function world:request(given)
    look()
    return send(self, given)
  end
  router.loaded = function() return configuration, known end
  look()
  host.reload = function()
    local _, _, problem = load(world, text)
    if problem then return nil, problem.record .. ": " .. problem.text end
    return reload()
  end
  return world
end

--- The journal of the world from now on. script: { page = function(filter) → records, cursor,
--- stats = function(spec) → document, records = { [id] = record } }.
function loaded.journal(script)
  local asked = { pages = {}, stats = {} }
  host.journal_page = function(filter)
    asked.pages[#asked.pages + 1] = filter
    local records, cursor = script.page(filter)
    return json.encode(json.array(records)), cursor
  end
  host.journal_record = function(id)
    local record = script.records and script.records[id]
    return record and json.encode(record) or nil
  end
  host.journal_body = function(id, part)
    return script.bodies and script.bodies[id .. " " .. part] or nil, "missing"
  end
  host.journal_stats = function(spec)
    asked.stats[#asked.stats + 1] = spec
    return json.encode(script.stats(spec))
  end
  return asked
end

function loaded.no_journal()
  host.journal_page, host.journal_record, host.journal_stats, host.journal_body = nil, nil, nil, nil
end

local RECORD = { request_id = "r", start_us = 1767225600000000, token = "app", group = "fast",
  endpoint = "chat", dialect_in = "openai", dialect_out = "openai", model = "fast",
  provider = "own", target_model = "m", key = "k1", conversation = json.null,
  client = "127.0.0.1", status = 200, outcome = "ok", origin = "client", stream = false, ms = 120,
  first_byte_ms = 10, first_event_ms = json.null, cost_micros = 1500, price_version = 1,
  bytes_in = 10, bytes_out = 20, generation = 1, details = true, attempts = json.array {} }

local USAGE = { estimate = false, in_fresh = 100, cache_read = 10, cache_write_5m = 0,
  cache_write_1h = 0, in_audio = 0, out_total = 40, reasoning = 5, requests = 0, audio_ms = 0,
  images = 0 }

--- A record as the journal writes it, with more or other members.
function loaded.record(id, more)
  local record = json.object { id = id, usage = json.object(USAGE) }
  for _, set in ipairs { RECORD, more or {} } do
    for name, value in pairs(set) do record[name] = value end
  end
  return record
end

--- Sums as the journal writes them.
function loaded.sums(requests, tokens_in, tokens_out, more)
  local usage = json.object { known = requests, estimated = 0, in_fresh = tokens_in,
    cache_read = 0, cache_write_5m = 0, cache_write_1h = 0, in_audio = 0, out_total = tokens_out,
    reasoning = 0, requests = 0, audio_ms = 0, images = 0, total = tokens_in + tokens_out }
  local sums = json.object { requests = requests, ok = requests, failed = 0, aborted = 0,
    truncated = 0, usage = usage, cost_micros = 0, success_rate = 1,
    ms = json.object { average = 100, p50 = 90, p95 = 150, p99 = 200 } }
  for name, value in pairs(more or {}) do sums[name] = value end
  return sums
end

return loaded
