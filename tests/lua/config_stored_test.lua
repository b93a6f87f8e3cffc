-- What is stored stands behind router.lua: it is checked by the same rules, never wins, never keeps
-- neap from starting, and never opens it.
local config = require "neap.config"
local config_stored = require "neap.config_stored"
local json = require "neap.json"
local test = require "neap.tap"

local DIGEST = ("0a"):rep(32)
local BASE = [[
provider "own" { dialect = "openai", url = "https://own.test",
  keys = { { secret = "sk-own", id = "k1" } } }
group "pool" { targets = { { "own", "m" } } }
]]

local function rows_of(records)
  local names, rows = {}, {}
  for name in pairs(records) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local record = records[name]
    rows[#rows + 1] = name
    rows[#rows + 1] = type(record) == "string" and record or json.encode(json.object(record))
  end
  return rows
end

--- Sealed here is "record|field|secret".
local function unseal(record, field, sealed)
  local of, name, secret = sealed:match("^(.-)|(.-)|(.*)$")
  if of == record and name == field then return secret end
  return nil, "it was sealed for another place"
end

local function sealed(row, secret)
  return { sealed = { secret = "keys/" .. row .. "|secret|" .. secret } }
end

local function load(records, keys, text)
  local configuration, errors = config.load { path = "router.lua", text = text or BASE,
    getenv = function() end, read = function() end }
  test.ok(configuration, errors and table.concat(config.format(errors), "\n"))
  config_stored.merge(configuration, { config = rows_of(records), keys = rows_of(keys or {}),
    unseal = unseal }, { path = "stored" })
  return configuration
end

local function find(list, name)
  for _, one in ipairs(list) do
    if one.name == name then return one end
  end
end

local function provider(fields)
  local made = { version = 1, dialect = "openai", url = "https://api.test/v1" }
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

--- One record that is left out, with an error that holds the pattern.
local function refuses(record, value, pattern, keys)
  local configuration = load({ [record] = value }, keys)
  local errors = configuration.stored.errors
  test.equal(#errors, 1, record)
  test.equal(errors[1].record, record)
  test.match(errors[1].text, pattern)
  return configuration
end

test("a provider, its keys, a group and a token, as router.lua would have them", function()
  local configuration = load({
    ["provider/a"] = provider { models = { m = { input = 1, output = 2 } },
      timeouts = { idle = 7 }, headers = { ["x-y"] = "z" }, note = "mine", created = 5 },
    ["group/fast"] = { version = 3, targets = { { provider = "a", model = "m", priority = 2 },
      { provider = "own", model = "m" } },
      policies = { "priority_failover", { name = "keyword_retry", settings = { window = 9 } } } },
    ["token/t"] = { version = 1, digest = DIGEST, groups = { "fast", "pool" }, last4 = "abcd",
      expires = "2030-01-01", rights = { "trace" } },
  }, { ["a/k1"] = sealed("a/k1", "sk-1"),
    ["a/k2"] = { sealed = { secret = "keys/a/k2|secret|sk-2" }, balance = 3, label = "two" } })
  test.equal(configuration.stored, { shadowed = {}, errors = {} })
  local a = find(configuration.providers, "a")
  test.equal({ a.is_on, a.is_stored, a.timeouts.idle, a.timeouts.connect }, { true, true, 7, 5 })
  test.equal({ a.keys[1].id, a.keys[1].secret, a.keys[2].id, a.keys[2].balance },
    { "k1", "sk-1", "k2", 3 })
  local fast = find(configuration.groups, "fast")
  test.equal({ fast.targets[1].provider, fast.targets[1].priority, fast.limits.attempts },
    { "a", 2, 6 })
  test.equal({ fast.policies[2].name, fast.policies[2].settings.window }, { "keyword_retry", 9 })
  local token = find(configuration.tokens, "t")
  test.equal({ token.digest, token.secret, token.rights.trace, token.rights.keys },
    { DIGEST, nil, true, false })
  test.equal(token.expires, 1893456000)
end)

test("router.lua wins: a stored record of the same name is shadowed, with its keys", function()
  local configuration = load({
    ["provider/own"] = provider { url = "https://other.test" },
    ["group/pool"] = { targets = { { provider = "own", model = "x" } } },
    ["token/t"] = { digest = DIGEST },
  }, { ["own/k9"] = sealed("own/k9", "sk-9") },
    BASE .. "token \"t\" { secret = \"0123456789abcdef\" }")
  test.equal(configuration.stored.shadowed,
    { "group/pool", "own/k9", "provider/own", "token/t" })
  test.equal(find(configuration.providers, "own").url, "https://own.test")
  test.equal(#find(configuration.providers, "own").keys, 1)
  test.equal(find(configuration.groups, "pool").targets[1].model, "m")
end)

test("keys may be stored for a provider of router.lua, behind its own", function()
  local configuration = load({}, { ["own/k1"] = sealed("own/k1", "sk-x"),
    ["own/k2"] = sealed("own/k2", "sk-2"), ["own/k3"] = sealed("own/k3", "sk-own"),
    ["own/k4"] = sealed("own/k4", "sk-2") })
  local own = find(configuration.providers, "own")
  test.equal({ own.keys[1].secret, own.keys[2].secret, #own.keys }, { "sk-own", "sk-2", 2 })
  test.equal(configuration.stored.shadowed, { "own/k1", "own/k3" })
  test.equal(configuration.stored.errors,
    { { record = "own/k4", text = "it is the same key as k2" } })
end)

test("a provider of router.lua that has no key is on with a stored one", function()
  local text = "provider \"bare\" { dialect = \"openai\", url = \"https://bare.test\" }"
  test.equal(load({}, {}, text).providers[1].is_on, false)
  test.equal(load({}, { ["bare/k"] = sealed("bare/k", "s") }, text).providers[1].is_on, true)
end)

test("what is wrong is left out with its place, and the rest is there", function()
  refuses("provider/a", "{", "no JSON object")
  refuses("provider/a", "[]", "no JSON object")
  refuses("provider/a", provider { dialect = "none" }, "provider \"a\": dialect must be one of")
  refuses("provider/a", provider { urll = "x" }, "no field urll")
  refuses("provider/a", provider { keys = { "sk" } }, "records of their own")
  refuses("provider/a b", provider {}, "letters, digits")
  refuses("provider/state", provider {}, "no provider is called")
  refuses("group/g", { targets = { { provider = "none", model = "m" } } }, "no provider \"none\"")
  refuses("group/g", {}, "has no targets")
  refuses("group/g", { targets = "all" }, "must be a list")
  refuses("token/t", { groups = { "none" }, digest = DIGEST }, "no group \"none\"")
  refuses("token/t", { digest = "short" }, "64 hexadecimal digits")
  refuses("token/t", {}, "64 hexadecimal digits")
  refuses("token/t", { secret = "0123456789abcdef", digest = DIGEST }, "no field secret")
  refuses("setting/failure_threshold", { value = 0 }, "must be .*from 1 to 1000")
  refuses("setting/failure_threshold", {}, "has no value")
  refuses("setting/nothing", { value = 1 }, "no such setting")
  refuses("keyword/1", { text = "" }, "must be a text of one line")
  refuses("keyword/1", {}, "must be a text of one line")
end)

test("a group goes with its provider, and nothing else does", function()
  local configuration = load { ["provider/bad"] = provider { url = "ftp://x" },
    ["group/uses-bad"] = { targets = { { provider = "bad", model = "m" } } },
    ["group/sound"] = { targets = { { provider = "own", model = "m" } } } }
  test.equal(#configuration.stored.errors, 2)
  test.equal(find(configuration.groups, "uses-bad"), nil)
  test.ok(find(configuration.groups, "sound"))
end)

test("a key that cannot be opened is left out, and its provider stays", function()
  local configuration = load({ ["provider/a"] = provider {} }, {
    ["a/k1"] = { sealed = { secret = "keys/b/k1|secret|sk" } }, ["a/k2"] = sealed("a/k2", "sk-2"),
    ["a/k3"] = {}, ["a/k4"] = sealed("a/k4", "sk\n4"), ["a/k5"] = "{",
    ["gone/k"] = sealed("gone/k", "x"),
  })
  test.equal(#find(configuration.providers, "a").keys, 1)
  local found = {}
  for index, problem in ipairs(configuration.stored.errors) do found[index] = problem.record end
  test.equal(found, { "a/k1", "a/k3", "a/k4", "a/k5", "gone/k" })
  test.match(configuration.stored.errors[1].text, "another place")
  test.match(configuration.stored.errors[5].text, "no provider \"gone\"")
end)

test("no error shows a secret", function()
  local configuration = load({ ["provider/a"] = provider {} },
    { ["a/k1"] = sealed("a/k1", "sk-hidden\n") })
  test.equal(configuration.stored.errors[1].text:find("hidden", 1, true), nil)
end)

test("what is off is left out without an error", function()
  local configuration = load({ ["provider/a"] = provider { off = true },
    ["token/t"] = { off = true, digest = DIGEST }, ["keyword/1"] = { text = "x", off = true },
    ["provider/b"] = provider {} }, { ["b/k"] = { off = true } })
  test.equal(configuration.stored.errors, {})
  test.equal(find(configuration.providers, "a"), nil)
  test.equal(#find(configuration.providers, "b").keys, 0)
  test.equal(configuration.of_policies.keywords, {})
end)

test("a stored token closes neap, also one that is wrong or off", function()
  test.equal(load({}).needs_token, false)
  test.equal(load({ ["token/t"] = { digest = DIGEST } }).needs_token, true)
  test.equal(load({ ["token/t"] = "{}" }).needs_token, true)
  test.equal(load({ ["token/t"] = { digest = DIGEST, off = true } }).needs_token, true)
end)

test("a torn token closes neap, too", function()
  test.equal(load({ ["token/t"] = "{" }).needs_token, true)
end)

test("private and loopback addresses take private_upstreams", function()
  for _, host in ipairs { "127.0.0.1:1", "localhost", "10.1.2.3", "192.168.0.1", "172.16.0.1",
    "172.31.0.1", "100.64.0.1", "[::1]:80", "[fd00::1]", "0.0.0.0", "[::ffff:10.0.0.1]" } do
    refuses("provider/a", provider { url = "http://" .. host .. "/v1" }, "private_upstreams")
  end
  for _, host in ipairs { "172.15.0.1", "100.63.0.1", "11.1.1.1", "api.test" } do
    local configuration = load { ["provider/a"] = provider { url = "http://" .. host } }
    -- The name may still lead there: the transfer refuses it.
    test.equal(find(configuration.providers, "a").options.private, false, host)
  end
  local configuration = load({ ["provider/a"] = provider { url = "http://127.0.0.1:1" } }, {},
    "private_upstreams = true\n" .. BASE)
  test.equal(find(configuration.providers, "a").options.private, nil)
  refuses("provider/a", provider { url = "http://169.254.169.254" }, "link%-local")
end)

test("settings and keywords have their defaults until others are stored", function()
  local configuration = load {}
  test.equal({ configuration.settings.failure_threshold, configuration.of_policies.failure_window,
    configuration.of_policies.keywords }, { 2, 300, {} })
  configuration = load { ["setting/failure_threshold"] = { version = 2, value = 5 },
    ["setting/failure_window"] = { value = 60 }, ["keyword/1"] = { text = "quota" },
    ["keyword/2"] = { text = "busy", note = "seen on Monday" } }
  test.equal(configuration.stored.errors, {})
  test.equal({ configuration.settings.failure_threshold, configuration.of_policies.failure_window,
    configuration.of_policies.keywords }, { 5, 60, { "quota", "busy" } })
end)

test("null is as good as absent", function()
  local configuration = load { ["provider/a"] = [[{"dialect":"openai","url":"https://a.test",
    "proxy":null,"timeouts":{"idle":null}}]] }
  test.equal(configuration.stored.errors, {})
  test.equal(find(configuration.providers, "a").timeouts.idle, 120)
end)

test("where nothing is stored there is nothing to say", function()
  local configuration = config.load { path = "router.lua", text = BASE, getenv = function() end,
    read = function() end }
  config_stored.merge(configuration, nil, { path = "stored" })
  test.equal({ configuration.stored, configuration.needs_token },
    { { shadowed = {}, errors = {} }, false })
end)

return test.finish()
