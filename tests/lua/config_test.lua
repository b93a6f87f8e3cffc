local config = require "neap.config"
local test = require "neap.tap"

local ENV = {
  KEY = "sk-from-env", EMPTY = "", SECRET = "from-the-environment-1", HOST = "localhost:11434",
  ANY = " 0.0.0.0:11434\r", PORT = ":11434", ANY6 = "https://[::]:1/v1", LIKE = "0.0.0.0.example",
  NO_HOST = "http://",
}
local FILES = { ["/etc/neap/key.txt"] = "sk-from-file\r\n", ["/c.pem"] = "x", ["/k.pem"] = "x" }

local function load(text, options)
  options = options or {}
  return config.load {
    text = text, path = options.path or "/etc/neap/router.lua", dialects = options.dialects,
    getenv = function(name) return ENV[name] end,
    read = function(path)
      if FILES[path] then return FILES[path] end
      return nil, "No such file or directory"
    end,
  }
end

local function good(text, options)
  local configuration, errors = load(text, options)
  test.ok(configuration, errors and table.concat(config.format(errors), "\n"))
  return configuration
end

--- The lines of errors, each of which must hold its pattern: { [line] = pattern }. total: how many
--- there are, where a line has several.
local function refuses(text, wanted, total)
  local configuration, errors = load(text)
  test.equal(configuration, nil, text)
  local lines = config.format(errors)
  local all, count = table.concat(lines, "\n"), 0
  for line, pattern in pairs(wanted) do
    local is_there = false
    for _, got in ipairs(lines) do
      is_there = is_there
        or got:find("^/etc/neap/router%.lua:" .. line .. ": ") and got:find(pattern) ~= nil
    end
    test.ok(is_there, ("line %d, %s, in\n%s"):format(line, pattern, all))
    count = count + 1
  end
  test.equal(#lines, total or count, all)
end

local function provider(fields)
  return ("provider \"a\" { dialect = \"openai\", url = \"http://h/v1\", %s }"):format(fields or "")
end

local POOL = provider() .. " group \"g\" { targets = { { \"a\", \"m\" } }, %s }"

test("nothing at all: the defaults", function()
  local got = good("")
  test.equal(got, {
    path = "/etc/neap/router.lua", folder = "/etc/neap", listen = "127.0.0.1:8080",
    listen_line = 1, storage = "/etc/neap/data", policies = "/etc/neap/policies",
    drain_timeout = 30, watch = false, journal = true, spool = 20 * 2 ^ 30,
    private_upstreams = false, guess_conversations = true, providers = {}, groups = {}, tokens = {},
  })
end)

test("relative paths are relative to the folder of router.lua", function()
  test.equal(good("storage = \"a/b\"").storage, "/etc/neap/a/b")
  test.equal(good("storage = \"/var/x\"").storage, "/var/x")
  test.equal(good("", { path = "router.lua" }).storage, "./data")
  test.equal(good("", { path = "/router.lua" }).storage, "/data")
end)

test("the top words", function()
  local got = good [[
    listen = "[::1]:8080" admin = { listen = ":8081" } workers = 2 drain_timeout = 0.5
    watch = true cors = "https://app.example" spool = "1.5M" private_upstreams = true
    log = "debug" tls = { certificate = "/c.pem", key = "/k.pem" } ]]
  test.equal(got.admin, { listen = ":8081" })
  test.equal({ got.workers, got.drain_timeout, got.spool }, { 2, 0.5, 1572864 })
  test.equal(got.cors, { "https://app.example" })
  test.equal(got.log, { level = "debug" })
  test.equal(got.tls, { certificate = "/c.pem", key = "/k.pem" })
  test.equal(good("journal = false").journal, false)
  test.equal(good("cors = false").cors, nil)
  test.equal(good("cors = { \"*\" }").cors, { "*" })
  test.equal(good([[cors = { "HTTPS://b.example:443", "http://[::1]:80", "http://c:443" }]]).cors,
    { "https://b.example", "http://[::1]", "http://c:443" })
  test.equal(good("spool = 5").spool, 5)
end)

test("top words that are wrong", function()
  refuses("listen = 7", { [1] = "listen must be an address" })
  refuses("listen = \"localhost\"", { [1] = "address" })
  refuses("listen = \"h:70000\"", { [1] = "address" })
  refuses("workers = 1.5\nwatch = 1\nspool = \"20 apples\"",
    { [1] = "workers", [2] = "watch must be true or false, not 1", [3] = "spool.*20G" })
  refuses("cors = { \"app.example\" }", { [1] = "cors.*origin" })
  refuses("cors = \"https://*.example\"", { [1] = "cors must be an origin" })
  refuses("storage = \"\"", { [1] = "storage must be a text of one line, not empty" })
  refuses("drain_timeout = 604801", { [1] = "drain_timeout .* from 0 to 604800 .*, not 604801" })
  local limits = "group \"g\" { policies = {}, limits = { tokens_per_day = %s } }"
  refuses(limits:format "1.5", { [1] = "tokens_per_day must be a whole number from 1 on, not 1.5" })
  good(limits:format "5000000000")
  refuses("log = { level = \"loud\" }", { [1] = "log.level must be one of \"debug\"" })
  refuses("tls = { certificate = \"no.pem\",\n  key = \"/k.pem\" }", { [1] = "no.pem: No such" })
  refuses("tls = { key = \"/k.pem\" }", { [1] = "no certificate" })
  refuses("admin = { listen = \"127.0.0.1:8080\" }", { [1] = "same address" })
end)

test("what is needed and comes from a variable that is not set is missing", function()
  refuses("tls = { certificate = \"/c.pem\", key = env \"UNSET\" }",
    { [1] = "tls has no key: the variable UNSET is not set" })
  refuses("admin = { listen = env \"EMPTY\" }",
    { [1] = "admin has no listen: the variable EMPTY is not set" })
  refuses("provider \"a\" {\n  dialect = env \"UNSET\", url = \"http://h\" }",
    { [2] = "no dialect: the variable UNSET is not set" })
  refuses(provider() .. "group \"g\" { targets = {\n{ \"a\",\nenv \"UNSET\" } } }",
    { [3] = "targets%[1%] has no model: the variable UNSET is not set" })
  local off = good("provider \"a\" { dialect = \"openai\", url = env \"UNSET\", keyless = true }")
  test.equal(off.providers[1].is_on, false)
end)

test("unknown words: each once, and the rest is checked", function()
  refuses("nonsense = true\ngruop \"x\" {}\ngruop \"y\" {}\nworkers = 0",
    { [1] = "nonsense", [2] = "did you mean group", [4] = "workers" })
  refuses("listne = 1", { [1] = "listne: did you mean listen%?" })
  refuses("provider = 1", { [1] = "not set with =" })
end)

test("a file with nothing in it is one of defaults", function()
  for _, text in ipairs { "", "\n", " \r\n\t\n", "\239\187\191\n", "-- nothing\n\n" } do
    test.equal(good(text).listen, "127.0.0.1:8080")
  end
end)

test("Lua errors: syntax, running, compiled code", function()
  refuses("listen = \":1\"\ngroup {{{\n", { [2] = "end of the file" })
  refuses("workers = 0\nlocal x = nil\nx.y = 1", { [1] = "workers", [3] = "x" })
  refuses("\27LJ", { [1] = "compiled" })
  refuses("error(\"mine\")", { [1] = "mine" })
end)

test("nothing of the machine is there", function()
  for _, name in ipairs { "os", "io", "load", "loadstring", "debug", "require", "getfenv", "_G" } do
    refuses(name .. ".x = 1", { [1] = "unknown word " .. name })
  end
  good("local t = {} for i, v in ipairs { 1 } do t[i] = math.max(v, 2) end table.sort(t)")
end)

test("what a file failed before saying is not missed", function()
  refuses(POOL:format("") .. "\ntoken \"t\" { secret = \"0123456789abcdef\", groups = { \"x\" } }\n"
    .. "error(\"stop\")", { [3] = "stop" })
end)

test("prices: of tokens, calls, images, seconds, and tiers", function()
  local got = good(provider [[models = { m = { input = 1, cached = 0.1, cache_write = 1.25,
    cache_write_1h = 2, output = 8, reasoning = 4, audio_input = 10, audio_output = 20,
    call = 0.01, image = 0.04, second = 0.0001,
    tiers = { { above = 200000, input = 2, output = 12 }, { above = 1000000 } } } }]])
  local prices = got.providers[1].models.m
  test.equal({ prices.cache_write_1h, prices.second }, { 2, 0.0001 })
  test.equal(prices.tiers, { { above = 200000, input = 2, output = 12 }, { above = 1000000 } })
end)

test("prices that are none are told with their line", function()
  refuses([[provider "a" { dialect = "openai", url = "http://h/v1", models = { m = {
    input = -1,
    output = 100001,
    call = "a cent",
    image = 10001,
    second = 101,
    request = 1,
    tiers = {
      { above = 0.5 },
      { above = 9, audio = 1 } } } } }]],
    { [2] = "input must be a number from 0 to 100000, not %-1",
      [3] = "output must be a number from 0 to 100000",
      [4] = "call must be a number from 0 to 10000",
      [5] = "image must be a number from 0 to 10000", [6] = "second must be a number from 0 to 100",
      [7] = "has no field request", [9] = "above must be tokens: a whole number from 1 on",
      [10] = "has no field audio: known are above, audio_input" })
  local tiers = provider "models = { m = { tiers = { %s } } }"
  refuses(tiers:format "{ input = 2 }", { [1] = "tiers%[1%] has no above" })
  refuses(tiers:format "{ above = 5 }, { above = 5 }", { [1] = "two tiers are above 5" })
end)

test("an error is told with its own line, whatever stands around it", function()
  refuses([==[
admin = {
  listen = "127.0.0.1:8081", -- listen = "x"
}
cors = {
  "https://a.example",
  5,
}
provider "a" {
  dialect = "openai", url = "http://h/v1",
  keys = {
    { secret = "sk-a", id = "a" },
    "",
    { secret = "sk-b", id = 5 },
  },
  models = { ["m"] = { tiers = {
    { above = 5 },
    { above = 0 },
  } } },
  headers = {
    ["X-A"] = "a, }", ['X-B'] = "]]", --[[ headers = { ]]
    ["X Y"] = "a",
  },
}
local own = { "a", "m" }
group("g")({
  targets = {
    { "a", "m", weight = 1 },
    own,
    { "a", "m", weight = (function() if own then return -1, 2 end end)() },
    { "a", "m", priority = -1, weight = 1 },
    {
      "a", "m",
      weight = -1,
    },
  },
})
listen = 5; group "h" { targets = {}, limits = {
  attempts = 0,
} }]==], { [6] = "cors%[2%]", [12] = "keys%[2%].secret is empty", [13] = "keys%[3%].id must be",
    [17] = "tiers%[2%].above", [21] = "headers has a name", [29] = "targets%[3%].weight",
    [30] = "targets%[4%].priority", [33] = "targets%[5%].weight", [37] = "listen must be",
    [38] = "limits.attempts" })
end)

test("a table that comes from elsewhere: the line of the word, or of a like name", function()
  refuses([[
local fields = {
  dialect = "openai", url = "http://h/v1",
  tmieouts = {},
}
provider "a" (fields)
for index = 1, 2 do
  group("g" .. index) { targets = { { "a", "m",
    wieght = 1 } } }
end]], { [5] = "has no field tmieouts", [8] = "has no field wieght" }, 3)
end)

test("a long file is read like others", function()
  local many = {}
  for index = 1, 3000 do
    many[index] = ("provider \"p%d\" {\n  dialect = \"openai\", url = \"http://h/v1\",\n  "
      .. "keys = { \"sk-%d\" }, -- %s\n}\n"):format(index, index, ("x"):rep(40))
  end
  many[#many + 1] = "  \n\n"
  test.equal(#good(table.concat(many)).providers, 3000)
end)

test("a provider with everything", function()
  local got = good [[provider "a" {
    dialect = "openai", url = "https://h/v1",
    keys = { "sk-plain", env "KEY", { secret = "sk-x", id = "b", balance = 10 }, env "UNSET",
      file "key.txt" },
    models = { ["gpt-4o"] = { input = 2.5, cached = 1.25, output = 10 }, "bare" },
    timeouts = { connect = 0.5 }, proxy = "socks5://u:p@127.0.0.1:1080",
    headers = { ["X-Own"] = "1", ["X-Unset"] = env "UNSET" }, forward = { "X-Custom" },
    options = { stream_options = false, private = false },
    balance = { path = "/v1/user/info", member = "data.totalBalance" } }]]
  local a = got.providers[1]
  test.equal(a.keys, {
    { id = "a-1", secret = "sk-plain" }, { id = "KEY", secret = "sk-from-env" },
    { id = "b", secret = "sk-x", balance = 10 }, { id = "a-5", secret = "sk-from-file" },
  })
  test.equal(a.is_on, true)
  test.equal(a.models["bare"], {})
  test.equal(a.models["gpt-4o"].cached, 1.25)
  test.equal(a.timeouts,
    { connect = 0.5, first_byte = 60, first_event = 120, idle = 120, total = 600 })
  test.equal(a.timeouts_given, { connect = 0.5 })
  test.equal(a.proxy, { "socks5://u:p@127.0.0.1:1080" })
  test.equal(a.headers, { ["X-Own"] = "1" })
  test.equal(a.forward, { "x-custom" })
  test.equal(a.options, { stream_options = false, private = false })
  test.equal(a.balance.every, 3600)
end)

test("which providers are on", function()
  local function is_on(fields)
    return good("provider \"a\" { dialect = \"openai\", " .. fields .. " }").providers[1].is_on
  end
  test.ok(not is_on "url = \"http://h\"")
  test.ok(not is_on "url = \"http://h\", keys = { env \"UNSET\", env \"EMPTY\" }")
  test.ok(is_on "url = \"http://h\", keys = { env \"KEY\" }")
  test.ok(is_on "url = \"http://h\", keyless = true")
  test.ok(not is_on "url = env \"UNSET\", keyless = true")
end)

test("a url of the environment may lack its scheme; one of the file may not", function()
  local from_env = "provider \"a\" { dialect = \"openai\", url = env \"%s\", keyless = true }"
  for name, url in pairs { ANY = "http://127.0.0.1:11434", PORT = "http://127.0.0.1:11434",
    ANY6 = "https://[::1]:1/v1", LIKE = "http://0.0.0.0.example" } do
    test.equal(good(from_env:format(name)).providers[1].url, url)
  end
  refuses(from_env:format "NO_HOST", { [1] = "url must be an http or https URL" })
  local got = good(from_env:format "HOST")
  test.equal(got.providers[1].url, "http://localhost:11434")
  refuses("provider \"a\" { dialect = \"openai\", url = \"localhost:11434\" }", { [1] = "a.*url" })
end)

test("urls that are refused, and never shown", function()
  for _, url in ipairs { "ftp://h/v1", "example.com", "http://", "file:///etc/passwd", "http://h:x",
    "http://169.254.169.254/x", "http://[fe80::1]/v1", "http://u:pass@h/v1", "http://h /v1",
    "http://h:0", "http://metadata.google.internal/", "http://h/v1?v=1", "http://h/a#b" } do
    local _, errors = load(("provider \"a\" {\n dialect = \"openai\",\n url = %q }"):format(url))
    test.equal(#errors, 1, url)
    test.equal(errors[1].line, 3, url)
    test.ok(not errors[1].text:find(url, 1, true), url)
  end
  for _, url in ipairs { "http://h", "https://h/v1/", "http://h/x?v=1#", "http://[::1]:80/v1",
    "http://10.0.0.1:8000" } do
    good(("provider \"a\" { dialect = \"openai\", url = %q }"):format(url))
  end
end)

test("a provider's fields that are wrong", function()
  refuses("provider \"a\" {\n  url = \"http://h\",\n  tmieouts = {},\n}",
    { [1] = "no dialect", [3] = "tmieouts: did you mean timeouts" })
  refuses(provider "dialects = 1", { [1] = "did you mean dialect" })
  refuses(provider "keys = \"sk-secret\"", { [1] = "keys must be a list" })
  refuses(provider "keys = env \"KEY\"", { [1] = "keys must be a list" })
  refuses(provider "keys = { \"a\\nb\" }", { [1] = "control character" })
  refuses(provider "keys = { \" sk-1\" }", { [1] = "begins with a space or a byte order mark" })
  refuses(provider "keys = { \"\239\187\191sk-1\" }", { [1] = "a byte order mark" })
  refuses(provider "keys = { { id = \"x\" } }", { [1] = "no secret" })
  refuses(provider "keys = { \"k\", \"k\" }", { [1] = "a%-2 is the same key as a%-1" })
  refuses(provider "keys = { env \"KEY\", env \"KEY\" }", { [1] = "two keys have the id KEY" })
  refuses(provider "keys = {\n\n file \"none\" }", { [3] = "file \"none\": No such file" })
  refuses(provider "timeouts = { idle = 0 }", { [1] = "timeouts.idle must be seconds above 0" })
  refuses(provider "timeouts = { idle = 604801 }", { [1] = "up to 604800 .*, not 604801" })
  refuses(provider "proxy = \"ftp://h\"", { [1] = "socks5" })
  refuses(provider "headers = { [\"X\"] = \"a\\r\\nb\" }", { [1] = "headers.X" })
  refuses(provider "headers = { [\"X Y\"] = \"a\" }", { [1] = "none of a header" })
  refuses(provider "headers = { [\"Content-Length\"] = \"1\" }", { [1] = "neap does" })
  refuses(provider "forward = { \"Cookie\" }", { [1] = "cookie is never" })
  refuses(provider "models = { m = { inputs = 1 } }", { [1] = "models.m.*did you mean input" })
  refuses(provider "options = { f = true }", { [1] = "options has no field f" })
  refuses(provider "options = { stream_options = 1 }", { [1] = "stream_options must be true or" })
  refuses("provider \"a/b\" { dialect = \"openai\", url = \"http://h\" }", { [1] = "letters" })
  refuses("provider { dialect = \"openai\" }", { [1] = "followed by its name" })
  refuses("provider \"a\"", { [1] = "followed by its fields" })
end)

test("dialects: those of the program, or those that are given", function()
  refuses("provider \"a\" { dialect = \"x\", url = \"http://h\" }", { [1] = "dialect.*\"openai\"" })
  local text = "provider \"a\" { dialect = \"x\", url = \"http://h\" }"
  test.equal(good(text, { dialects = { "x" } }).providers[1].dialect, "x")
end)

test("a group with everything", function()
  local got = good [[
provider "a" { dialect = "openai", url = "http://h" }
group "pool" {
  policies = {
    "priority_failover",
    use("key_rotation", { tries = 3, words = { env "KEY" } }),
  },
  fallback = { "echo" },
  targets = {
    { "a", "m1", priority = 2, weight = 0.5 },
    { provider = "a", model = "m2" },
  },
  limits = { attempts = 2, requests_per_minute = 60 }, timeouts = { total = 60 },
  on_disconnect = "drain", bodies = 0.1, strict = true,
}]]
  local group = got.groups[1]
  test.equal(group.policies, {
    { name = "priority_failover", settings = {}, line = 4 },
    { name = "key_rotation", settings = { tries = 3, words = { "sk-from-env" } }, line = 5 },
  })
  test.equal(group.fallback[1].name, "echo")
  test.equal(group.targets, {
    { provider = "a", model = "m1", priority = 2, weight = 0.5, line = 9 },
    { provider = "a", model = "m2", priority = 1, weight = 1, line = 9 },
  })
  test.equal(group.limits, { attempts = 2, seconds = 900, requests_per_minute = 60 })
  test.equal(group.timeouts, { total = 60 })
  test.equal({ group.on_disconnect, group.bodies, group.strict, group.line },
    { "drain", 0.1, true, 2 })
end)

test("an element of a setting that is not set leaves no hole", function()
  local group = good(provider() .. [[ group "g" { targets = { { "a", "m" } }, policies = {
    use("x", { words = { env "UNSET", "one", env "EMPTY", env "KEY" }, map = { a = env "UNSET" },
      sparse = { [2] = "two" } }) } }]]).groups[1]
  test.equal(group.policies[1].settings,
    { words = { "one", "sk-from-env" }, map = {}, sparse = { [2] = "two" } })
end)

test("a group may have policies and no targets", function()
  local group = good("group \"echo\" { policies = { \"echo\" } }").groups[1]
  test.equal(group.targets, {})
  test.equal(group.fallback, nil)
  test.equal({ group.limits.attempts, group.on_disconnect }, { 6, "cancel" })
end)

test("a group's fields that are wrong", function()
  refuses("group \"x\" {}", { [1] = "no targets" })
  refuses(provider() .. "\ngroup \"x\" { tragets = {} }",
    { [2] = "tragets: did you mean targets" })
  refuses("group \"x\" {\n  targets = {\n    { \"nobody\", \"m\" } } }",
    { [3] = "no provider \"nobody\"" })
  refuses(POOL:format "targets = { { \"a\" } }", { [1] = "no model" })
  refuses(POOL:format "policies = { \"../x\" }", { [1] = "policy's name" })
  refuses(POOL:format "policies = { use(\"x\", 1) }", { [1] = "settings are a table" })
  refuses(POOL:format "limits = { attempts = 0 }", { [1] = "limits.attempts" })
  refuses(POOL:format "on_disconnect = \"stop\"", { [1] = "\"cancel\", \"drain\", \"detach\"" })
  refuses(POOL:format "bodies = \"all\"", { [1] = "bodies must be" })
  refuses(POOL:format "" .. "\ngroup \"g\" { policies = {} }", { [2] = "twice, first in line 1" })
end)

test("a token with everything", function()
  local got = good(POOL:format "" .. [[ token "t" { secret = env "SECRET", groups = { "g" },
    providers = { "a" }, limits = { tokens_per_day = 5 }, expires = "2027-01-31T12:00:00Z",
    rights = { "trace" } }]])
  local token = got.tokens[1]
  test.equal(token.secret, "from-the-environment-1")
  test.equal({ token.groups, token.providers }, { { "g" }, { "a" } })
  test.equal(token.expires, 1801396800)
  test.equal(token.rights, { trace = true, keys = false })
  test.equal(token.limits, { tokens_per_day = 5 })
end)

test("dates", function()
  local function expires(date)
    return good(("token \"t\" { secret = \"0123456789abcdef\", expires = %q }"):format(date))
      .tokens[1].expires
  end
  test.equal(expires "1970-01-01", 0)
  test.equal(expires "2028-02-29", 1835395200)
  test.equal(expires "2027-01-31", 1801353600)
  for _, date in ipairs { "2027-02-29", "2027-13-01", "2027-00-10", "2027-1-1", "tomorrow",
    "2027-01-31T25:00:00Z", "2027-01-31T12:00" } do
    refuses(("token \"t\" { secret = \"0123456789abcdef\", expires = %q }"):format(date),
      { [1] = "expires must be a date" })
  end
end)

test("tokens that are wrong", function()
  refuses("token \"t\" { secret = \"short\" }", { [1] = "secret.*16" })
  refuses("token \"t\" { secret = \" 0123456789abcdef\" }", { [1] = "begins or ends with a space" })
  refuses("token \"t\" { secret = \"0123456789abcdef \" }", { [1] = "begins or ends with a space" })
  refuses("token \"t\" {\n secret = env \"UNSET\" }", { [2] = "no secret: the variable UNSET" })
  refuses("token \"t\" {}", { [1] = "no secret" })
  refuses("token \"t\" { secret = \"0123456789abcdef\" }\n"
    .. "token \"u\" { secret = \"0123456789abcdef\" }", { [2] = "same secret as token \"t\"" })
  refuses("token \"t\" { secret = \"0123456789abcdef\",\n groups = { \"none\" } }",
    { [2] = "no group \"none\"" })
  refuses("token \"t\" { secret = \"0123456789abcdef\", rights = { \"all\" } }",
    { [1] = "\"trace\", \"keys\"" })
end)

test("no error shows a secret", function()
  for _, text in ipairs {
    "token \"t\" { secret = \"sk-hidden\" }",
    "token \"t\" { secret = 1, \"sk-hidden\" }",
    "provider \"a\" { dialect = \"sk-hidden\", url = \"sk-hidden\", keys = \"sk-hidden\" }",
    "provider \"a\" { keys = { [\"sk-hidden\"] = 1 } }",
    "provider \"a\" { keys = { \"sk-hidden\\n\" }, proxy = \"http://u:sk-hidden@h/x\" }",
    "provider \"a\" { headers = { Authorization = \"sk-hidden\\n\" }, timeouts = \"sk-hidden\" }",
    "token \"t\" { secret = \"a\" \"sk-hidden\" }",
    "token \"t\" { secret = \"sk-hidden\n\" }",
    "listen = \"sk-hidden\" spool = \"sk-hidden\" cors = \"sk-hidden\" log = \"sk-hidden\"",
  } do
    local _, errors = load(text)
    test.ok(errors and #errors > 0, text)
    test.ok(not table.concat(config.format(errors), "\n"):find("hidden", 1, true), text)
  end
end)

test("env and file are looked up after the file has run", function()
  refuses("provider \"a\" { dialect = \"openai\", url = \"http://\" .. env \"HOST\" }",
    { [1] = "can not be joined" })
  refuses("provider \"a\" { dialect = \"openai\", url = env(1) }", { [1] = "env is followed by" })
end)

test("lines are found behind a value that is spread over lines", function()
  refuses("admin = {\n  lsiten = \"x\",\n}", { [1] = "no listen", [2] = "lsiten" })
  refuses(provider() .. "\ngroup \"g\" {\n  targets = {\n    { \"a\", \"m\" },\n"
    .. "    { \"b\", \"m\" },\n  },\n}\ngroup \"h\" {\n  targets = { { \"b\", \"m\" } },\n}",
    { [5] = "no provider \"b\"", [9] = "no provider \"b\"" })
end)

test("a file that can not be read", function()
  local configuration, errors = config.load {
    path = "none.lua", getenv = function() end,
    read = function() return nil, "No such file or directory" end,
  }
  test.equal(configuration, nil)
  test.equal(config.format(errors), { "none.lua: No such file or directory" })
end)

return test.finish()
