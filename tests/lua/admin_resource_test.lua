-- What resources are built of (versions, patches, pages, writes), shown on the first of them.
local admin_world = require "admin.test.world"
local audit = require "admin.api.audit"
local clock = require "neap.test.clock"
local json = require "neap.json"
local openapi = require "admin.api.openapi"
local patch = require "admin.api.patch"
local query = require "admin.api.query"
local routes = require "admin.api.routes"
local schema = require "admin.api.schema"
local setting = require "neap.setting"
local setting_schema = require "admin.api.setting_schema"
local settings = require "admin.api.settings"
local stream = require "admin.api.stream"
local test = require "neap.tap"
local zone = require "neap.zone"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local SETTINGS = "/api/v1/settings"

local function set(world, value, headers)
  return world:request { path = SETTINGS, method = "PATCH", as = "write", headers = headers,
    body = { time_zone = value } }
end

-- ------------------------------------------------------------------------------------

test("merge patches are those of RFC 7396", function()
  -- Its own table of examples: document, patch, result.
  local cases = {
    { '{"a":"b"}', '{"a":"c"}', '{"a":"c"}' },
    { '{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}' },
    { '{"a":"b"}', '{"a":null}', '{}' },
    { '{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}' },
    { '{"a":["b"]}', '{"a":"c"}', '{"a":"c"}' },
    { '{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}' },
    { '{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}' },
    { '{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}' },
    { '["a","b"]', '["c","d"]', '["c","d"]' },
    { '{"a":"b"}', '["c"]', '["c"]' },
    { '{"a":"foo"}', 'null', 'null' },
    { '{"a":"foo"}', '"bar"', '"bar"' },
    { '{"e":null}', '{"a":1}', '{"a":1,"e":null}' },
    { '[1,2]', '{"a":"b","c":null}', '{"a":"b"}' },
    { '{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}' },
  }
  for _, case in ipairs(cases) do
    local document, given = json.decode(case[1]), json.decode(case[2])
    test.equal(json.encode(patch.merge(document, given)), case[3], case[1] .. " " .. case[2])
    test.equal(json.encode(document), case[1], "the document stays")
  end
end)

test("queries and forms", function()
  test.equal(query.parse("a=1&b=x%20y+z&c"), { a = "1", b = "x y z", c = "" })
  test.equal(query.parse(""), {})
  test.equal((query.parse("a=%zz")), nil)
  test.equal((query.parse("a=%4")), nil)
  test.equal((query.parse("a=1&%61=2")), nil)
end)

-- ------------------------------------------------------------------------------------
-- Settings, as the pattern of what can be changed

test("settings have defaults, are changed and given back", function()
  local world = admin_world.new()
  local got = world:request { path = SETTINGS, as = "read" }
  test.equal(got.json.time_zone, "UTC")
  test.equal(set(world, "Asia/Shanghai").json.time_zone, "Asia/Shanghai")
  test.equal(world:request { path = SETTINGS, as = "read" }.json.time_zone, "Asia/Shanghai")
  test.equal(set(world, json.null).json.time_zone, "UTC")
  test.equal(next(world.store.config), nil)
  test.equal(world.generation, 3, "each change is a generation")
end)

test("If-Match refuses what was made for another version, If-None-Match spares a body", function()
  local world = admin_world.new()
  local first = world:request { path = SETTINGS, as = "read" }.headers.etag
  local second = set(world, "+01:00", { ["if-match"] = first }).headers.etag
  test.equal(first ~= second, true)
  local got = set(world, "+02:00", { ["if-match"] = first })
  test.equal(code(got), "412 changed")
  test.equal(got.headers.etag, second)
  test.equal(set(world, "+03:00", { ["if-match"] = '"x", ' .. second }).status, 200)
  test.equal(set(world, "+04:00", { ["if-match"] = "*" }).status, 200)
  local now = world:request { path = SETTINGS, as = "read" }.headers.etag
  got = world:request { path = SETTINGS, as = "read", headers = { ["if-none-match"] = now } }
  test.equal(got.status, 304)
  test.equal(got.answer, "")
end)

