-- The admin side: who comes in, who may do what, and what every answer looks like.
local test = require "neap.tap"
local admin_world = require "admin.test.world"
local clock = require "neap.test.clock"
local json = require "neap.json"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

-- ------------------------------------------------------------------------------------
-- Without login

test("strangers get 401 for all but what is open, and never a redirect", function()
  local world = admin_world.new()
  local methods = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW" }
  for _, path in ipairs { "/", "/metrics", "/providers", "/api/keys", "/api/v1/settings",
    "/v1/models", "/nothing", "/admin", "/api/v1/settings/", "/logout", "/%2e%2e" } do
    for _, method in ipairs(methods) do
      local got = world:request { path = path, method = method }
      test.equal(got.status, 401, method .. " " .. path)
      test.equal(got.json.error.code, "unauthorized", path)
    end
  end
  test.equal(world:request { path = "/health" }.status, 200)
  test.equal(world:request { path = "/openapi.json" }.status, 200)
  test.equal(world:request { path = "/health", method = "DELETE" }.status, 401)
  test.equal(world:request { path = "/setup?token=x" }.status, 401)
end)

test("a credential that is not good is 401, whatever the cookie says", function()
  local world = admin_world.new()
  local cookie = "neap_session=" .. world:log_in()
  local function try(headers)
    return world:request { path = "/api/v1/settings", headers = headers }.status
  end
  test.equal(try { cookie = cookie }, 200)
  test.equal(try { cookie = cookie, authorization = "Bearer wrong" }, 401)
  test.equal(try { cookie = cookie, authorization = "Basic YTpi" }, 401)
  test.equal(try { cookie = "neap_session=wrong" }, 401)
  test.equal(try { cookie = "a=b; neap_session=" .. world:log_in() .. "; c=d" }, 200)
  test.equal(try { cookie = "xneap_session=" .. world:log_in() }, 401)
  test.equal(try { ["x-api-key"] = world:token("read") }, 401)
end)

-- ------------------------------------------------------------------------------------
-- Every route and every role

local ROLES = { false, "read", "write", "keys", "read bodies", "session" }
local MAY = {
  read = { read = true, write = true, ["read bodies"] = true, session = true },
  write = { write = true, session = true },
  keys = { keys = true, session = true },
  bodies = { ["read bodies"] = true, session = true },
  session = { session = true },
}

-- What passes the checks of some operations; the others get an empty object.
local BODIES = {
  update_settings = { time_zone = "+01:00" },
  create_admin_token = { name = "a", scopes = json.array { "read" } },
  set_key_state = { state = "ready" },
  try_chat = { model = "m", messages = json.array {} },
  import_configuration = { format = "neap.configuration", version = 1,
    records = json.object {} },
}

local function call(world, op, role)
  local path = op.path:gsub("{[^}]+}", "x")
  return world:request { path = path, method = op.method, as = role or nil,
    body = (op.body or op.takes) and (BODIES[op.id] or json.object {}) or nil }
end

test("each role reaches what its scope allows, and every answer is as declared", function()
  local count = #admin_world.new().routes.list
  for index = 1, count do
    local world = admin_world.new() -- a person who logs out would be missed by the next
    local op = world.routes.list[index]
    for _, role in ipairs(ROLES) do
      local what = ("%s %s as %s"):format(op.method, op.path, role or "nobody")
      local got = call(world, op, role)
      test.equal(world.raised, nil, what)
      test.equal(world:fault_of(op, got), nil, what)
      if op.scope ~= "open" then
        local is_let_in = got.status ~= 401 and got.status ~= 403
        test.equal(is_let_in, role and MAY[op.scope][role] or false, what)
        if not role then test.equal(got.status, 401, what) end
        if role and not is_let_in then test.equal(code(got), "403 forbidden", what) end
      end
    end
  end
end)

test("an operation without an object at its id is 404", function()
  local world = admin_world.new()
  for _, op in ipairs(world.routes.list) do
    if op.path:find("{id}", 1, true) then
      test.equal(code(call(world, op, "session")), "404 not_found", op.id)
    end
  end
end)

