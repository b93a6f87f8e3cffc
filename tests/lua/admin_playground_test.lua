-- The playground: a request that the router answers, behind the admin side's checks.
local admin = require "admin.api.init"
local admin_world = require "admin.test.world"
local json = require "neap.json"
local test = require "neap.tap"

local BODY = { model = "chat", messages = json.array { { role = "user", content = "hello" } },
  temperature = 0.5 }

local function try(world, more)
  local given = { path = "/api/v1/playground/chat", as = "write", body = BODY }
  for name, value in pairs(more or {}) do given[name] = value end
  return world:request(given)
end

test("the router answers, with the headers that hold a browser back", function()
  local got = try(admin_world.new { is_secure = true })
  test.equal(got.status, 200)
  test.equal(got.headers["x-content-type-options"], "nosniff")
  test.match(got.headers["strict-transport-security"], "max%-age")
  test.equal(got.headers["cache-control"], nil, "the router says it where it streams")
end)

test("what spends money needs the scope that changes things", function()
  local world = admin_world.new()
  test.equal(try(world, { as = "read" }).status, 403)
  test.equal(try(world, { as = "keys" }).status, 403)
  test.equal(world.tried, nil)
  test.equal(try(world, { as = "session" }).status, 200)
end)

test("what is no chat request does not reach the router", function()
  local world = admin_world.new()
  test.equal(try(world, { body = { model = "chat" } }).status, 422)
  test.equal(try(world, { body = { messages = json.array {} } }).status, 422)
  test.equal(try(world, { body = json.encode(BODY) }).status, 415, "of curl's own type")
  test.equal(world.tried, nil)
end)

test("what goes wrong behind it is the router's", function()
  local world = admin_world.new()
  world.try_problem = "it broke"
  local got = try(world)
  test.equal(got.answer, "the router: it broke")
  admin.gone(got)
  test.equal(got.is_left, true)
end)
