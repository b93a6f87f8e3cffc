--- neap.test.stand_in: takes the host's place where nothing is sent and nobody waits: clock,
--- chance, attempts, and the memory that workers share. The library and the policies on top of it
--- are the real ones.
---
--- A world has `memory` (neap.test.memory) and `upstream`, `places` (neap.test.upstream), and
--- perhaps `random` and `wall`.

local answer = require "neap.answer"
local clock = require "neap.test.clock"
local context = require "neap.context"
local conversation = require "neap.conversation"
local fallback = require "neap.fallback"
local host = require "neap.host"
local legs = require "neap.test.legs"
local openai = require "neap.dialect.openai"
local record = require "neap.record"
local steps = require "neap.steps"
local upstream = require "neap.test.upstream"

local stand_in = {}

local WALL = 1767225600 -- 2026-01-01, a Thursday, at midnight (UTC)

local host_wall = host.wall
local world_now -- the one that was used last

local function random()
  if world_now.random then return world_now.random end
  world_now.seed = ((world_now.seed or 1) * 16807) % 2147483647
  return world_now.seed / 2147483647
end

host.now = function() return clock.time end
host.wall = function()
  if not world_now then return WALL end
  -- To the microsecond: a sum of moments is not exact, and a day must not begin a little late.
  local passed = math.floor((clock.time - world_now.began) * 1e6 + 0.5) / 1e6
  return (world_now.wall or WALL) + passed
end
host.sleep = function(seconds) clock.wait(clock.time + seconds) end
host.legs = legs.new
host.spawn = function(run, ...)
  local given, count = { ... }, select("#", ...)
  clock.start(function() run(unpack(given, 1, count)) end)
end
host.is_current = function() return true end
host.random = random
host.generation = function() return 1 end
host.log = function() end
host.log_line = function() end
host.route = function(given) return given end
host.filter = function(names) return names end
host.record_attempt = function() end
host.end_record = function() end
host.start = function(handle, route, body)
  return upstream.start(handle.world, handle, route, body)
end
for name, instead in pairs(upstream.methods) do host.attempt[name] = instead end

--- The time of day that the host itself has, in seconds since 1970.
function stand_in.host_wall() return host_wall() end

--- From now on chance, time of day and memory are those of the world.
function stand_in.use(world)
  world_now = world
  world.began = world.began or clock.time
  for name, instead in pairs(world.memory) do host[name] = instead end
end

--- What neap.router makes of a request before its chain runs.
---@param world table
---@param handle table neap.test.client
---@param group table of the catalog
function stand_in.context(world, handle, group)
  local _, _, is_usage_wanted, told = handle:look(openai.asked)
  local of = {
    handle = handle, dialect = openai, operation = "chat", attempts = {},
    steps = steps.new(), entered = {}, cors = {}, group = group, budget = group.attempts,
    deadline = clock.time + group.seconds, model = handle.model, stream = handle.is_stream,
    token = handle.token and { name = handle.token, rights = {} },
    is_usage_wanted = handle.is_stream and is_usage_wanted, told_conversation = told,
  }
  of.record = record.new(of)
  of.conversation, of.told_conversation = conversation.of(of, false)
  handle.of, handle.world = of, world
  return of
end

--- Runs the chain and sends its answer to the handle; in a fiber of the clock.
---@param of table
---@param on_response fun(got: any)? what the chain returned, before any of it is sent
function stand_in.serve(of, on_response)
  context.set(of)
  local got = fallback.run(of, of.group)
  if on_response then on_response(got) end
  if got then
    answer.commit(of, got)
  else
    answer.refuse(of, 500, "the routing policy of this group failed")
  end
  if of.handle.is_relayed then
    of.record.outcome = of.handle.break_off and "truncated" or "ok"
    of.record.failure = of.handle.break_off
    of.record.usage = of.handle:usage()
    record.finish(of.record)
  end
  context.set(nil)
end

return stand_in
