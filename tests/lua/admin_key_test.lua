-- Keys of providers: what is shown, what comes in, and what by-hand states and checks do.
local admin_world = require "admin.test.world"
local host = require "neap.host"
local json = require "neap.json"
local test = require "neap.tap"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local WRITTEN = [[
provider "pool" { dialect = "openai", url = "https://pool.test/v1",
  keys = { "sk-of-the-file-0000" },
  balance = { path = "/left", member = "left" } }
]]

local PATH = "/api/v1/providers/pool/keys"

--- A world in which the provider says of each secret what `says` has for it: a status, and a body.
local function new(says)
  local world = admin_world.new { config = WRITTEN }
  host.fetch = function(given)
    local secret = table.concat(given.headers, "\n"):match("Bearer (%S+)")
    world.asked = (world.asked or 0) + 1
    local said = says and says[secret] or { 200, '{"left":"12.5"}' }
    return said[1], {}, said[2]
  end
  return world
end

local function call(world, method, path, body, as, headers)
  return world:request { path = PATH .. path, method = method, as = as or "session", body = body,
    headers = headers }
end

test("a key comes in sealed, is in force, and its secret is nowhere to be seen", function()
  local world = new()
  local got = call(world, "POST", "", { secret = " sk-a-new-secret-9876 ", label = "mine" }, "keys")
  test.equal(got.status, 201, got.answer)
  test.equal({ got.json.tail, got.json.state, got.json.origin }, { "…9876", "ready", "stored" })
  test.equal(code(call(world, "POST", "", { secret = "sk-a-new-secret-9876" }, "keys")),
    "409 exists")
  test.equal(code(call(world, "POST", "", { secret = "short" }, "keys")), "422 invalid")
  local listed = call(world, "GET", "", nil, "read")
  test.equal(#listed.json.items, 2)
  test.equal(listed.json.items[1].origin, "router.lua")
  local shown = listed.answer .. world:request { path = "/api/v1/audit", as = "read" }.answer
    .. got.answer .. table.concat(world.lines, "\n")
  test.equal(shown:find("a-new-secret", 1, true), nil)
  test.equal(shown:find("of-the-file", 1, true), nil)
end)

test("pages of keys follow each other", function()
  local world = new()
  call(world, "POST", "/import", { text = "sk-secret-number-1\nsk-secret-number-2", check = false },
    "keys")
  local first = call(world, "GET", "?limit=2", nil, "read").json
  local second = call(world, "GET", "?limit=2&cursor=" .. first.next_cursor, nil, "read").json
  test.equal({ #first.items, #second.items, second.next_cursor }, { 2, 1, json.null })
end)

test("a page goes on behind a key that is gone by now", function()
  local world = new()
  local secrets = {}
  for number = 1, 6 do secrets[number] = "sk-secret-number-" .. number end
  call(world, "POST", "/import", { text = table.concat(secrets, "\n"), check = false }, "keys")
  local all = call(world, "GET", "", nil, "read").json.items
  local first = call(world, "GET", "?limit=3", nil, "read").json
  call(world, "DELETE", "/" .. first.items[3].id, nil, "keys")
  call(world, "DELETE", "/" .. all[4].id, nil, "keys")
  local second = call(world, "GET", "?limit=9&cursor=" .. first.next_cursor, nil, "read").json
  test.equal({ #second.items, second.items[1].id, second.next_cursor }, { 3, all[5].id, json.null })
  for place = 5, 7 do call(world, "DELETE", "/" .. all[place].id, nil, "keys") end
  test.equal(#call(world, "GET", "?cursor=" .. first.next_cursor, nil, "read").json.items, 0)
end)

test("an import reports each line, takes in what is not refused, and knows balances", function()
  local world = new { ["sk-refused-by-it-1"] = { 401, "{}" }, ["sk-nothing-left-22"] =
    { 200, '{"left":0}' }, ["sk-is-it-away-3333"] = { 404, "{}" } }
  local got = call(world, "POST", "/import", { text = "sk-good-one-4444444\n\n"
    .. " sk-good-one-4444444 \nsk-refused-by-it-1\nsk-nothing-left-22\nsk-is-it-away-3333\n"
    .. "sk-of-the-file-0000\nwith space in it" }, "keys")
  test.equal(got.status, 200, got.answer)
  test.equal(got.json.added, 3)
  test.equal(got.json.counts, { good = 1, repeated = 1, refused = 1, limited = 1, unknown = 1,
    known = 1, malformed = 1 })
  test.equal({ got.json.lines[3].line, got.json.lines[3].state }, { 4, "refused" })
  local states = {}
  for _, one in ipairs(call(world, "GET", "", nil, "read").json.items) do
    states[one.tail] = one.state .. " " .. tostring(one.balance)
  end
  test.equal(states["…4444"], "ready 12.5")
  test.equal(states["…t-22"], "resting 0")
  test.equal(call(world, "GET", "", nil, "read").answer:find("refused-by", 1, true), nil)
  got = call(world, "POST", "/import?progress=true", { text = "sk-another-good-one-1" }, "keys")
  test.match(got.answer,
    "event: progress\ndata: {\"done\":1,\"total\":1}.*event: result\n.*\"added\":1")
end)

test("by hand: disabled until enabled, rested for a while", function()
  local world = new()
  local function set(body) return call(world, "POST", "/pool-1/state", body, "write") end
  local got = set { state = "disabled", why = "leaked" }
  test.equal({ got.json.state, got.json.why, got.json.remaining },
    { "disabled", "leaked", json.null })
  test.equal(set({ state = "ready" }).json.state, "ready")
  got = set { state = "resting", seconds = 60 }
  test.equal({ got.json.state, got.json.remaining }, { "resting", 60 })
  test.equal(code(call(world, "PATCH", "/pool-1", { label = "x" }, "write")), "409 read_only")
end)

test("a stored key is renamed, left out, and removed", function()
  local world = new()
  local id = call(world, "POST", "", { secret = "sk-a-new-secret-9876" }, "keys").json.id
  local got = call(world, "PATCH", "/" .. id, { label = "second", off = true }, "write",
    { ["if-match"] = '"v1"' })
  test.equal({ got.status, got.json.label }, { 200, "second" })
  test.equal(code(call(world, "PATCH", "/" .. id, { label = "x" }, "write",
    { ["if-match"] = '"v1"' })), "412 changed")
  test.equal(call(world, "GET", "", nil, "read").json.items[2].state, "absent")
  test.equal(call(world, "DELETE", "/" .. id, nil, "keys").status, 204)
  test.equal(code(call(world, "DELETE", "/" .. id, nil, "keys")), "404 not_found")
end)

test("a refresh asks again, and an outage changes nothing", function()
  local says = {}
  local world = new(says)
  local got = call(world, "POST", "/pool-1/refresh", nil, "write").json
  test.equal({ got.verdict, got.key.balance }, { "good", 12.5 })
  says["sk-of-the-file-0000"] = { 500, "{}" }
  got = call(world, "POST", "/refresh", nil, "write").json
  test.equal(got.counts, { unknown = 1 })
  local one = call(world, "GET", "", nil, "read").json.items[1]
  test.equal({ one.state, one.balance }, { "ready", 12.5 })
end)

test("keys are exported to a person who enters his password, which is noted", function()
  local world = new()
  call(world, "POST", "", { secret = "sk-a-new-secret-9876" }, "keys")
  test.equal(code(call(world, "POST", "/export", { password = "wrong password" })),
    "403 wrong_password")
  test.equal(code(call(world, "POST", "/export", { password = "the password" }, "keys")),
    "403 forbidden")
  local got = call(world, "POST", "/export", { password = "the password" })
  test.equal(got.answer, "sk-of-the-file-0000\nsk-a-new-secret-9876\n")
  local last = world:request { path = "/api/v1/audit?action=export", as = "read" }.json.items[1]
  test.equal({ last.action, last.object, last.after.key_count }, { "export", "provider/pool", 2 })
end)
