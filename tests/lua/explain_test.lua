-- The dry run: what is found out about a request, and that no secret is in it.
local test = require "neap.tap"
local explain = require "neap.explain"
local host = require "neap.host"
local json = require "neap.json"

local FILES = {} -- by path, over those of the disk
local read, env = host.read, host.env
host.read = function(path)
  if FILES[path] then return FILES[path] end
  return read(path)
end
host.env = function(name)
  return name == "HIDDEN" and "a-value-from-outside" or env(name)
end

local CONFIG = [[
provider "a" { dialect = "openai", url = "https://a.test/v1",
  keys = { "sk-written-secret", { secret = env "HIDDEN", id = "second" } },
  models = { m = { input = 2, output = 10 }, shared = {} } }
provider "b" { dialect = "openai", url = "https://b.test/v1", keyless = true,
  models = { m = { input = 1, output = 2 }, shared = {} } }
provider "off" { dialect = "openai", url = "https://off.test/v1" }
group "pool" {
  policies = { use("priority_failover", { retry_on = { 429, "5xx" } }),
    use("key_rotation", { tries = 2 }) },
  targets = { { "a", "m" }, { "b", "m" }, { "a", "n", priority = 2 }, { "off", "m" } },
  limits = { attempts = 2 },
}
group "own" { policies = { use("own", { words = { env "HIDDEN", "x" } }), "priority_failover" },
  fallback = { "echo" }, targets = { { "a", "m" } } }
token "all" { secret = "secret-of-all-tokens" }
token "few" { secret = "secret-of-few-tokens", groups = { "own" } }
token "old" { secret = "secret-of-old-tokens", expires = "2020-01-01" }
]]

local function policy(run)
  return ([[
local policy = require "neap.policy"
local setting = require "neap.setting"
local own = policy.define { summary = "Of a test.", settings = { words = setting.words {} } }
function own:run(request, next)
%s
end
return own]]):format(run)
end

FILES["/etc/neap/router.lua"] = CONFIG
FILES["/etc/neap/policies/own.lua"] = policy "return next(request)"

local function open(fields)
  local options = { config = "/etc/neap/router.lua", headers = {}, answers = { "503" },
    body = "{\"model\": \"pool\", \"messages\": []}" }
  for name, value in pairs(fields or {}) do options[name] = value end
  return explain.open(options)
end

local function show(fields)
  test.equal({ open(fields) }, { 0 })
  explain.walk()
  return explain.show()
end

local function report(fields)
  fields = fields or {}
  fields.is_json = true
  return json.decode(show(fields))
end

local function collect(list, field)
  local values = {}
  for index, one in ipairs(list) do values[index] = one[field] end
  return values
end

local function body(model) return json.encode { model = model } end

-- ------------------------------------------------------------------------------------
-- What is found

test("the group, its chain and what its settings change", function()
  local found = report()
  test.equal({ found.group.name, found.group.kind, found.group.attempts }, { "pool", "group", 2 })
  test.equal(collect(found.chain, "policy"), { "priority_failover", "key_rotation" })
  local tries = found.chain[2].settings[1]
  test.equal({ tries.name, tries.value, tries.is_default }, { "tries", 2, true })
  local retry_on = found.chain[1].settings[1]
  test.equal({ retry_on.name, retry_on.is_default }, { "retry_on", false })
  test.equal(found.fallback, nil)
end)

test("the targets in the host's order, and why each stands behind the one before", function()
  local found = report()
  test.equal(collect(found.targets, "name"), { "b/m", "a/m", "a/n" })
  test.equal({ found.targets[1].why, found.targets[2].why, found.targets[3].why },
    { nil, "12 USD after 3", "priority 2 after 1" })
  test.equal(collect(found.targets[2].keys, "id"), { "a-1", "second" })
  test.equal({ found.off[1].name, found.off[1].why }, { "off/m", "its provider has no key" })
end)

