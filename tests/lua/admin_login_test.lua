-- Logging in and out, sessions, admin tokens, the first password, and how often one may guess.
local admin_world = require "admin.test.world"
local clock = require "neap.test.clock"
local host = require "neap.host"
local json = require "neap.json"
local setup = require "admin.api.setup"
local test = require "neap.tap"
local throttle = require "admin.api.throttle"

local RIGHT = { username = "admin", password = "the password" }

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local function login(world, password, given)
  given = given or {}
  return world:request { path = "/login", address = given.address, headers = given.headers,
    body = { username = given.name or "admin", password = password } }
end

local function status_with(world, secret)
  return world:request { path = "/api/v1/settings",
    headers = { cookie = "neap_session=" .. secret } }.status
end

local function pass(seconds) clock.time = clock.time + seconds end

-- ------------------------------------------------------------------------------------

test("a login sets a cookie that scripts and other sites cannot use", function()
  local world = admin_world.new()
  local got = login(world, "the password")
  test.equal(got.status, 200)
  test.match(got.headers["set-cookie"],
    "^neap_session=[%w-]+; Path=/; HttpOnly; SameSite=Strict; Max%-Age=604800$")
  test.equal(status_with(world, got:cookie()), 200)
  world = admin_world.new { is_secure = true }
  got = login(world, "the password")
  test.match(got.headers["set-cookie"], "^__Host%-neap_session=.*; Secure$")
end)

test("a form logs in like JSON, and one that is too long is refused", function()
  local world = admin_world.new()
  local function send(text)
    return world:request { path = "/login", body = text,
      headers = { ["content-type"] = "application/x-www-form-urlencoded" } }
  end
  test.equal(send("username=admin&password=the+p%61ssword").status, 200)
  test.equal(send("username=admin&password=" .. ("x"):rep(15000)).json.error.code, "invalid")
  local got = send("username=admin&password=" .. ("x"):rep(1e6))
  test.equal(got.status .. " " .. got.json.error.code, "413 too_large")
end)

test("a password is enough where there is one account", function()
  local world = admin_world.new()
  test.equal(world:request { path = "/login", body = { password = "the password" } }.status, 200)
  local got = world:request { path = "/api/auth/login", body = { password = "no" } }
  test.equal(got.status, 401)
end)

test("programs of other systems get the session as a bearer, which needs no header", function()
  local world = admin_world.new()
  local got = world:request { path = "/api/auth/login", body = RIGHT }
  test.equal(got.json.token_type, "bearer")
  local headers = { authorization = "Bearer " .. got.json.access_token }
  test.equal(world:request { path = "/api/v1/settings", method = "PATCH", headers = headers,
    body = json.object {} }.status, 200)
  test.equal(world:request { path = "/api/v1/sessions", headers = headers }.status, 200)
end)

test("a wrong name looks like a wrong password, and takes as long", function()
  local world = admin_world.new()
  local wrong = login(world, "no")
  local unknown = login(world, "no", { name = "nobody" })
  test.equal(wrong.status, 401)
  test.equal(wrong.answer, unknown.answer)
  test.equal(world.verified, 2)
end)

test("too many passwords at once are 503", function()
  local world = admin_world.new()
  world.is_busy = true
  test.equal(code(login(world, "the password")), "503 busy")
end)

test("nothing that is stored is a session's or a token's secret", function()
  local world = admin_world.new()
  local secret, token = world:log_in(), world:token("read")
  for _, rows in pairs(world.store) do
    for key, text in pairs(rows) do
      for _, planted in ipairs { secret, token } do
        test.equal((key .. text):find(planted, 1, true), nil)
      end
    end
  end
  test.equal(table.concat(world.lines, "\n"):find(secret, 1, true), nil)
end)

-- ------------------------------------------------------------------------------------
-- Sessions

test("a session ends 8 hours after its last use", function()
  local world = admin_world.new()
  local secret = login(world, "the password"):cookie()
  for _ = 1, 5 do
    pass(7 * 3600)
    test.equal(status_with(world, secret), 200)
  end
  pass(8 * 3600 + 61)
  test.equal(status_with(world, secret), 401)
end)

test("a session ends after 7 days, however much it is used", function()
  local world = admin_world.new()
  local secret = login(world, "the password"):cookie()
  for _ = 1, 24 do
    pass(7 * 3600 - 1)
    test.equal(status_with(world, secret), 200)
  end
  pass(3600)
  test.equal(status_with(world, secret), 401)
end)

