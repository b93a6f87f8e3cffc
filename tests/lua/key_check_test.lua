require "neap.test"
local clock = require "neap.test.clock"
local json = require "neap.json"
local key_check = require "neap.key_check"
local memory = require "neap.test.memory"
local provider_models = require "neap.provider_models"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"
local web = require "neap.test.web"

stand_in.use { memory = memory.new() }

local SECRET = "sk-very-secret-0123456789"
local OPENAI = { url = "https://a.test/v1", dialect = "openai" }
local CLAUDE = { url = "https://c.test", dialect = "anthropic" }
local GEMINI = { url = "https://g.test", dialect = "gemini" }
local SILICON = { url = "https://api.siliconflow.cn/v1", dialect = "openai" }
local MODELS, ACCOUNT = "GET https://a.test/v1/models",
  "GET https://api.siliconflow.cn/v1/user/info"

local function check(provider, script, options)
  local asked, verdict = web.use(script), nil
  clock.run { function() verdict = key_check.check(provider, SECRET, options) end }
  return verdict, asked
end

local function list(provider, script, options)
  local asked, models, rest = web.use(script), nil, nil
  clock.run { function() models, rest = provider_models.list(provider, SECRET, options) end }
  return models, rest, asked
end

local function ids_of(models)
  local ids = {}
  for index, model in ipairs(models) do ids[index] = model.id end
  return ids
end

-- ------------------------------------------------------------------------------------
-- By the models