test("what would be tried, within the budget of the group", function()
  local found = report()
  test.equal(collect(found.attempts, "target"), { "b/m", "a/m" })
  test.equal(found.result.status, 503)
  test.match(found.trace[#found.trace], "^not tried: a/n, ready$")
end)

test("answers in turn, the last for the rest", function()
  local found = report { body = body "a/m", answers = { "429", "200" } }
  test.equal(collect(found.attempts, "key"), { "a-1", "second" })
  test.equal(collect(found.attempts, "status"), { 429, 200 })
  test.equal(found.result.status, 200)
end)

test("a time-out takes the time that it would take", function()
  local found = report { body = body "a/m", answers = { "timeout" } }
  test.equal({ found.attempts[1].failure, found.attempts[1].seconds }, { "timeout", 600 })
  test.equal(found.result.status, 504)
end)

test("each outcome that can be asked for is one", function()
  for answer, status in pairs { connect = 502, empty = 502, protocol = 502, reset = 502, tls = 502,
    ["400"] = 400, ["404"] = 404, ["500"] = 500 } do
    local found = report { body = body "b/m", answers = { answer } }
    test.equal(tostring(found.attempts[1].failure or found.attempts[1].status), answer)
    test.equal(found.result.status, status, answer)
  end
end)

test("implicit groups", function()
  local of_target = report { body = body "b/anything" }
  test.equal({ of_target.group.name, of_target.group.kind }, { "b/anything", "provider/model" })
  test.match(table.concat(collect(of_target.chain, "policy"), " "),
    "priority_failover key_rotation keyword_retry$")
  local of_model = report { body = body "shared" }
  test.equal({ of_model.group.name, of_model.group.kind }, { "shared", "model" })
  test.equal(collect(of_model.targets, "name"), { "a/shared", "b/shared" })
end)

test("policies see the request: its headers, stream and token", function()
  FILES["/etc/neap/policies/own.lua"] = policy [[
    self:note("%s %s %s", request.headers["x-user"], tostring(request.stream), request.token)
    return next(request)]]
  local found = report { token = "few", headers = { "X-User:  ann " },
    body = "{\"model\":\"own\",\"stream\":true}" }
  test.match(found.trace[1], "^ann true few %[policies/own%.lua:5%]$")
end)

test("a policy that fails is told, and the fallback answers", function()
  FILES["/etc/neap/policies/own.lua"] = policy "error \"broken\""
  local found = report { body = body "own" }
  test.equal({ found.trace[1], found.trace[2], found.result.status },
    { "own failed: policies/own.lua:5: broken", "the fallback chain runs", 200 })
end)

-- ------------------------------------------------------------------------------------
-- Secrets, and the text

test("no secret is shown: not of keys, tokens, env, nor in a note", function()
  FILES["/etc/neap/policies/own.lua"] = policy [[
    self:note("%s sk-written-secret secret-of-few-tokens", self.settings.words[1])
    return next(request)]]
  for _, is_json in ipairs { false, true } do
    local shown = show { body = body "own", is_json = is_json }
    for _, secret in ipairs { "sk-written-secret", "a-value-from-outside",
      "secret-of-few-tokens" } do
      test.equal(shown:find(secret, 1, true), nil, secret)
    end
    test.ok(shown:find("[key second] [key a-1] [secret of token few]", 1, true), shown)
  end
end)

test("the text names settings with their defaults, and says that nothing was sent", function()
  local shown = show()
  for _, part in ipairs {
    "^pool is the group pool\n",
    "\n  1  priority_failover  Tries targets",
    "\n       retry_on = { 429, \"5xx\" } %(default: { 401, ",
    "\n       tries = 2 %(the default%)\n",
    "\n  1  b/m: priority 1, 3 USD for a million tokens in and out, ready\n       without a key\n",
    "\n       keys, in turn: a%-1, second\n",
    "\n  %-  off/m is left out: its provider has no key\n",
    "\nWhat would happen if each attempt came back with 503\n  priority_failover takes b/m\n",
    "\n  The client gets 503: made up by neap explain\n",
    "\nNothing was sent%.",
  } do test.match(shown, part) end
end)

test("what a client puts into a name cannot write to the terminal", function()
  local shown = show { body = body "b/\27[2J\n" }
  test.equal(shown:find("\27", 1, true), nil)
end)

-- ------------------------------------------------------------------------------------
-- What is wrong

test("each mistake has its exit status and names itself", function()
  for _, case in ipairs {
    { 1, "no group.*\"nothing\"", { body = body "nothing" } },
    { 1, "may not use \"pool\"", { token = "few" } },
    { 1, "\"old\" has expired", { token = "old" } },
    { 1, "is no JSON", { body = "{" } },
    { 1, "must be a JSON object", { body = "[]" } },
    { 1, "names no model", { body = "{}" } },
    { 1, "names no model", { body = "{\"model\": 7}" } },
    { 2, "no token \"nobody\"", { token = "nobody" } },
    { 2, "\"x\" is no header", { headers = { "x" } } },
    { 2, "\"1\" is no answer", { answers = { "1" } } },
    { 2, "\"exhausted\" is no answer", { answers = { "503", "exhausted" } } },
    { 78, "^/etc/neap/nowhere%.lua:1: ", { config = "/etc/neap/nowhere.lua" } },
  } do
    local status, problem = open(case[3])
    test.equal(status, case[1], problem)
    test.match(problem, case[2])
  end
  FILES["/etc/neap/broken.lua"] = "nonsense = 1\ngroup \"x\" { tragets = {} }\n"
  local status, problem = open { config = "/etc/neap/broken.lua" }
  test.equal(status, 78)
  test.match(problem, "broken%.lua:1: .*\n.*broken%.lua:2: ")
end)