test("logout ends it, by POST and by link", function()
  local world = admin_world.new()
  local first, second = login(world, "the password"):cookie(), login(world, "the password"):cookie()
  local got = world:request { path = "/logout", headers = { cookie = "neap_session=" .. first } }
  test.equal(got.status, 303)
  test.equal(got.headers.location, "/")
  test.match(got.headers["set-cookie"], "neap_session=; .*Max%-Age=0")
  test.equal(status_with(world, first), 401)
  got = world:request { path = "/logout", method = "POST",
    headers = { cookie = "neap_session=" .. second, ["x-neap-request"] = "1" } }
  test.equal(got.status, 204)
  test.equal(status_with(world, second), 401)
end)

test("sessions are listed, and can be ended by another", function()
  local world = admin_world.new()
  local other = login(world, "the password", { address = "10.1.2.3" }):cookie()
  local items = world:request { path = "/api/v1/sessions", as = "session" }.json.items
  test.equal(#items, 2)
  local row = items[1].is_current and items[2] or items[1]
  test.equal(row.address, "10.1.2.3")
  test.equal(world:request { path = "/api/v1/sessions/" .. row.id, method = "DELETE",
    as = "session" }.status, 204)
  test.equal(status_with(world, other), 401)
  test.equal(status_with(world, world:log_in()), 200)
end)

test("another password ends all sessions, and begins a new one", function()
  local world = admin_world.new()
  local other = login(world, "the password"):cookie()
  local function change(password)
    return world:request { path = "/api/v1/password", as = "session",
      body = { password = password, new_password = "another password" } }
  end
  test.equal(code(change("wrong")), "403 wrong_password")
  local got = change("the password")
  test.equal(got.status, 200)
  test.equal(status_with(world, other), 401)
  test.equal(status_with(world, world.session), 401)
  test.equal(status_with(world, got:cookie()), 200)
  test.equal(login(world, "the password").status, 401)
  test.equal(login(world, "another password").status, 200)
end)

test("a password has 10 characters", function()
  local world = admin_world.new()
  local got = world:request { path = "/api/v1/password", as = "session",
    body = { password = "the password", new_password = "short" } }
  test.equal(got.json.error.field, "/new_password")
end)

-- ------------------------------------------------------------------------------------
-- Admin tokens

test("an admin token is shown once, expires, and can be taken away", function()
  local world = admin_world.new()
  local function make(body)
    return world:request { path = "/api/v1/admin_tokens", as = "session", body = body }
  end
  local got = make { name = "ci", scopes = json.array { "read" }, expires = "2026-01-03T00:00:00Z" }
  test.equal(got.status, 201)
  local secret, headers = got.json.secret, { authorization = "bearer " .. got.json.secret }
  test.equal(got.json.token.last4, secret:sub(-4))
  local listed = world:request { path = "/api/v1/admin_tokens", as = "session" }
  test.equal(#listed.json.items, 1)
  test.equal(listed.answer:find(secret, 1, true), nil)
  test.equal(world:request { path = "/api/v1/session", headers = headers }.json.name, "ci")
  clock.time = 2 * 86400
  test.equal(world:request { path = "/api/v1/session", headers = headers }.status, 401)
  clock.time = 0
  world.session = nil
  test.equal(world:request { path = "/api/v1/admin_tokens/" .. got.json.token.id,
    method = "DELETE", as = "session" }.status, 204)
  test.equal(world:request { path = "/api/v1/session", headers = headers }.status, 401)
  test.equal(code(make { name = "x", scopes = json.array {} }), "422 invalid")
  test.equal(code(make { name = "x", scopes = json.array { "all" } }), "422 invalid")
  test.equal(make { name = "x", scopes = json.array { "read" },
    expires = "2025-01-01T00:00:00Z" }.json.error.field, "/expires")
end)

test("no token makes a token, a wider one or another", function()
  local world = admin_world.new()
  for _, as in ipairs { "read", "write", "keys", "read write keys" } do
    test.equal(code(world:request { path = "/api/v1/admin_tokens", as = as,
      body = { name = "x", scopes = json.array { "read" } } }), "403 forbidden", as)
  end
end)

-- ------------------------------------------------------------------------------------
-- Guessing

test("each wrong guess after the fifth doubles the wait, for an account", function()
  local world = admin_world.new()
  for index = 1, 5 do
    test.equal(login(world, "no", { address = "10.0.0." .. index }).status, 401)
  end
  test.equal(code(login(world, "no", { address = "10.0.0.9" })), "429 throttled")
  test.equal(code(login(world, "the password", { address = "10.0.0.9" })), "429 throttled")
  pass(1)
  test.equal(login(world, "no", { address = "10.0.0.10" }).status, 401)
  pass(1)
  local got = login(world, "no", { address = "10.0.0.11" })
  test.equal(got.status, 429)
  test.equal(got.headers["retry-after"], "1")
  pass(1)
  test.equal(login(world, "the password", { address = "10.0.0.12" }).status, 200)
  test.equal(login(world, "no", { address = "10.0.0.13" }).status, 401, "it begins anew")
  test.equal(login(world, "no", { address = "10.0.0.13" }).status, 401)
  local verified = world.verified
  for _ = 1, 50 do login(world, "no", { address = "10.0.0.14" }) end
  test.equal(world.verified - verified <= 5, true, "what is refused is not looked at")
end)

test("guesses at the same moment do not wait for each other's rounding", function()
  local world = admin_world.new()
  clock.time = 0.0006
  for _ = 1, 5 do test.equal(login(world, "no").status, 401) end
  test.equal(login(world, "no").status, 429)
end)

test("and for an address, whatever account it tries", function()
  local world = admin_world.new()
  for index = 1, 5 do
    test.equal(login(world, "no", { address = "10.0.0.1", name = "user" .. index }).status, 401)
  end
  test.equal(code(login(world, "the password", { address = "10.0.0.1" })), "429 throttled")
  test.equal(login(world, "the password", { address = "10.0.0.2" }).status, 200)
end)

test("an address of IPv6 counts as its /64", function()
  local cases = {
    ["2001:db8:1:2:3:4:5:6"] = "2001:db8:1:2::/64", ["2001:db8:1:2::9"] = "2001:db8:1:2::/64",
    ["2001:db8::1"] = "2001:db8:0:0::/64", ["::1"] = "0:0:0:0::/64",
    ["fe80::1%eth0"] = "fe80:0:0:0::/64", ["::ffff:10.0.0.1"] = "10.0.0.1",
    ["10.0.0.1"] = "10.0.0.1",
  }
  for address, network in pairs(cases) do
    test.equal(throttle.network(address), network, address)
  end
end)

test("logins, failed ones too, are in the audit log", function()
  local world = admin_world.new()
  login(world, "no", { address = "10.0.0.1" })
  login(world, "the password")
  local items = world:request { path = "/api/v1/audit?object=account/", as = "session" }.json.items
  local seen = {}
  for index, item in ipairs(items) do seen[index] = item.action .. " " .. item.address end
  table.sort(seen)
  test.equal(seen, { "login 127.0.0.1", "login 127.0.0.1", "login_failed 10.0.0.1" })
end)

-- ------------------------------------------------------------------------------------
-- The first password

local ADMIN = { listen = "127.0.0.1:8081" }

local function link_of(world)
  return table.concat(world.lines, "\n"):match("http://127%.0%.0%.1:8081(/setup%?token=([%w-]+))")
end

local function begin(world, password)
  world:use()
  setup.start(ADMIN, false, password)
  return link_of(world)
end

test("without an account there is a link, which works once", function()
  local world = admin_world.new { is_bare = true }
  test.equal(login(world, "admin").status, 401)
  local path, secret = begin(world)
  local got = world:request { path = path }
  test.equal(got.status, 200)
  test.match(got.headers["content-type"], "^text/html")
  test.match(got.answer, 'name="token" value="' .. secret:gsub("%-", "%%-") .. '"')
  local function create(password)
    return world:request { path = "/setup", body = "username=admin&token=" .. secret
      .. "&password=" .. password,
      headers = { ["content-type"] = "application/x-www-form-urlencoded" } }
  end
  test.equal(code(create("short")), "422 invalid")
  got = create("a+good+password")
  test.equal(got.status, 200)
  test.equal(status_with(world, got:cookie()), 200)
  test.equal(login(world, "a good password").status, 200)
  test.equal(create("another+password").status, 401)
  test.equal(world:request { path = path }.status, 401)
  world.lines = {}
  test.equal(begin(world), nil, "with an account there is no link")
end)

test("the link names this machine, and another name only where that is good for it", function()
  local function link(names, is_secure)
    local world = admin_world.new { is_bare = true }
    world:use()
    setup.start({ listen = "127.0.0.1:8081", names = names }, is_secure)
    return (table.concat(world.lines, "\n"):match("(https?://.*)/setup%?token="))
  end
  test.equal(link({ "admin.example" }, false), "http://127.0.0.1:8081")
  test.equal(link({ "admin.example" }, true), "https://admin.example:8081")
  test.equal(link(nil, true), "https://127.0.0.1:8081")
end)

test("the link outlives a reload and is good from this machine only", function()
  local world = admin_world.new { is_bare = true }
  local path = begin(world)
  world.lines = {}
  test.equal(begin(world), nil, "it is shown once")
  test.equal(world:request { path = path, address = "10.0.0.1" }.status, 401)
  test.equal(world:request { path = path }.status, 200)
  test.equal(world:request { path = "/setup?token=neap-wrong" }.status, 401)
end)

test("a write that fails leaves the link good", function()
  local world = admin_world.new { is_bare = true }
  local _, secret = begin(world)
  local function create()
    return world:request { path = "/setup",
      body = { token = secret, password = "a good password" } }
  end
  world.write_problem = "full"
  test.equal(code(create()), "507 storage_full")
  world.write_problem = nil
  test.equal(create().status, 200)
end)

test("the environment's password is taken when it is new", function()
  local world = admin_world.new { is_bare = true }
  test.equal(begin(world, "from the environment"), nil)
  test.equal(login(world, "from the environment").status, 200)
  local got = world:request { path = "/api/v1/password", headers = {
    cookie = "neap_session=" .. login(world, "from the environment"):cookie(),
    ["x-neap-request"] = "1" },
    body = { password = "from the environment", new_password = "changed by hand" } }
  test.equal(got.status, 200)
  begin(world, "from the environment")
  test.equal(login(world, "changed by hand").status, 200, "what was changed stays")
  begin(world, "another environment")
  test.equal(login(world, "changed by hand").status, 401)
  test.equal(login(world, "another environment").status, 200)
  test.equal(status_with(world, got:cookie()), 401, "and its sessions have ended")
end)

test("the environment's password waits until it can be looked at, and undoes nothing", function()
  local world = admin_world.new { is_bare = true }
  begin(world, "from the environment")
  local secret = login(world, "from the environment"):cookie()
  local before = world.store.objects["account/admin"]
  host.shared_set("admin\0environment", nil) -- as after a restart
  local sleep, waits = host.sleep, 0
  host.sleep = function(seconds)
    waits = waits + 1
    world.is_busy = waits < 3
    sleep(seconds)
  end
  world.is_busy = true
  begin(world, "from the environment")
  host.sleep = sleep
  test.equal(waits, 3)
  test.equal(world.store.objects["account/admin"], before)
  test.equal(status_with(world, secret), 200)
end)

test("the environment's password is looked at once, not with each reload", function()
  local world = admin_world.new { is_bare = true }
  begin(world, "from the environment")
  world.is_busy = true
  begin(world, "from the environment")
  test.equal(world.verified, 0)
end)

test("a password that is longer than any is refused, however few characters it has", function()
  local world, long = admin_world.new(), ("é"):rep(1000)
  test.equal(code(login(world, long)), "401 wrong_password")
  local got = world:request { path = "/api/v1/password", as = "session",
    body = { password = "the password", new_password = long } }
  test.equal(code(got), "422 invalid")
end)

test("a variable that cannot be a password is an error with its name", function()
  local env, read = host.env, host.read
  local function try(given, file)
    host.env = function(name) return given[name] end
    host.read = function() return file, not file and "No such file" or nil end
    local password, problem = setup.read_environment()
    host.env, host.read = env, read
    return password or problem
  end
  test.equal(try {}, nil)
  test.equal(try { NEAP_ADMIN_PASSWORD = "", NEAP_ADMIN_PASSWORD_FILE = "" }, nil)
  test.equal(try { NEAP_ADMIN_PASSWORD = "long enough" }, "long enough")
  test.match(try { NEAP_ADMIN_PASSWORD = "short" }, "^NEAP_ADMIN_PASSWORD: a password has 10")
  test.equal(try({ NEAP_ADMIN_PASSWORD_FILE = "/x" }, "from a file\n"), "from a file")
  test.equal(try { NEAP_ADMIN_PASSWORD_FILE = "/x" }, "NEAP_ADMIN_PASSWORD_FILE: /x: No such file")
end)