test("a key that may list the models is good", function()
  local verdict, asked = check(OPENAI,
    { [MODELS] = { body = '{"data":[{"id":"m-1"},{"id":"m-2"}]}' } })
  test.equal(verdict, { state = "good", models = { "m-1", "m-2" } })
  test.equal(#asked, 1)
  test.ok(web.had(asked[1], "Authorization: Bearer " .. SECRET))
  test.equal(asked[1].private, true)
end)

test("only the provider's word about the key refuses it", function()
  for status, state in pairs { [401] = "refused", [402] = "limited", [403] = "limited",
    [404] = "unknown", [400] = "unknown", [429] = "limited", [500] = "unknown", [503] = "unknown",
    [529] = "unknown" } do
    test.equal(check(OPENAI, { [MODELS] = { status = status, body = "{}" } }).state, state,
      "status " .. status)
  end
end)

test("what may pass is told from what will not", function()
  for status, is_passing in pairs { [401] = false, [402] = false, [403] = false, [404] = false,
    [408] = true, [429] = true, [500] = true, [529] = true } do
    local verdict = check(OPENAI, { [MODELS] = { status = status, body = "{}" } })
    test.equal(verdict.is_passing or false, is_passing, "status " .. status)
  end
end)

test("failures on the way say nothing about a key", function()
  for _, failure in ipairs { "connect", "timeout", "tls", "reset", "protocol" } do
    local verdict = check(OPENAI, { [MODELS] = { failure = failure, why = "no luck" } })
    test.equal(verdict.state, "unknown", failure)
    test.equal(verdict.why, "no luck", failure)
    test.equal(verdict.is_passing, failure ~= "protocol", failure)
  end
end)

test("a provider that never answers is waited for no longer than asked", function()
  local verdict, asked = check(OPENAI, { [MODELS] = { after = 1000 } }, { timeout = 3 })
  test.equal(verdict.state, "unknown")
  test.equal(asked[1].timeout, 3)
end)

test("a limit tells how long", function()
  local answer = { status = 429, headers = { ["retry-after"] = "7" } }
  local verdict = check(OPENAI, { [MODELS] = answer })
  test.equal(verdict.wait, 7)
end)

test("a spent quota behind a 429 does not pass", function()
  local verdict = check(OPENAI, { [MODELS] = { status = 429,
    body = '{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}' } })
  test.equal(verdict.state, "limited")
  test.equal(verdict.is_passing, nil)
  test.match(verdict.why, "429: You exceeded your quota")
end)

test("no message holds the key, and none is long", function()
  for _, body in ipairs {
    json.encode { error = { message = "Incorrect API key: " .. SECRET .. " and " .. SECRET } },
    json.encode { message = "no " .. SECRET }, json.encode("Invalid token " .. SECRET),
    json.encode { error = "bad " .. SECRET },
    json.encode { error = { message = ("x"):rep(500) } }, "<html>" .. SECRET,
  } do
    local why = check(OPENAI, { [MODELS] = { status = 401, body = body } }).why
    test.equal(why:find(SECRET, 1, true), nil, why)
    test.match(why, "^the provider refused the key: 401")
    test.ok(#why < 300, why)
  end
  local verdict = check(OPENAI, { [MODELS] = { failure = "connect", why = "at " .. SECRET } })
  test.equal(verdict.why, "at …")
end)

test("an answer that is no list leaves it open", function()
  for _, body in ipairs { "<html>", '"text"', '{"data":null}', '{"data":{}}', "{}", "null" } do
    local verdict = check(OPENAI, { [MODELS] = { body = body } })
    test.equal(verdict.state, "unknown", body)
    test.equal(verdict.why, "the answer is no list of models", body)
  end
end)

test("Gemini says 400 to a wrong key", function()
  local url = "GET https://g.test/v1beta/models?pageSize=1000"
  local verdict, asked = check(GEMINI, { [url] = { status = 400, body = json.encode { error = {
    code = 400, message = "API key not valid.", status = "INVALID_ARGUMENT",
    details = json.array { { reason = "API_KEY_INVALID" } } } } } })
  test.equal(verdict, { state = "refused",
    why = "the provider refused the key: 400: API key not valid." })
  test.ok(web.had(asked[1], "x-goog-api-key: " .. SECRET))
end)

test("Anthropic is asked in its own way", function()
  local verdict, asked = check(CLAUDE, { ["GET https://c.test/v1/models?limit=1000"] = {
    body = '{"data":[{"type":"model","id":"claude-x","display_name":"X"}],"has_more":true,'
      .. '"last_id":"claude-x"}' } })
  test.equal(verdict.models, { "claude-x" })
  test.equal(#asked, 1)
  test.ok(web.had(asked[1], "x-api-key: " .. SECRET))
  test.ok(web.had(asked[1], "anthropic-version: 2023-06-01"))
end)

test("a dialect without a list is told so", function()
  local verdict = check({ url = "https://s.test", dialect = "shout" }, {})
  test.equal(verdict, { state = "unknown", is_passing = false,
    why = "neap knows no list of models of the dialect shout" })
end)

test("a provider's own headers, its proxy and its word on private addresses hold", function()
  local _, asked = check({ url = "https://a.test/v1", dialect = "openai", proxy = { "http://p:1" },
    headers = { ["X-Org"] = "o" }, options = { private = false } },
    { [MODELS] = { body = '{"data":[]}' } })
  test.equal(asked[1].proxy, "http://p:1")
  test.equal(asked[1].private, false)
  test.ok(web.had(asked[1], "X-Org: o"))
end)

-- ------------------------------------------------------------------------------------
-- By the account

test("SiliconFlow's account tells the balance, which is a text", function()
  local verdict = check(SILICON, { [ACCOUNT] = { body = '{"code":20000,"status":true,"data":'
    .. '{"balance":"0.88","chargeBalance":"88.00","totalBalance":"88.88"}}' } })
  test.equal(verdict, { state = "good", balance = 88.88 })
end)

test("a key with nothing left is limited, not refused", function()
  for text, balance in pairs { ['"0"'] = 0, ['"-0.5"'] = -0.5, ["0"] = 0 } do
    local body = '{"data":{"totalBalance":' .. text .. "}}"
    local verdict = check(SILICON, { [ACCOUNT] = { body = body } })
    test.equal(verdict.state, "limited")
    test.equal(verdict.balance, balance)
  end
end)

test("SiliconFlow's bare words for a wrong key", function()
  local verdict = check(SILICON, { [ACCOUNT] = { status = 401, body = '"Invalid token"' } })
  test.equal(verdict.why, "the provider refused the key: 401: Invalid token")
end)

test("an account without a number leaves it open", function()
  for _, body in ipairs { "{}", '{"data":null}', '{"data":{"totalBalance":"much"}}', "<html>",
    '{"data":{"totalBalance":"nan"}}', '{"data":{"totalBalance":{}}}', '{"data":[]}' } do
    local verdict = check(SILICON, { [ACCOUNT] = { body = body } })
    test.equal(verdict.state, "unknown", body)
    test.equal(verdict.balance, nil, body)
  end
end)

test("an outage of the account's service condemns no key", function()
  for _, answer in ipairs { { status = 500 }, { status = 429 }, { failure = "timeout" } } do
    test.ok(check(SILICON, { [ACCOUNT] = answer }).state ~= "refused")
  end
end)

test("how a balance is asked for can be said, below the host", function()
  local provider = { url = "http://b.test:81/some/v1", dialect = "openai",
    balance = { path = "/me", member = "infos.2.left", every = 60 } }
  local verdict = check(provider, { ["GET http://b.test:81/me"] = {
    body = '{"infos":[{"left":1},{"left":2.5}]}' } })
  test.equal(verdict.balance, 2.5)
  test.equal(key_check.account(provider).every, 60)
  test.equal(key_check.account(SILICON).every, 3600)
  test.equal(key_check.account(OPENAI), nil)
end)

test("a null balance is one without a limit", function()
  local verdict = check({ url = "https://openrouter.ai/api/v1", dialect = "openai" },
    { ["GET https://openrouter.ai/api/v1/key"] = { body = '{"data":{"limit_remaining":null}}' } })
  test.equal(verdict, { state = "good" })
end)

-- ------------------------------------------------------------------------------------
-- Lists of models

test("Anthropic's pages", function()
  local models, is_whole, asked = list(CLAUDE, {
    ["GET https://c.test/v1/models?limit=1000"] = {
      body = '{"data":[{"id":"a","display_name":"A"}],"has_more":true,"last_id":"a b"}' },
    ["GET https://c.test/v1/models?limit=1000&after_id=a%20b"] = {
      body = '{"data":[{"id":"b"},{"id":"a"}],"has_more":false,"last_id":"b"}' },
  })
  test.equal(models, { { id = "a", name = "A" }, { id = "b" } })
  test.equal(is_whole, true)
  test.equal(#asked, 2)
end)

test("Gemini's pages and names", function()
  local models, is_whole = list(GEMINI, {
    ["GET https://g.test/v1beta/models?pageSize=1000"] = { body = '{"models":[{"name":"models/g-1",'
      .. '"displayName":"G 1","inputTokenLimit":1000}],"nextPageToken":"x/="}' },
    ["GET https://g.test/v1beta/models?pageSize=1000&pageToken=x%2F%3D"] = {
      body = '{"models":[{"name":"tunedModels/mine"}]}' },
  })
  test.equal(models, { { id = "g-1", name = "G 1", context = 1000 }, { id = "tunedModels/mine" } })
  test.equal(is_whole, true)
end)

test("lists alone, lists of names, and Gemini's names in OpenAI's shape", function()
  for body, ids in pairs {
    ['[{"id":"a"},{"id":"b"}]'] = { "a", "b" }, ['{"models":["a","b"]}'] = { "a", "b" },
    ['{"data":[{"id":"models/a"},{"id":"a"}]}'] = { "a" },
    ['{"data":[{"id":""},{"id":7},null,3,{"id":"a\\nb"},{"x":1}]}'] = {},
  } do
    test.equal(ids_of(list(OPENAI, { [MODELS] = { body = body } })), ids, body)
  end
end)

test("a list without an end is cut off", function()
  local turn = 0
  local models, is_whole, asked = list(CLAUDE, function()
    turn = turn + 1
    return { body = ('{"data":[{"id":"m%d"}],"has_more":true,"last_id":"m%d"}'):format(turn, turn) }
  end)
  test.equal(#models, 20)
  test.equal(is_whole, false)
  test.equal(#asked, 20)
  local same = { body = '{"data":[{"id":"m"}],"has_more":true,"last_id":"m"}' }
  models, is_whole, asked = list(CLAUDE, function() return same end)
  test.equal({ #models, is_whole, #asked }, { 1, false, 2 })
end)

test("a page that is missing is no shorter list", function()
  local models, answer = list(CLAUDE, {
    ["GET https://c.test/v1/models?limit=1000"] = {
      body = '{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}' },
    ["GET https://c.test/v1/models?limit=1000&after_id=a"] = { status = 500 },
  })
  test.equal(models, nil)
  test.equal(answer.why, "500")
end)

test("where the models are, by base", function()
  for base, url in pairs {
    ["https://a.test"] = "https://a.test/v1/models",
    ["https://a.test/v1"] = "https://a.test/v1/models",
    ["https://a.test/api/"] = "https://a.test/api/models",
    ["https://a.test/x/chat/completions#"] = "https://a.test/x/models",
  } do
    local _, _, asked = list({ url = base, dialect = "openai" },
      function() return { body = "[]" } end)
    test.equal(asked[1].url, url, base)
  end
  for base, url in pairs {
    ["https://g.test"] = "https://g.test/v1beta/models",
    ["https://g.test/v1"] = "https://g.test/v1/models",
    ["https://g.test/v1beta"] = "https://g.test/v1beta/models",
    ["https://g.test/x/"] = "https://g.test/x/models",
  } do
    local _, _, asked = list({ url = base, dialect = "gemini" },
      function() return { body = "{}" } end)
    test.equal(asked[1].url, url .. "?pageSize=1000", base)
  end
  local models, answer = list({ url = "https://a.test/ask#", dialect = "openai" }, {})
  test.equal(models, nil)
  test.match(answer.why, "does not say where")
end)

return test.finish()
