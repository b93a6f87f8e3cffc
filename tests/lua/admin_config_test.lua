-- What providers, groups, tokens and keywords have in common, and each of its own.
local admin_world = require "admin.test.world"
local host = require "neap.host"
local json = require "neap.json"
local router = require "neap.router"
local test = require "neap.tap"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local WRITTEN = [[
provider "filed" { dialect = "openai", url = "https://filed.test/v1", keys = { "sk-of-the-file" },
  headers = { ["x-own"] = "a header's secret" }, proxy = "http://me:pass@proxy.test:3128",
  models = { ["m"] = { input = 1, output = 2 } } }
group "filed" { targets = { { "filed", "m" } } }
token "filed" { secret = "a-secret-of-the-file", groups = { "filed" } }
]]

local function new() return admin_world.new { config = WRITTEN } end

local function call(world, method, path, body, headers, as)
  return world:request { path = "/api/v1/" .. path, method = method, as = as or "write",
    body = body, headers = headers }
end

local OPENAI = { name = "far", dialect = "openai", url = "https://far.test/v1",
  models = { ["org/big-1"] = { input = 3, output = 15 }, small = json.object {} } }

local function add(world, path, body)
  local got = call(world, "POST", path, body)
  test.equal(got.status, 201, got.answer)
  return got.json, got
end

test("a provider is made, shown, changed and removed", function()
  local world = new()
  local made, answer = add(world, "providers", OPENAI)
  test.equal(made.origin, "stored")
  test.equal(made.models["org/big-1"].output, 15)
  test.equal(code(call(world, "POST", "providers", OPENAI)), "409 exists")
  local tag = answer.headers.etag
  local got = call(world, "PATCH", "providers/far",
    { models = { small = json.null, ["org/big-2"] = { input = 1 } }, note = "cheap" },
    { ["if-match"] = tag })
  test.equal(got.status, 200, got.answer)
  test.equal(got.json.models, { ["org/big-1"] = { input = 3, output = 15 },
    ["org/big-2"] = { input = 1 } })
  test.equal(code(call(world, "PATCH", "providers/far", { note = "late" }, { ["if-match"] = tag })),
    "412 changed")
  test.equal(call(world, "GET", "providers/far", nil, { ["if-none-match"] = got.headers.etag })
    .status, 304)
  test.equal(call(world, "DELETE", "providers/far").status, 204)
  test.equal(code(call(world, "GET", "providers/far")), "404 not_found")
end)

test("secrets in headers and proxies are taken, kept and never shown", function()
  local world = new()
  local given = { name = "far", dialect = "openai", url = "https://far.test/v1",
    headers = { ["x-own"] = "topsecret" }, proxy = json.array { "http://me:pass@proxy.test:1" } }
  add(world, "providers", given)
  for _, path in ipairs { "providers", "providers/far", "providers/filed", "audit" } do
    local text = call(world, "GET", path).answer
    for _, secret in ipairs { "topsecret", "pass@", "a header's secret", "sk-of-the-file" } do
      test.equal(text:find(secret, 1, true), nil, path .. " shows " .. secret)
    end
  end
  local shown = call(world, "GET", "providers/far").json
  test.equal(shown.headers["x-own"], "(hidden)")
  call(world, "PATCH", "providers/far", { headers = shown.headers, proxy = shown.proxy })
  local row = world.store.config["provider/far"]
  test.match(row, "topsecret")
  test.match(row, "me:pass@")
  test.equal(code(call(world, "PATCH", "providers/far", { headers = { ["x-new"] = "(hidden)" } })),
    "422 invalid")
end)

test("proxies that are shown alike keep their passwords", function()
  local world = new()
  add(world, "providers", { name = "far", dialect = "openai", url = "https://far.test/v1",
    proxy = json.array { "http://me:first@proxy.test:1", "http://me:other@proxy.test:1" } })
  local shown = call(world, "GET", "providers/far").json.proxy
  test.equal(call(world, "PATCH", "providers/far", { proxy = shown }).status, 200)
  local row = world.store.config["provider/far"]
  test.match(row, "me:first@")
  test.match(row, "me:other@")
  local got = call(world, "POST", "providers", { name = "copy", dialect = "openai",
    url = "https://far.test/v1", proxy = shown })
  test.equal(code(got) .. " " .. got.json.error.field, "422 invalid /proxy/0")
end)

