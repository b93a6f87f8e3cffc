-- Conversations: which there were lately, and what one came to.
local admin_world = require "admin.test.world"
local json = require "neap.json"
local test = require "neap.tap"

local function get(world, path)
  return world:request { path = "/api/v1/conversations" .. path, as = "read" }
end

local function ids(got)
  local names = {}
  for index, item in ipairs(got.items) do names[index] = item.id end
  return table.concat(names, " ")
end

local function with(...)
  local world = admin_world.new()
  for _, id in ipairs { ... } do
    world.journal:add { conversation = id ~= "-" and id or nil, group = "g" }
  end
  return world
end

test("each is listed once, by its last request", function()
  local world = with("a", "b", "a", "-", "c", "b", "b")
  local got = get(world, "").json
  test.equal(ids(got), "b c a")
  test.equal(got.items[3].last.id, world.journal.list[3].record.id)
  test.equal(got.next_cursor, json.null)
  test.equal(ids(get(world, "?group=other").json), "")
end)

test("pages name no conversation twice and leave none out", function()
  local world = with("e", "d", "a", "b", "a", "c", "b", "a", "e")
  local seen, cursor = {}, nil
  repeat
    local got = get(world, "?limit=1" .. (cursor and "&cursor=" .. cursor or "")).json
    seen[#seen + 1] = ids(got)
    cursor = got.next_cursor
  until cursor == json.null
  test.equal((table.concat(seen, " "):gsub(" +$", "")), "e a b c d")
end)

test("one: its sums are those of its records", function()
  local world = admin_world.new()
  local usage = json.object { estimate = false, in_fresh = 10, cache_read = 5,
    cache_write_5m = 0, cache_write_1h = 0, in_audio = 0, out_total = 7, reasoning = 2,
    requests = 0, audio_ms = 0, images = 0 }
  for index = 1, 250 do
    world.journal:add { conversation = "talk", usage = usage, cost_micros = 3, ms = 4,
      stream = index % 2 == 0 }
    world.journal:add { conversation = "other", usage = usage, cost_micros = 1000 }
  end
  world.journal:add { conversation = "talk", outcome = "failed", status = 502 }
  local got = get(world, "/talk?limit=2").json
  test.equal(#got.items, 2)
  test.equal(got.items[1].outcome, "failed")
  test.equal(got.is_whole, true)
  local totals = got.totals
  test.equal({ totals.requests, totals.ok, totals.failed, totals.streams, totals.ms },
    { 251, 250, 1, 125, 1000 })
  test.equal({ totals.cost_micros, totals.priced }, { 750, 250 })
  test.equal({ totals.usage.total, totals.usage.in_fresh, totals.usage.reasoning },
    { 250 * 22, 2500, 500 })
  test.equal(#get(world, "/talk?limit=2&cursor=" .. got.next_cursor).json.items, 2)
  test.equal(get(world, "/nobody").status, 404)
end)