test("of two writes at once one is refused", function()
  local world = admin_world.new()
  set(world, "+01:00")
  local host = require "neap.host"
  local write = host.store_write
  host.store_write = function(ops) -- somebody else comes first
    host.store_write = write
    world.store.config["setting/time_zone"] = '{"value":"+09:00","version":7}'
    return write(ops)
  end
  test.equal(code(set(world, "+02:00")), "412 changed")
  test.equal(world:request { path = SETTINGS, as = "read" }.json.time_zone, "+09:00")
end)

test("what the loader refuses is taken back", function()
  local world = admin_world.new()
  set(world, "+01:00")
  world.reload_errors = "router.lua:3: one\nrouter.lua:4: two\n"
  local got = set(world, "+02:00")
  test.equal(code(got), "422 invalid_configuration")
  test.equal(got.json.error.details, { "router.lua:3: one", "router.lua:4: two" })
  world.reload_errors = nil
  test.equal(world:request { path = SETTINGS, as = "read" }.json.time_zone, "+01:00")
end)

-- ------------------------------------------------------------------------------------
-- Generations

test("generations: loading anew, and what was refused", function()
  local world = admin_world.new()
  local got = world:request { path = "/api/v1/generations", method = "POST", as = "write" }
  test.equal(got.json.generation, 2)
  world.reload_errors = "router.lua:1: wrong"
  got = world:request { path = "/api/v1/generations", method = "POST", as = "write" }
  test.equal(code(got), "422 invalid_configuration")
  got = world:request { path = "/api/v1/generations", as = "read" }.json
  test.equal(got.current, 2)
  test.equal(got.loads[1].generation, json.null)
  test.equal(got.loads[1].errors, { "router.lua:1: wrong" })
  test.equal(got.loads[2].generation, 2)
end)

-- ------------------------------------------------------------------------------------
-- The audit log

test("every write is noted: who, what, before and after", function()
  local world = admin_world.new()
  set(world, "+01:00")
  local item = world:request { path = "/api/v1/audit?action=update", as = "read" }.json.items[1]
  test.equal(item.object, "settings")
  test.equal(item.actor.kind .. " " .. item.actor.name, "token token write")
  test.equal(item.before.time_zone, "UTC")
  test.equal(item.after.time_zone, "+01:00")
  test.equal(item.address, "127.0.0.1")
end)

test("every operation that writes leaves a row", function()
  local bodies = { update_settings = { time_zone = "+01:00" },
    create_admin_token = { name = "a", scopes = json.array { "read" } },
    change_password = { password = "the password", new_password = "another password" },
    login = { username = "admin", password = "the password" },
    login_for_token = { username = "admin", password = "the password" },
    create_provider = { name = "p", dialect = "openai", url = "https://p.test/v1" },
    create_group = { name = "g", policies = { "echo" } }, create_token = { name = "t" },
    create_keyword = { text = "overloaded" },
    recompute_costs = { from = "2026-01-01T00:00:00Z" },
    import_configuration = { format = "neap.configuration", version = 1,
      records = json.object {} } }
  for _, op in ipairs(admin_world.new().routes.list) do
    local is_write = (op.method ~= "GET" or op.has_effect) and not op.is_compat
    if is_write and not op.path:find("{", 1, true) and not op.changes_nothing
      and op.id ~= "create_account" then
      local world = admin_world.new()
      world:log_in()
      local function count()
        local sum = 0
        for key in pairs(world.store.objects) do sum = sum + (key:find("^audit/") and 1 or 0) end
        return sum
      end
      local before = count()
      local got = world:request { path = op.path, method = op.method, as = "session",
        body = bodies[op.id] }
      test.equal(got.status < 400, true, op.id .. " " .. got.answer)
      test.equal(count(), before + 1, op.id)
    end
  end
end)