test("what router.lua says is shown, marked and left alone", function()
  local world = new()
  for _, kind in ipairs { "provider", "group", "token" } do
    local path = kind .. "s"
    local listed = call(world, "GET", path).json.items
    test.equal({ listed[1].name, listed[1].origin }, { "filed", "router.lua" })
    test.equal(call(world, "GET", path .. "/filed").json.origin, "router.lua")
    test.equal(code(call(world, "PATCH", path .. "/filed", { note = "x" })), "409 read_only")
    test.equal(code(call(world, "DELETE", path .. "/filed")), "409 read_only")
  end
  -- One that was stored before router.lua had the name.
  world.store.config["provider/filed"] = json.encode { version = 1, dialect = "openai",
    url = "https://other.test/v1" }
  world.store.config["group/bad"] = json.encode { version = 1, targets = { { "nobody", "m" } } }
  call(world, "POST", "generations")
  local listed = call(world, "GET", "providers").json.items
  test.equal({ listed[2].origin, listed[2].shadowed }, { "stored", true })
  test.match(call(world, "GET", "groups/bad").json.problems[1], "nobody")
end)

test("an invalid change is refused with place and reason, and nothing is changed", function()
  local world = new()
  add(world, "providers", OPENAI)
  add(world, "groups", { name = "g", targets = { { provider = "far", model = "small" } } })
  local rows, generation = json.encode(world.store.config), world.generation
  local function refused(method, path, body, reason)
    local got = call(world, method, path, body)
    test.equal(code(got), "422 invalid_configuration", path .. got.answer)
    test.match(table.concat(got.json.error.details, "\n"), reason)
    test.equal(world.generation, generation)
    test.equal(json.encode(world.store.config), rows)
  end
  refused("POST", "groups", { name = "h", targets = { { provider = "nobody", model = "m" } } },
    "group/h: .*no provider \"nobody\"")
  -- The reason first, and then what would follow from it.
  local got = call(world, "PATCH", "providers/far", { url = "ftp://far.test" })
  test.match(got.json.error.message, "^provider/far: .*http or https")
  test.match(table.concat(got.json.error.details, "\n"), "\ngroup/g: .*no provider \"far\"")
  refused("DELETE", "providers/far", nil, "group/g: .*no provider \"far\"")
  refused("PATCH", "groups/g", { policies = { { name = "keyword_retry",
    settings = { window = "wide" } } } }, "keyword_retry: window")
  refused("PATCH", "groups/g", { policies = { "no_such_policy" } }, "no policy \"no_such_policy\"")
  refused("POST", "tokens", { name = "t", groups = { "nowhere" } }, "token/t: .*nowhere")
  refused("POST", "providers", { name = "bad", dialect = "klingon", url = "https://x.test" },
    "provider/bad: .*dialect")
  refused("POST", "providers", { name = "near", dialect = "openai", url = "http://10.0.0.1/v1" },
    "private")
end)

test("a group has its chain with settings, and what its limits are", function()
  local world = new()
  local got = add(world, "groups", { name = "fast & cheap", limits = { attempts = 3 },
    targets = { { provider = "filed", model = "m", priority = 2 } },
    policies = { "priority_failover", { name = "keyword_retry",
      settings = { keywords = { "overloaded" } } } } })
  test.equal(got.policies[2].settings.keywords, { "overloaded" })
  test.equal(call(world, "GET", "groups/fast%20%26%20cheap").json.limits.attempts, 3)
end)