test("neap's own operations refuse parameters and members that they do not know", function()
  local world = admin_world.new()
  for _, op in ipairs(world.routes.list) do
    if not op.is_compat and op.id ~= "logout" and op.id ~= "logout_by_link" then
      local path = op.path:gsub("{[^}]+}", "x") .. "?surely_unknown=1"
      local got = world:request { path = path, method = op.method, as = "session",
        body = op.body and json.object {} or nil }
      test.equal(code(got), "400 invalid_query", op.id)
      test.equal(got.json.error.field, "surely_unknown")
    end
    if not op.is_compat and op.body and op.body.properties then
      local got = world:request { path = op.path:gsub("{[^}]+}", "x"), method = op.method,
        as = "session", body = { surely_unknown = 1 } }
      test.equal(code(got), "422 invalid", op.id)
    end
  end
end)

test("other systems' paths leave out what they do not know, as these systems do", function()
  local world = admin_world.new()
  local function ask(path, options)
    local request = { path = path, as = "session" }
    for name, value in pairs(options or {}) do request[name] = value end
    return world:request(request)
  end
  for _, path in ipairs { "/api/providers/?_=17", "/api/keys?page=1&t=2", "/providers?x=%20" } do
    test.equal(ask(path).status, 200, path)
  end
  for _, truth in ipairs { "True", "true", "1", "yes", "False", "0", "off" } do
    test.equal(ask("/api/logs/?filter_success=" .. truth).status, 200, truth)
  end
  test.equal(code(ask "/api/logs/?filter_success=perhaps"), "400 invalid_query")
  test.equal(ask("/api/groups/", { method = "POST", body = { name = "a", id = 7 } }).status, 200)
  -- With a slash at the end or without one, where that is nothing else's path.
  for _, path in ipairs { "/api/providers", "/api/logs?limit=2", "/providers/", "/stats/total/" } do
    test.equal(ask(path).status, 200, path)
  end
  test.equal(ask("/api/keywords", { method = "POST", body = { keyword = "a" } }).status, 200)
  test.equal(ask("/api/keys").json.page, 1)
  test.equal(ask("/api/keys/").json.page, nil)
  test.equal(ask("/api/providers", { as = false }).status, 401)
  test.equal(ask("/login/", { method = "POST", as = false }).status, 401)
  test.equal(code(ask "/api/v1/groups/"), "404 not_found")
end)

-- ------------------------------------------------------------------------------------
-- HTTP

test("methods: 405 names what is taken, HEAD goes with GET, OPTIONS tells", function()
  local world = admin_world.new()
  local got = world:request { path = "/api/v1/settings", method = "DELETE", as = "session" }
  test.equal(code(got), "405 method_not_allowed")
  test.equal(got.headers.allow, "GET, HEAD, OPTIONS, PATCH")
  test.equal(world:request { path = "/api/v1/settings", method = "HEAD", as = "read" }.status, 200)
  got = world:request { path = "/api/v1/settings", method = "OPTIONS", as = "read" }
  test.equal(got.status, 204)
  test.equal(got.headers.allow, "GET, HEAD, OPTIONS, PATCH")
  test.equal(code(world:request { path = "/nothing", as = "read" }), "404 not_found")
  test.equal(code(world:request { path = "/api/v1/settings/", as = "read" }), "404 not_found")
end)

