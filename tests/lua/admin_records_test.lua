-- Records: pages, one, exports, and those that come in now.
local admin_world = require "admin.test.world"
local clock = require "neap.test.clock"
local csv = require "admin.api.csv"
local host = require "neap.host"
local json = require "neap.json"
local test = require "neap.tap"

local RECORDS = "/api/v1/records"
local START = 1767225600 -- 2026-01-01, the world's beginning

local function get(world, path) return world:request { path = RECORDS .. path, as = "read" } end

local function models(items)
  local names = {}
  for index, item in ipairs(items) do names[index] = item.model end
  return table.concat(names, " ")
end

--- A world with records of these models, one each second.
local function with(...)
  local world = admin_world.new()
  for index, name in ipairs { ... } do
    world.journal:add { model = name, ["end"] = START - 100 + index }
  end
  return world
end

test("pages, the newest first or the oldest", function()
  local world = with("a", "b", "c", "d", "e")
  local first = get(world, "?limit=2").json
  test.equal(models(first.items), "e d")
  local second = get(world, "?limit=2&cursor=" .. first.next_cursor).json
  test.equal(models(second.items), "c b")
  local last = get(world, "?limit=2&cursor=" .. second.next_cursor).json
  test.equal(models(last.items), "a")
  test.equal(last.next_cursor, json.null)
  test.equal(models(get(world, "?order=oldest").json.items), "a b c d e")
  local got = get(world, "?order=oldest&cursor=" .. first.next_cursor)
  test.equal(got.status .. got.json.error.code, "400invalid_query")
  -- What is longer than any cursor is refused before the journal is asked.
  for _, cursor in ipairs { ("0"):rep(2000), ("0"):rep(1023), ("%E6%97%A5"):rep(900), "" } do
    got = get(world, "?cursor=" .. cursor)
    test.equal(got.status .. got.json.error.code .. got.json.error.field, "400invalid_querycursor")
  end
end)