test("a token's secret is shown once and kept as a digest; its rights are no wider", function()
  local world = new()
  local got = add(world, "tokens", { name = "app", groups = { "filed" },
    expires = "2027-01-31T01:00:00.5+01:00", limits = { requests_per_minute = 5 } })
  test.equal(got.token.expires, "2027-01-31T00:00:00Z")
  test.equal(got.token.last4, got.secret:sub(-4))
  test.equal(call(world, "GET", "tokens").answer:find(got.secret, 1, true), nil)
  for _, rows in pairs(world.store) do
    for _, text in pairs(rows) do test.equal(text:find(got.secret, 1, true), nil) end
  end
  test.equal(code(call(world, "PATCH", "tokens/app", { rights = { "keys" } })), "403 forbidden")
  test.equal(call(world, "PATCH", "tokens/app", { rights = { "keys" } }, nil, "session").status,
    200)
  local patched = call(world, "PATCH", "tokens/app", { expires = json.null, rights = { "trace" } })
  test.equal({ patched.json.expires, patched.json.rights }, { nil, { "trace" } })
  local digest = json.decode(world.store.config["token/app"]).digest
  test.equal(#digest, 64)
end)

--- So many models, each of some kilobytes.
local function models(count)
  local result = {}
  for number = 1, count do
    result[("m"):rep(4000) .. number] = { input = 1, output = 2 }
  end
  return result
end

test("of a change that is long the audit log has that it was", function()
  local world = new()
  add(world, "providers", { name = "far", dialect = "openai", url = "https://far.test/v1",
    models = models(150) })
  test.equal(call(world, "PATCH", "providers/far", { note = "long" }).status, 200)
  local last = call(world, "GET", "audit?limit=1").json.items[1]
  test.match(last.before.left_out, "^%d+ bytes$")
  test.equal(code(call(world, "PATCH", "providers/far", { note = "huge", models = models(280) })),
    "413 too_large")
end)

test("a page of the audit log is of less than a megabyte", function()
  local world = new()
  add(world, "providers", { name = "far", dialect = "openai", url = "https://far.test/v1",
    models = models(25) })
  for number = 1, 6 do call(world, "PATCH", "providers/far", { note = "note " .. number }) end
  local notes, cursor, pages = {}, "", 0
  repeat
    local got = call(world, "GET", "audit?limit=500&action=update" .. cursor)
    test.equal(#got.answer < 1024 * 1024, true)
    for _, item in ipairs(got.json.items) do notes[#notes + 1] = item.after.note end
    cursor, pages = "&cursor=" .. tostring(got.json.next_cursor), pages + 1
  until got.json.next_cursor == json.null
  test.equal({ #notes, notes[1], notes[6], pages > 1 }, { 6, "note 6", "note 1", true })
end)

test("failure keywords and the threshold reach the policies", function()
  local world = new()
  local one = add(world, "keywords", { text = "Quota exceeded", note = "seen in May" })
  test.equal(code(call(world, "POST", "keywords", { text = "quota EXCEEDED" })), "409 exists")
  call(world, "PATCH", "settings", { failure_threshold = 7, failure_window = 60 })
  local loaded = require("neap.router").loaded()
  test.equal(loaded.of_policies.keywords, { "Quota exceeded" })
  test.equal({ loaded.of_policies.failure_threshold, loaded.of_policies.failure_window }, { 7, 60 })
  test.equal(code(call(world, "PATCH", "settings", { failure_threshold = 0 })), "422 invalid")
  require("neap.host").shared_set("keyword_retry\0group\0filed\0hits Quota exceeded", 3)
  require("neap.host").shared_set("keyword_retry\0group\0filed\0last_triggered Quota exceeded",
    "2026-11-21T00:00:00Z")
  local listed = call(world, "GET", "keywords").json.items[1]
  test.equal({ listed.hits, listed.last_hit }, { 3, "2026-11-21T00:00:00Z" })
  test.equal(call(world, "PATCH", "keywords/" .. one.id, { off = true }).status, 200)
  test.equal(require("neap.router").loaded().of_policies.keywords, {})
  test.equal(call(world, "DELETE", "keywords/" .. one.id).status, 204)
end)

test("a rehearsal takes its time from nothing that comes before or after it", function()
  local world, steps = new(), {}
  add(world, "providers", OPENAI)
  local sleep, rehearse = host.sleep, router.rehearse
  host.sleep = function(seconds)
    steps[#steps + 1] = "rest"
    sleep(seconds)
  end
  router.rehearse = function(...)
    steps[#steps + 1] = "rehearse"
    return rehearse(...)
  end
  local got = call(world, "PATCH", "providers/far", { note = "x" })
  host.sleep, router.rehearse = sleep, rehearse
  test.equal(got.status, 200)
  test.equal(steps, { "rest", "rehearse", "rest" })
end)