test("each answer has the headers that hold a browser back", function()
  local world = admin_world.new { is_secure = true }
  for _, got in ipairs { world:request { path = "/health" }, world:request { path = "/nothing" },
    world:request { path = "/api/v1/settings", as = "session" } } do
    test.equal(got.headers["x-content-type-options"], "nosniff")
    local policy = got.headers["content-security-policy"]
    test.match(policy, "default%-src 'self'.*frame%-ancestors 'none'")
    test.equal(got.headers["cache-control"], "no-store")
    test.equal(got.headers["referrer-policy"], "no-referrer")
    test.match(got.headers["strict-transport-security"], "max%-age")
    test.equal(got.headers["access-control-allow-origin"], nil)
    test.equal(#got.headers["x-request-id"] > 10, true)
  end
  local plain = admin_world.new():request { path = "/health" }
  test.equal(plain.headers["strict-transport-security"], nil)
end)

test("bodies: their form, their type, their length", function()
  local world = admin_world.new()
  local function patch(given)
    given.path, given.method, given.as = "/api/v1/settings", "PATCH", "write"
    return world:request(given)
  end
  test.equal(code(patch { body = "{" }), "400 invalid_json")
  test.equal(code(patch { body = "[]" }), "422 invalid")
  test.equal(code(patch { body = "" }), "422 invalid")
  test.equal(code(patch { body = "x", fault = { 413, "too long" } }), "413 too_large")
  test.equal(code(patch { body = (" "):rep(3 * 1024 * 1024) }), "413 too_large")
  test.equal(code(patch { body = "{}", headers = { ["content-type"] = "text/html" } }),
    "415 unsupported_type")
  test.equal(patch { body = "{}",
    headers = { ["content-type"] = "application/merge-patch+json; charset=utf-8" } }.status, 200)
  -- What curl -d sends when nobody tells it a type.
  test.equal(patch { body = '{"time_zone":"UTC"}',
    headers = { ["content-type"] = "application/x-www-form-urlencoded" } }.status, 200)
  local got = patch { body = { time_zone = "Nowhere/Land" } }
  test.equal(got.json.error.field, "/time_zone")
  test.match(got.json.error.message, "^/time_zone must be a time zone such as")
end)

test("an error of neap itself is a 500 without its text", function()
  local world = admin_world.new()
  local op = world.routes.by_id.get_settings
  local run = op.run
  op.run = function() error("with a secret") end
  local got = world:request { path = "/api/v1/settings", as = "read" }
  op.run = run
  test.equal(code(got), "500 internal_error")
  test.equal(got.answer:find("secret", 1, true), nil)
  test.match(table.concat(world.lines, "\n"), "with a secret")
end)

test("a store that fails is 503, a full disk 507, and nothing is changed", function()
  local world = admin_world.new()
  local token = world:token("write")
  local function patch()
    return code(world:request { path = "/api/v1/settings", method = "PATCH", as = "write",
      body = { time_zone = "+02:00" } })
  end
  world.store_problem = "failed"
  test.equal(patch(), "503 storage_failed")
  test.equal(world:request { path = "/health" }.status, 503)
  test.equal(token ~= nil, true)
  world.store_problem = nil
  world.write_problem = "full"
  test.equal(patch(), "507 storage_full")
  world.write_problem = nil
  test.equal(world:request { path = "/api/v1/settings", as = "read" }.json.time_zone, "UTC")
end)

-- ------------------------------------------------------------------------------------
-- Other people's pages

test("a loopback listener answers to loopback names only", function()
  local function status(options, host)
    local world = admin_world.new(options)
    return world:request { path = "/health", headers = { host = host } }.status
  end
  for _, name in ipairs { "127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081" } do
    test.equal(status({}, name), 200, name)
  end
  for _, name in ipairs { "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8081",
    "192.168.0.1:8081" } do
    test.equal(status({}, name), 403, name)
  end
  test.equal(status({ names = { "admin.example" } }, "Admin.Example:443"), 200)
  test.equal(status({ names = { "admin.example" } }, "evil.example"), 403)
  test.equal(status({ listen = "0.0.0.0:8081" }, "anything.example"), 200)
  test.equal(status({ listen = "0.0.0.0:8081", names = { "admin.example" } }, "evil.example"), 403)
end)

test("a write with a cookie needs the header, and no foreign page makes one", function()
  local world = admin_world.new()
  local function try(headers)
    headers.cookie = "neap_session=" .. world:log_in()
    local got = world:request { path = "/api/v1/settings", method = "PATCH", headers = headers,
      body = json.object {} }
    return got.status == 200 and "200" or code(got)
  end
  test.equal(try {}, "403 forged")
  test.equal(try { ["x-neap-request"] = "1" }, "200")
  test.equal(try { ["x-neap-request"] = "1", origin = "http://127.0.0.1:8081" }, "200")
  test.equal(try { ["x-neap-request"] = "1", origin = "http://127.0.0.1:8082" },
    "403 foreign_origin")
  test.equal(try { ["x-neap-request"] = "1", origin = "null" }, "403 foreign_origin")
  test.equal(try { ["x-neap-request"] = "1", ["sec-fetch-site"] = "cross-site" },
    "403 foreign_origin")
  test.equal(try { ["x-neap-request"] = "1", ["sec-fetch-site"] = "same-site" },
    "403 foreign_origin")
  test.equal(try { ["x-neap-request"] = "1", ["sec-fetch-site"] = "same-origin" }, "200")
  -- A token is known to no page.
  local got = world:request { path = "/api/v1/settings", method = "PATCH", as = "write",
    headers = { origin = "http://evil.example" }, body = json.object {} }
  test.equal(got.status, 200)
end)

test("nobody is logged in or out by a foreign page", function()
  local world = admin_world.new()
  local body = { username = "admin", password = "the password" }
  for _, path in ipairs { "/login", "/api/auth/login" } do
    test.equal(code(world:request { path = path, body = body,
      headers = { origin = "http://evil.example" } }), "403 foreign_origin")
  end
  local cookie = "neap_session=" .. world:log_in()
  test.equal(code(world:request { path = "/logout", headers = { cookie = cookie,
    ["sec-fetch-site"] = "cross-site" } }), "403 foreign_origin")
  test.equal(world:request { path = "/logout", headers = { cookie = cookie } }.status, 303)
end)

-- ------------------------------------------------------------------------------------
-- Anything at all

local seed = 7
local function chance(most)
  seed = (seed * 16807) % 2147483647
  return seed % most + 1
end

local ODD = { "", "x", ("y"):rep(5000), "\0", "ü", "../..", "'\"<", 0, -1, 1.5, 1e300, 2 ^ 53, true,
  false, json.null }

--- A value of the schema, or something else in its place now and then.
local function random_of(schema_of, depth)
  if depth > 4 or chance(6) == 1 then return ODD[chance(#ODD)] end
  if schema_of.anyOf then return random_of(schema_of.anyOf[chance(#schema_of.anyOf)], depth + 1) end
  if schema_of.enum then return schema_of.enum[chance(#schema_of.enum)] end
  local kind = schema_of.type
  if type(kind) == "table" then kind = kind[chance(#kind)] end
  if kind == "object" then
    local result = json.object {}
    for name, property in pairs(schema_of.properties or {}) do
      if chance(4) > 1 then result[name] = random_of(property, depth + 1) end
    end
    if chance(10) == 1 then result["odd/~name"] = 1 end
    return result
  elseif kind == "array" then
    local result = json.array {}
    for index = 1, chance(4) - 1 do
      result[index] = random_of(schema_of.items or {}, depth + 1)
    end
    return result
  end
  return ODD[chance(#ODD)]
end

local function escape(text)
  return (text:gsub("[^%w]", function(byte) return ("%%%02x"):format(byte:byte()) end))
end

local function random_query(op)
  local parts = {}
  for name in pairs(op.query or {}) do
    if chance(2) == 1 then
      parts[#parts + 1] = name .. "=" .. escape(tostring(ODD[chance(#ODD)]))
    end
  end
  return parts[1] and "?" .. table.concat(parts, "&") or ""
end

test("no body, parameter or path makes it fail, or answer what it does not declare", function()
  local count = #admin_world.new().routes.list
  for index = 1, count do
    local world = admin_world.new()
    local op = world.routes.list[index]
    for _ = 1, 40 do
      world.session = nil
      clock.time = clock.time + 1000 -- the waits of the throttle are over
      local path = op.path:gsub("{[^}]+}", function()
        return escape(tostring(ODD[chance(#ODD)]))
      end)
      local body = op.body and random_of(op.body, 0) or nil
      local got = world:request { path = path .. random_query(op), method = op.method,
        as = "session", body = body ~= nil and json.encode(body) or nil,
        headers = body ~= nil and { ["content-type"] = "application/json" } or nil }
      local what = ("%s %s %s"):format(op.method, path, body ~= nil and json.encode(body) or "")
      test.equal(world.raised, nil, what)
      -- A name that is empty, or has a / in it, is another path.
      local methods = world.routes:find(path)
      local is_other = got.status == 404 or got.status == 405
        or (methods and methods[op.method] ~= op)
        or (path:find("/$") and not op.path:find("/$"))
      if not is_other then test.equal(world:fault_of(op, got), nil, what) end
    end
  end
end)