test("what has a secret's name does not come into the log", function()
  local hidden = audit.hide(json.decode(
    '{"name":"a","Secret":"s1","keys":[{"id":"k","secret":"s2"}],"password":null}'))
  test.equal(json.encode(hidden),
    '{"Secret":"(hidden)","keys":[{"id":"k","secret":"(hidden)"}],"name":"a",'
    .. '"password":"(hidden)"}')
end)

test("pages follow each other without gap or overlap, the newest first", function()
  local world = admin_world.new()
  for index = 1, 7 do
    clock.time = index
    set(world, ("+0%d:00"):format(index))
  end
  local seen, cursor, pages = {}, nil, 0
  repeat
    local got = world:request { path = "/api/v1/audit?limit=3&action=update"
      .. (cursor and "&cursor=" .. cursor or ""), as = "read" }.json
    for _, item in ipairs(got.items) do seen[#seen + 1] = item.after.time_zone end
    cursor, pages = got.next_cursor, pages + 1
  until cursor == json.null
  test.equal(seen, { "+07:00", "+06:00", "+05:00", "+04:00", "+03:00", "+02:00", "+01:00" })
  test.equal(pages, 3)
  test.equal(code(world:request { path = "/api/v1/audit?cursor=zz", as = "read" }),
    "400 invalid_query")
  test.equal(code(world:request { path = "/api/v1/audit?cursor=" .. ("00"):rep(512), as = "read" }),
    "400 invalid_query")
  test.equal(code(world:request { path = "/api/v1/audit?limit=0", as = "read" }),
    "400 invalid_query")
  test.equal(code(world:request { path = "/api/v1/audit?limit=x", as = "read" }),
    "400 invalid_query")
end)

-- ------------------------------------------------------------------------------------
-- The routes themselves

test("two operations cannot have the same path and method, or the same id", function()
  local function op(id, path)
    return { id = id, method = "GET", path = path, tag = "t", summary = "s", scope = "read",
      responses = { { 200, "x" } }, run = function() end }
  end
  test.equal(pcall(routes.new, { { op("a", "/x"), op("b", "/x/") } }), true)
  test.equal((pcall(routes.new, { { op("a", "/x"), op("b", "/x") } })), false)
  test.equal((pcall(routes.new, { { op("a", "/x"), op("a", "/y") } })), false)
  local known = routes.new { { op("a", "/x/{id}"), op("b", "/x/fixed"), op("c", "/x/{id}/y") } }
  test.equal(known:find("/x/fixed").GET.id, "b")
  local methods, values = known:find("/x/a%2Fb")
  test.equal(methods.GET.id, "a")
  test.equal(routes.params(methods.GET, values), { id = "a/b" })
  test.equal(known:find("/x/fixed/y").GET.id, "c")
  for _, path in ipairs { "/x", "/x/", "/x/a/", "/x/a/y/z", "x/a", "" } do
    test.equal((known:find(path)), nil, path)
  end
end)

test("the document has every operation, with all of its statuses", function()
  local world = admin_world.new()
  local document = world:request { path = "/openapi.json" }.json
  test.equal(document.openapi, "3.1.0")
  local count = 0
  for _, op in ipairs(world.routes.list) do
    local described = document.paths[op.path][op.method:lower()]
    test.equal(described.operationId, op.id)
    test.equal(described["x-scope"], op.scope)
    for status in pairs(routes.statuses(op)) do
      test.equal(described.responses[tostring(status)] ~= nil, true, op.id .. " " .. status)
    end
    count = count + 1
  end
  test.equal(count > 10, true)
  test.equal(json.encode(openapi.problem) ~= nil, true)
end)

-- ------------------------------------------------------------------------------------
-- Answers that go on

test("a stream of events comments on silence, and ends when neap stops", function()
  local world = admin_world.new()
  local rests = 0
  local op = { id = "watch", method = "GET", path = "/test/watch", tag = "health", summary = "s",
    scope = "read", responses = { { 200, "Events.", { type = "string" }, "text/event-stream" } } }
  function op.run(of)
    local events = stream.events(of)
    events:send("tick", json.object { text = "a\nb" }, "7")
    while events:is_wanted() do
      rests = rests + 1
      world.is_draining = rests == 4
      events:rest(10)
    end
    events:finish()
  end
  routes.add(world.routes, op)
  local got = world:request { path = "/test/watch", as = "read" }
  test.equal(got.headers["content-type"], "text/event-stream")
  test.equal(got.headers["x-content-type-options"], "nosniff")
  test.equal(got.answer, 'id: 7\nevent: tick\ndata: {"text":"a\\nb"}\n\n'
    .. ": still here\n\n: still here\n\n")
  test.equal(got.is_finished, true)
  test.equal(got.leave, "cancel")
end)

test("a zone is that of the request, else of the settings", function()
  local world = admin_world.new()
  local op = { id = "days", method = "GET", path = "/test/days", tag = "health", summary = "s",
    scope = "read", query = { zone = settings.zone_query }, responses = { { 200, "x", {} } } }
  function op.run(of)
    local zone_of, name = settings.zone(of)
    return 200, json.object { name = name, offset = zone.offset(zone_of, 1767225600) }
  end
  routes.add(world.routes, op)
  local function ask(text) return world:request { path = "/test/days" .. text, as = "read" } end
  test.equal(ask("").json.offset, 0)
  test.equal(ask("?zone=Asia/Shanghai").json.offset, 8 * 3600)
  test.equal(ask("?zone=%2B02:00").json.offset, 2 * 3600)
  test.equal(ask("?zone=Mars/Base").json.error.field, "zone")
  set(world, "America/New_York")
  test.equal(ask("").json, { name = "America/New_York", offset = -5 * 3600 })
end)

test("settings of every kind are described as they are checked", function()
  local given = {
    one = setting.integer { default = 2, min = 1, max = 5, help = "h" },
    two = setting.seconds { max = 10 },
    three = setting.words { default = { "a" } },
    four = setting.choice { values = { "x", "y" } },
    five = setting.hours { default = false },
    six = setting.list { of = setting.number { min = 0 }, max = 2 },
    seven = setting.map { of = setting.boolean {} },
    eight = setting.outcomes { default = { 429, "5xx" } },
    nine = setting.zone { default = "UTC" },
    ten = setting.text {},
  }
  local properties = setting_schema.properties(given)
  local right = { one = 1, two = 0, three = "a", four = "y", five = false, six = { 1, 2 },
    seven = { a = true }, eight = { 500, "timeout" }, nine = "Europe/Berlin", ten = "x" }
  local wrong = { one = 6, two = 11, three = 1, four = "z", five = 5, six = { 1, 2, 3 },
    seven = { a = 1 }, eight = "5xx", nine = "Mars", ten = 1 }
  for name, schema_of in pairs(properties) do
    local value = json.decode(json.encode { v = right[name] }).v
    test.equal(schema.check(schema_of, value), nil, name)
    test.equal(select(2, given[name]:check(right[name])), nil, name)
    value = json.decode(json.encode { v = wrong[name] }).v
    test.equal(schema.check(schema_of, value) ~= nil, true, name)
    test.equal(select(2, given[name]:check(wrong[name])) ~= nil, true, name)
  end
  test.equal(properties.one.description, "h")
  test.equal(json.encode(schema.document(properties.one, {})),
    '{"default":2,"description":"h","maximum":5,"minimum":1,"type":"integer"}')
end)

test("what somebody else's change spoils is tried again", function()
  local world = admin_world.new()
  local host = require "neap.host"
  local reload, count = host.reload, 0
  host.reload = function()
    count = count + 1
    if count < 3 then return nil, "group/other: it has no target\n" end
    return reload()
  end
  test.equal(set(world, "+01:00").status, 200)
  test.equal(count, 3)
  count = 0
  host.reload = function()
    count = count + 1
    return nil, "setting/time_zone: it is wrong\n"
  end
  test.equal(code(set(world, "+02:00")), "422 invalid_configuration")
  test.equal(count, 1)
  host.reload = reload
  test.equal(world:request { path = SETTINGS, as = "read" }.json.time_zone, "+01:00")
end)
