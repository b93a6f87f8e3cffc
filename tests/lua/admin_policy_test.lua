-- Policies over HTTP: what there is, what a text would do, versions, and who wins over whom.
local admin_world = require "admin.test.world"
local router = require "neap.router"
local test = require "neap.tap"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local WRITTEN = [[
group "echo" { policies = { "echo" } }
]]

local function text_of(summary, settings)
  return ([[
local policy = require "neap.policy"
local setting = require "neap.setting"
local mine = policy.define { summary = "%s", settings = { %s } }
function mine:run(request, next) return next(request) end
return mine
]]):format(summary, settings
    or 'size = setting.integer { default = 3, min = 1, help = "How many." }')
end

local function new() return admin_world.new { config = WRITTEN } end

local function call(world, method, path, body, headers)
  return world:request { path = "/api/v1/policies" .. path, method = method, as = "write",
    body = body, headers = headers }
end

test("neap's own are listed with what can be set", function()
  local found
  for _, one in ipairs(call(new(), "GET", "").json.items) do
    if one.name == "circuit_breaker" then found = one end
    test.equal(one.problem, nil, one.name)
  end
  test.equal({ found.origin, found.orders, found.settings.rest.kind, found.settings.rest.default },
    { "neap", "target", "seconds", 30 })
end)

test("a new version is in force, old ones can be seen and come back", function()
  local world = new()
  local got = call(world, "PUT", "/mine", { text = text_of("First."), note = "begun" })
  test.equal({ got.status, got.json.version, got.json.summary }, { 200, 1, "First." }, got.answer)
  test.equal(got.json.settings.size.help, "How many.")
  got = call(world, "PUT", "/mine", { text = text_of("Late.") }, { ["if-match"] = '"v7"' })
  test.equal(code(got), "412 changed")
  call(world, "PUT", "/mine", { text = text_of("Second.") }, { ["if-match"] = '"v1"' })
  test.equal(router.loaded().stored_policies.mine, text_of("Second."))
  got = call(world, "POST", "/mine/versions/1/restore")
  test.equal({ got.json.version, got.json.summary }, { 3, "First." })
  local versions = call(world, "GET", "/mine/versions").json.items
  test.equal({ #versions, versions[1].note, versions[3].note }, { 3, "begun", "version 1 again" })
  test.equal(call(world, "GET", "/mine/versions/2").json.text, text_of("Second."))
  test.equal(code(call(world, "GET", "/mine/versions/9")), "404 not_found")
  test.equal(call(world, "DELETE", "/mine").status, 204)
  test.equal(code(call(world, "GET", "/mine")), "404 not_found")
  test.equal(call(world, "PUT", "/mine", { text = text_of("New.") }).json.version, 4)
end)

test("a text that cannot be loaded is refused with its line", function()
  local world = new()
  local function refused(text, reason)
    local got = call(world, "PUT", "/mine", { text = text })
    test.equal(code(got), "422 invalid_configuration", got.answer)
    test.match(got.json.error.details[1], reason)
    test.equal(world.store.config["policy/mine"], nil)
    got = call(world, "POST", "/mine/validate", { text = text })
    test.equal(got.json.is_valid, false)
    test.match(got.json.problems[1], reason)
  end
  refused("return 1 +", "mine%.lua:1")
  refused("return {}", "policy%.define")
  refused("os.exit()", "os")
  local got = call(world, "POST", "/mine/validate", { text = text_of("Fine.") }).json
  test.equal({ got.is_valid, got.summary, got.problems }, { true, "Fine.", {} })
end)

test("a text that a group cannot use any more is refused", function()
  local world = new()
  call(world, "PUT", "/mine", { text = text_of("First.") })
  world:request { path = "/api/v1/groups", as = "write", body = { name = "g",
    policies = { { name = "mine", settings = { size = 5 } } } } }
  local got = call(world, "PUT", "/mine", { text = text_of("No size.", "") })
  test.equal(code(got), "422 invalid_configuration")
  test.match(got.json.error.details[1], "group/g: mine: .*size")
  test.match(call(world, "POST", "/mine/validate", { text = text_of("x", "") }).json.problems[1],
    "group/g")
  test.equal(code(call(world, "DELETE", "/mine")), "422 invalid_configuration")
end)

test("stored ones go before neap's, and neap's come back", function()
  local world = new()
  local tag = call(world, "GET", "/hedge").headers.etag
  local got = call(world, "PUT", "/hedge", { text = text_of("Mine.") }, { ["if-match"] = tag })
  test.equal({ got.json.origin, got.json.summary }, { "stored", "Mine." }, got.answer)
  call(world, "DELETE", "/hedge")
  test.equal(call(world, "GET", "/hedge").json.origin, "neap")
end)