test("a page has as many records as may be asked for, however long they are", function()
  local world = admin_world.new()
  for number = 1, 501 do
    world.journal:add { model = ("m"):rep(2000) .. number, ["end"] = START - 1000 + number }
  end
  local got = get(world, "?limit=500")
  test.equal(got.status, 200)
  test.equal(#got.json.items, 500)
  test.equal(#get(world, "?limit=500&cursor=" .. got.json.next_cursor).json.items, 1)
end)

test("a page is filled by as many steps as it needs", function()
  local world = with("a", "x", "x", "b", "x", "c", "x", "d")
  world.journal.step = 2
  local got = get(world, "?text=X&limit=3").json
  test.equal(models(got.items), "x x x")
  test.equal(models(get(world, "?text=X&limit=3&cursor=" .. got.next_cursor).json.items), "x")
  -- Where it takes long the page comes with what was found, and goes on there.
  local step = host.journal_page
  host.journal_page = function(filter)
    clock.time = clock.time + 1.5
    return step(filter)
  end
  got = get(world, "?text=a&limit=3").json
  test.equal(models(got.items), "")
  local count = 1
  while got.next_cursor ~= json.null do
    got = get(world, "?text=a&limit=3&cursor=" .. got.next_cursor).json
    count = count + 1
  end
  test.equal(models(got.items), "a")
  test.equal(count, 2)
end)

test("filters reach the journal", function()
  local world = admin_world.new()
  local seen
  host.journal_page = function(filter)
    seen = filter
    return "[]"
  end
  get(world, "?from=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00%2B00:30&token=t&group=g"
    .. "&provider=p&model=m&key=k&conversation=c&text=x%20y&status=429&outcome=failed&stream=true"
    .. "&origin=test&min_ms=5&min_cost_micros=7")
  test.equal(seen, { from = START, before = START + 1800, token = "t", group = "g",
    provider = "p", model = "m", key = "k", conversation = "c", text = "x y", status = 429,
    outcome = "failed", stream = true, test = true, import = false, min_ms = 5,
    min_cost_micros = 7, limit = 50, oldest_first = false })
  get(world, "?origin=import")
  test.equal({ seen.test, seen.import }, { false, true })
  get(world, "?origin=client")
  test.equal({ seen.test, seen.import }, { false, false })
  get(world, "?status=5xx&stream=false")
  test.equal(seen.status_class, 5)
  test.equal(seen.status, nil)
  test.equal(seen.stream, false)
  for _, wrong in ipairs { "status=42", "status=6xx", "outcome=well", "stream=1",
    "from=yesterday", "from=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", "token=" } do
    test.equal(get(world, "?" .. wrong).status, 400, wrong)
  end
end)

test("one record with everything that is known of it", function()
  local world = admin_world.new()
  local id = world.journal:add { error = "it broke", raw_usage = json.object { n = 1 } }.id
  local got = get(world, "/" .. id)
  test.equal(got.status, 200)
  test.equal(got.json.error, "it broke")
  test.equal(got.json.raw_usage.n, 1)
  test.equal(get(world, "/01900000-0000-7000-9000-00000000ffff").status, 404)
  test.equal(get(world, "/nothing").status, 404)
  test.equal(get(world, "").json.items[1].error, nil, "a page has no details")
end)

test("a journal that fails is 503, its reason in the log only", function()
  local world = with("a")
  world:token("read")
  world.journal.problem = "failed"
  for _, path in ipairs { "", "/export", "/01900000-0000-7000-9000-000000000001" } do
    local got = get(world, path)
    test.equal(got.status .. got.json.error.code, "503storage_failed", path)
    test.equal(got.answer:find("by the test", 1, true), nil)
  end
  test.match(table.concat(world.lines, "\n"), "by the test")
end)

-- ------------------------------------------------------------------------------------
-- Export

test("an export holds all that fits, step by step", function()
  local world = admin_world.new()
  for index = 1, 450 do world.journal:add { model = "m" .. index, ["end"] = START - 1 } end
  world.journal:add { model = "late", ["end"] = START + 1000 } -- behind the request's moment
  local got = get(world, "/export?order=oldest")
  test.equal(got.headers["content-type"], "application/x-ndjson")
  test.equal(got.headers["content-disposition"], 'attachment; filename="records.ndjson"')
  test.equal(got.is_finished, true)
  local count = 0
  for line in got.answer:gmatch("[^\n]+") do
    count = count + 1
    test.equal(json.decode(line).model, "m" .. count)
  end
  test.equal(count, 450)
  test.equal(world.journal.pages, 3, "in steps")
end)

test("an export with details, and one that breaks in the middle", function()
  local world = admin_world.new()
  world.journal:add { error = "e", ["end"] = START - 1 }
  test.match(get(world, "/export?details=true").answer, '"error":"e"')
  for _ = 1, 300 do world.journal:add { ["end"] = START - 1 } end
  local step, count = host.journal_page, 0
  host.journal_page = function(filter)
    count = count + 1
    if count == 2 then return nil, "failed", "gone" end
    return step(filter)
  end
  local got = get(world, "/export")
  test.equal(got.status, 200)
  test.equal(got.is_cut, true)
  test.equal(got.is_finished, nil)
end)

test("CSV: a line each, quoted, and no formula", function()
  local world = admin_world.new()
  world.journal:add { model = '=cmd|" /C calc"!A0', group = "a,b\nc", ms = 12, token = "-1+2",
    usage = json.object { estimate = false, in_fresh = 3, out_total = 4 }, cost_micros = -5,
    ["end"] = START - 1 }
  local got = get(world, "/export?format=csv")
  test.match(got.headers["content-type"], "^text/csv")
  local head, row = got.answer:match("^(.-)\r\n(.*)\r\n$")
  test.match(head, "^id,request_id,start,token,group,")
  test.match(row, '"\'=cmd|"" /C calc""!A0"')
  test.match(row, '"a,b\nc"')
  test.match(row, '"\'%-1%+2"')
  test.match(row, ",12,,,false,3,,,,,4,,%-5,")
  test.match(row, '"2025%-12%-31T23:59:58.988Z"')
  for value, cell in pairs { ["@x"] = '"\'@x"', ["+1"] = '"\'+1"', ["\tx"] = '"\'\tx"',
    [" =1"] = '"\' =1"', plain = '"plain"', [3] = "3", [0.5] = "0.5", [true] = "true" } do
    test.equal(csv.cell(value), cell)
  end
  test.equal(csv.cell(json.null), "")
end)

-- ------------------------------------------------------------------------------------
-- Those that come in now

--- Runs `each(look)` at every look of a stream, up to `looks` of them; returns the events' texts.
local function watch(world, looks, each, headers)
  world:token("read")
  local sleep, look = host.sleep, 0
  host.sleep = function(seconds)
    sleep(seconds)
    look = look + 1
    each(look)
    world.is_draining = look >= looks
  end
  local got = world:request { path = RECORDS .. "/tail", as = "read", headers = headers }
  host.sleep, world.is_draining = sleep, false
  local list = {}
  for name, data in got.answer:gmatch("event: (%a+)\ndata: ([^\n]*)\n") do
    list[#list + 1] = name == "record" and json.decode(data).model or name
  end
  return table.concat(list, " "), got
end

test("the tail sends each record once, the oldest first", function()
  local world = with("before")
  local seen, got = watch(world, 60, function(look)
    if look == 2 then
      world.journal:add { model = "a" }
      world.journal:add { model = "b" }
    elseif look == 50 then -- long after the others are out of sight
      world.journal:add { model = "c" }
    end
  end)
  test.equal(seen, "a b c")
  test.match(got.answer, "id: 01900000%-0000%-7000%-9000%-000000000002\nevent: record\n")
  test.equal(got.headers["content-type"], "text/event-stream")
  test.equal(got.leave, "cancel", "it ends when the client leaves")
  test.equal(got.is_finished, true)
end)

test("the tail says where it leaves some out, and goes on behind what was seen", function()
  local world = with()
  local seen = watch(world, 4, function(look)
    if look ~= 2 then return end
    for index = 1, 250 do world.journal:add { model = "m" .. index } end
  end)
  test.match(seen, "^gap m51 m52 ")
  test.match(seen, " m250$")
  world = with()
  world.journal:add { model = "old" }
  local last = world.journal:add { model = "last" }.id
  world.journal:add { model = "missed" }
  seen = watch(world, 2, function() end, { ["last-event-id"] = last })
  test.equal(seen, "missed")
end)

test("a tail ends by itself, and only so many are open", function()
  local world = with()
  local got = get(world, "/tail")
  test.equal(got.is_finished, true)
  test.equal(clock.time >= 300 and clock.time < 310, true)
  local depth, refused = 0, nil
  local sleep = host.sleep
  host.sleep = function(seconds)
    sleep(seconds / 100)
    if depth < 25 then
      depth = depth + 1
      local one = get(world, "/tail")
      if one.status == 503 then refused = refused or depth end
    end
    world.is_draining = true
  end
  get(world, "/tail")
  host.sleep, world.is_draining = sleep, false
  test.equal(refused, 20)
  test.equal(get(world, "/tail").status, 200, "those that ended make room")
end)

test("bodies are for the scope bodies, with the record, alone and in an export", function()
  local world = admin_world.new()
  local id = world.journal:add { ["end"] = START - 2, bodies = { request = "{\"a\":1}",
    response = "<b>\255" } }.id
  local bare = world.journal:add { ["end"] = START - 1 }.id
  local function ask(path, as) return world:request { path = RECORDS .. path, as = as } end
  local facts = get(world, "/" .. id).json.bodies
  test.equal({ #facts, facts[1].part, facts[2].size, facts[1].text }, { 2, "request", 4 })
  for _, path in ipairs { "/bodies", "/bodies/request" } do
    test.equal(ask("/" .. id .. path, "read").status, 403)
    test.equal(ask("/" .. id .. path, "write keys").status, 403)
  end
  local items = ask("/" .. id .. "/bodies", "bodies").json.items
  test.equal({ items[1].text, items[2].text }, { "{\"a\":1}", "<b>\239\191\189" })
  local raw = ask("/" .. id .. "/bodies/response", "bodies")
  test.equal({ raw.answer, raw.headers["content-type"] }, { "<b>\255", "application/octet-stream" })
  test.equal(ask("/" .. id .. "/bodies/sent", "bodies").status, 404)
  test.equal(ask("/" .. bare .. "/bodies", "bodies").json.items, {})
  test.equal(ask("/" .. bare .. "/bodies/request", "bodies").status, 404)
  test.equal(ask("/x/bodies", "bodies").status, 404)
  test.equal(get(world, "/export?bodies=true").status, 403)
  test.equal(get(world, "/export?details=true").answer:find("{\\\"a\\\"", 1, true), nil)
  local lines = {}
  for line in ask("/export?bodies=true&order=oldest", "read bodies").answer:gmatch("[^\n]+") do
    lines[#lines + 1] = json.decode(line)
  end
  test.equal({ #lines, lines[1].bodies[1].text, lines[1].bodies[2].part, lines[2].bodies },
    { 2, "{\"a\":1}", "response" })
end)
