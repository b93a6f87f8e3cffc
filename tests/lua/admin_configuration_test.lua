-- The whole stored configuration: out, in again, and what an import refuses.
local admin_world = require "admin.test.world"
local host = require "neap.host"
local json = require "neap.json"
local test = require "neap.tap"

local PATH = "/api/v1/configuration/"
local WRITTEN = [[
provider "filed" { dialect = "openai", url = "https://filed.test/v1", keys = { "sk-of-the-file" } }
group "filed" { targets = { { "filed", "m" } } }
]]
local GREET = [[
local policy = require "neap.policy"
local greet = policy.define { summary = "Greets." }
function greet:run(request) return request:reply { text = "hello" } end
return greet
]]
local SECRETS = { "sk-first-secret-of-far", "topsecret", "me:pass" }

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

-- Sealing that shows nothing, under a master key that tests can change.
local master = "k1"
local function hex(text)
  return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

function host.seal(record, field, secret)
  return hex(("%s|%s|%s|%s"):format(master, record, field, secret))
end

function host.unseal(record, field, sealed)
  local text = sealed:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
  local front = ("%s|%s|%s|"):format(master, record, field)
  if text:sub(1, #front) ~= front then return nil, "no master key opens it" end
  return text:sub(#front + 1)
end

local function call(world, method, path, body, as)
  return world:request { path = "/api/v1/" .. path, method = method, body = body,
    as = as or "session" }
end

local function add(world, path, body, method)
  local got = call(world, method or "POST", path, body)
  test.equal(got.status < 300, true, got.answer)
  return got.json
end

--- A world in which there is one of each kind; and the secret of its token.
local function furnished()
  master = "k1"
  local world = admin_world.new { config = WRITTEN }
  add(world, "providers", { name = "far", dialect = "openai", url = "https://far.test/v1",
    headers = { ["x-own"] = "topsecret" }, proxy = json.array { "http://me:pass@proxy.test:1",
      "http://plain.test:2" }, models = { m = { input = 1.5 } }, note = "a note" })
  add(world, "providers/far/keys", { secret = SECRETS[1], label = "mine" })
  add(world, "policies/greet", { text = GREET, note = "first" }, "PUT")
  add(world, "groups", { name = "g", targets = json.array { { provider = "far", model = "m" } },
    policies = json.array { "greet" } })
  add(world, "keywords", { text = "overloaded" })
  add(world, "settings", { time_zone = "Asia/Shanghai" }, "PATCH")
  local secret = add(world, "tokens", { name = "t", groups = json.array { "g" } }).secret
  return world, secret
end

local function export(world)
  local got = world:request { path = PATH .. "export", as = "write" }
  test.equal(got.status, 200, got.answer)
  return got.json, got.answer, got.headers.etag
end

local function import(world, document, query, as, headers)
  return world:request { path = PATH .. "import" .. (query or ""), method = "POST",
    as = as or "session", body = document, headers = headers }
end

local function wipe(world)
  world.store.config, world.store.keys = {}, {}
  test.equal(call(world, "POST", "generations").status, 200)
end

--- The store as one text, to see that nothing has changed in it.
local function stored_text(world) return json.encode { world.store.config, world.store.keys } end

--- { "add group/g", … } without what stays.
local function actions(got)
  local list = {}
  for _, item in ipairs(got.json.items) do
    if item.action ~= "keep" then list[#list + 1] = item.action .. " " .. item.record end
  end
  return list
end

-- ------------------------------------------------------------------------------------

test("an export has every kind, sorted, and no secret in clear", function()
  local world, token_secret = furnished()
  local document, text = export(world)
  local names = {}
  for name in text:gmatch('"(%l+/[^"]*)":{') do names[#names + 1] = name:match("^%l+") end
  test.equal(names, { "group", "key", "keyword", "policy", "provider", "setting", "token" })
  test.equal(document.records["provider/filed"], nil, "router.lua's own is no part of it")
  local digest = json.decode(world.store.config["token/t"]).digest
  for _, secret in ipairs { SECRETS[1], SECRETS[2], SECRETS[3], token_secret, digest } do
    test.equal(text:find(secret, 1, true), nil, secret)
  end
  local provider = document.records["provider/far"]
  test.equal(provider.headers["x-own"], "(hidden)")
  test.equal(provider.proxy, { "(hidden)", "http://plain.test:2" })
  test.equal(select(2, export(world)), text, "the same twice")
end)

test("export, wipe and import give the same export, and all of it is in force", function()
  local world = furnished()
  local document, text = export(world)
  wipe(world)
  test.equal(export(world).records, {})
  local got = import(world, document, "?mode=replace")
  test.equal(got.status, 200, got.answer)
  test.equal(got.json.counts, { add = 7 })
  test.equal(got.json.is_applied, true)
  test.equal(select(2, export(world)), text)
  local stored = json.decode(world.store.config["provider/far"])
  local function opened(field)
    return host.unseal("config/provider/far", field, stored.sealed[field])
  end
  test.equal({ stored.headers["x-own"], stored.proxy[1] }, { "(hidden)", "(hidden)" })
  test.equal({ opened "headers/x-own", opened "proxy/1" },
    { "topsecret", "http://me:pass@proxy.test:1" })
  local provider = call(world, "GET", "providers/far").json
  test.equal({ provider.key_count, provider.problems }, { 1, {} })
  test.equal(call(world, "GET", "tokens/t").json.problems, {})
  test.equal(call(world, "GET", "policies/greet").json.version, 2, "versions go on")
  test.equal(call(world, "GET", "policies/greet/versions/2").json.text, GREET)
  got = import(world, document, "?mode=replace")
  test.equal(got.json.counts, { keep = 7 }, "a second time nothing is written")
end)

test("a dry run tells what would be added, changed and removed, and does nothing", function()
  local world = furnished()
  local document = export(world)
  document.records["group/g"].strict = true
  document.records["group/new"] = { targets = json.array { { provider = "filed", model = "m" } } }
  document.records["token/t"] = nil
  local before = stored_text(world)
  local got = import(world, document, "?mode=replace&dry_run=true")
  test.equal(actions(got), { "change group/g", "add group/new", "remove token/t" })
  test.equal(got.json.items[1].why, "it differs in strict")
  test.equal(got.json.is_applied, false)
  test.equal(got.json.problems, {})
  test.equal(stored_text(world), before)
  test.equal(actions(import(world, document)), { "change group/g", "add group/new" },
    "a merge removes nothing")
  test.equal(call(world, "GET", "tokens/t").status, 200)
  test.equal(actions(import(world, document, "?mode=replace")), { "remove token/t" })
  test.equal(call(world, "GET", "tokens/t").status, 404)
  test.equal(call(world, "GET", "providers/filed").json.origin, "router.lua")
end)

test("what is wrong as a whole is refused as a whole, with the reasons", function()
  local world = furnished()
  local document = export(world)
  document.records["provider/far"] = nil
  document.records["group/aside"] = { targets = json.array { { provider = "filed", model = "m" } } }
  local before = stored_text(world)
  local dry = import(world, document, "?mode=replace&dry_run=true").json.problems
  test.match(table.concat(dry, "\n"), 'key/far/.*there is no provider "far"')
  test.match(table.concat(dry, "\n"), 'group/g: .*no provider "far"')
  local got = import(world, document, "?mode=replace")
  test.equal(code(got), "422 invalid_configuration")
  test.equal(got.json.error.details, dry)
  test.equal(stored_text(world), before)
end)

test("records that are none are refused with their place", function()
  local world = furnished()
  local function refusal(id, fields)
    local got = import(world, { format = "neap.configuration", version = 1,
      records = { [id] = fields } })
    test.equal(code(got), "422 invalid", id)
    return got.json.error.field
  end
  local url = { dialect = "openai", url = "https://a.test/v1" }
  test.equal(refusal("account/admin", { name = "x" }), "/records/account~1admin")
  test.equal(refusal("provider/a/b", url), "/records/provider~1a~1b")
  test.equal(refusal("key/far", { sealed = { secret = "x" } }), "/records/key~1far")
  test.equal(refusal("key/far/1", { sealed = json.object {} }),
    "/records/key~1far~11/sealed/secret")
  test.equal(refusal("token/a", { digest = ("0"):rep(64), sealed = { digest = "x" } }),
    "/records/token~1a/digest")
  test.equal(refusal("group/a", { tragets = json.array {} }), "/records/group~1a/tragets")
  for _, moment in ipairs { -1, 253402300800, 1e300 } do
    test.equal(refusal("provider/a", { dialect = "openai", url = url.url, created = moment }),
      "/records/provider~1a/created")
  end
  url.headers = { ["x-a"] = "(hidden)" }
  test.equal(refusal("provider/a", url), "/records/provider~1a/headers/x-a")
  test.equal(import(world, { format = "neap.configuration", version = 2,
    records = json.object {} }).json.error.field, "/version")
end)

test("what another master key sealed is named, and left out where that is asked for", function()
  local world = furnished()
  local document = export(world)
  wipe(world)
  master = "k2"
  local dry = import(world, document, "?dry_run=true").json
  test.equal(dry.counts, { add = 4, unopened = 3 })
  local got = import(world, document)
  test.equal(code(got), "422 sealed_elsewhere")
  local text = table.concat(got.json.error.details, "\n")
  for _, name in ipairs { "key/far/", "provider/far: ", "token/t: " } do
    test.equal(text:find(name, 1, true) ~= nil, true, name)
  end
  test.match(text, "no master key opens it")
  test.equal(stored_text(world), "[{},{}]")
  -- The group stands on the provider that is left out.
  test.equal(code(import(world, document, "?skip_unopened=true")), "422 invalid_configuration")
  document.records["group/g"] = nil
  got = import(world, document, "?skip_unopened=true")
  test.equal(got.json.counts, { add = 3, unopened = 3 }, got.answer)
  test.equal(import(world, document, "?mode=replace&skip_unopened=true").json.counts,
    { keep = 3, unopened = 3 })
  master = "k1"
end)

test("a stored key that cannot be opened any more is not lost to a round trip", function()
  local world = furnished()
  master = "k2"
  local document = export(world)
  test.equal(import(world, document, "?mode=replace").json.counts, { keep = 7 })
  master = "k1"
end)

test("a sealed secret opens in its own record only", function()
  local world = furnished()
  local document = export(world)
  document.records["token/other"] = document.records["token/t"]
  test.equal(code(import(world, document)), "422 sealed_elsewhere")
end)

test("keys, and the right to see them, take the scope keys", function()
  local world = furnished()
  local document = export(world)
  test.equal(import(world, document, nil, "write").status, 200, "nothing of it is new")
  wipe(world)
  test.equal(code(import(world, document, nil, "write")), "403 forbidden")
  test.equal(import(world, document, nil, "write keys").status, 200)
  document.records["token/t"].rights = json.array { "keys" }
  test.equal(code(import(world, document, nil, "write")), "403 forbidden")
end)

test("an import is for the export that it names, and of two at once one is refused", function()
  local world = furnished()
  local document, _, tag = export(world)
  add(world, "groups/g", { note = "by somebody else" }, "PATCH")
  test.equal(code(import(world, document, "?mode=replace", nil, { ["if-match"] = tag })),
    "412 changed")
  local write = host.store_write
  host.store_write = function(ops)
    host.store_write = write
    world.store.config["group/g"] = '{"version":9}'
    return write(ops)
  end
  test.equal(code(import(world, document, "?mode=replace")), "412 changed")
  test.equal(world.store.config["group/g"], '{"version":9}')
end)

test("an import is in the audit log by names, without secrets", function()
  local world = furnished()
  local document = export(world)
  document.records["group/g"].strict = true
  import(world, document)
  local got = call(world, "GET", "audit?action=import")
  local item = got.json.items[1]
  test.equal(item.object, "configuration")
  test.equal(item.after.records, { "change group/g" })
  test.equal(item.after.mode, "merge")
  for _, secret in ipairs(SECRETS) do
    test.equal(call(world, "GET", "audit").answer:find(secret, 1, true), nil, secret)
  end
end)
