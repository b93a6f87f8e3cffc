-- What an attempt brought back, as a policy sees it.
local test = require "neap.test"

local HEAD = "local policy = require \"neap.policy\"\n"
  .. "local mine = policy.define { summary = \"Of a test.\" }\n"
  .. "function mine:run(request, next)\n"

local function run(body, answer, spec)
  local given = { policies = { "mine" }, texts = { mine = HEAD .. body .. "\nend\nreturn mine" },
    targets = { "a/m" }, upstream = { ["a/m"] = answer or { text = "hello" } } }
  for name, value in pairs(spec or {}) do given[name] = value end
  return test.run(given)
end

local STREAM = { request = { stream = true } }

test("status, headers, times", function()
  local got = run([[
    local r = next(request)
    self:note("%s %s %s %.1f %.1f %s", r.status, r.failure, r.headers["x-a"], r.seconds,
      r.first_event_seconds, r.body)
    return r]], { text = "hello", after = 2, headers = { ["X-A"] = "1" } })
  test.equal(got.notes, { "200 nil 1 2.0 2.0 nil" })
end)

test("an error answer has its body and the wait that it asks for", function()
  local got = run([[
    local r = next(request)
    self:note("%s %s %s %s", r.status, r.failure, r.body, r.retry_after)
    return r]], { status = 429, body = "slow down", headers = { ["retry-after"] = "9" } })
  test.equal(got.notes, { "429 nil slow down 9" })
end)

test("a failure has no status", function()
  local got = run([[
    local r = next(request)
    self:note("%s %s", r.status, r.failure)
    return r]], { failure = "tls" })
  test.equal(got.notes, { "nil tls" })
  test.equal(got.status, 502)
end)

test("an answer has come with its first content, not with its head", function()
  local got = run([[
    local r = next(request)
    self:note("%.1f", r.first_event_seconds)
    return r]], { stream = { { "late", at = 4 } } }, STREAM)
  test.equal(got.notes, { "4.0" })
end)

test("it is read-only, and unknown names raise", function()
  test.match(run("next(request).status = 1").error, "a response cannot be changed")
  test.match(run("return next(request).staus").error, "a response has no \"staus\"")
end)

test("peek: raw bytes, and nothing is consumed", function()
  local got = run([[
    local r = next(request)
    self:note("%s", r:peek(6, 1))
    self:note("%s", r:peek(6, 1))
    return r]], { stream = { "one", " two" } }, STREAM)
  test.equal(got.notes, { "data: ", "data: " })
  test.equal(got.text, "one two")
end)

test("peek waits for the bytes or the time", function()
  local got = run([[
    local r = next(request)
    self:note("%d", r:peek(1e5, 3) and self:now() * 0 + 3)
    return r]], { stream = { "one", { "two", at = 60 } } }, STREAM)
  test.equal(got.seconds, 3)
  test.equal(got.text, "onetwo")
end)

test("peek: the body of an error answer", function()
  local got = run("local r = next(request) self:note(r:peek(4, 0)) return r",
    { status = 500, body = "broken" })
  test.equal(got.notes, { "brok" })
end)

test("text: decoded content of a stream, until there is enough", function()
  local got = run([[
    local r = next(request)
    self:note(r:text(6, 10))
    self:note(r:text(3, 10))
    return r]], { stream = { "one ", { "two ", at = 1 }, { "three", at = 2 } } }, STREAM)
  test.equal(got.notes, { "one tw", "one" })
  test.equal(got.seconds, 1)
  test.equal(got.text, "one two three")
end)

test("text: decoded content of a whole answer", function()
  local got = run("local r = next(request) self:note(r:text(4, 0)) return r")
  test.equal(got.notes, { "hell" })
  test.equal(got.text, "hello")
end)

test("text: a stream that ends sooner gives what there is", function()
  local got = run("local r = next(request) self:note(r:text(99, 9)) return r",
    { stream = { "short" } }, STREAM)
  test.equal(got.notes, { "short" })
  test.equal(got.seconds, 0)
end)

test("a transfer that breaks while it is held becomes a failure", function()
  local got = run([[
    local r = next(request)
    self:note("%s", r.status)
    self:note("%s", r:text(99, 9))
    self:note("%s %s", r.status, r.failure)
    return r]], { stream = { "a", { failure = "reset", at = 1 } } }, STREAM)
  test.equal(got.notes, { "200", "a", "nil reset" })
  test.equal({ got.status, got.tried[1] }, { 502, "a/m reset" })
end)

test("one that stalls is a timeout", function()
  local got = run("local r = next(request) r:text(99, 300) return r",
    { stream = { "a", { "b", at = 200 } } }, STREAM)
  test.equal({ got.failure, got.seconds, got.status }, { "timeout", 120, 504 })
end)

test("fail turns an answer into a failure", function()
  local got = run [[return next(request):fail("keyword", "because")]]
  test.equal({ got.failure, got.status, got.tried[1] }, { "keyword", 502, "a/m keyword" })
  test.match(run("return next(request):fail(\"nonsense\")").error, "is no failure")
end)

test("fail: also what is left of a request that has ended", function()
  local response = require "neap.response"
  local kept = response.of_attempt { status = 200 } -- record.trim has taken its context
  kept:fail("keyword")
  test.equal({ kept.status, kept.failure }, { nil, "keyword" })
end)

test("fail: what another policy has replied or refused is not sent", function()
  for _, own in ipairs { "reply(\"mine\")", "refuse(429, \"mine\")" } do
    local got = test.run {
      policies = { "fails", "mine" }, targets = { "a/m" },
      texts = {
        fails = HEAD .. "local r = next(request):fail(\"keyword\")\n"
          .. "self:note(\"%s %s %q\", r.status, r.failure, r:text(9, 0))\n"
          .. "return r\nend\nreturn mine",
        mine = HEAD .. "return request:" .. own .. "\nend\nreturn mine",
      },
    }
    test.equal(got.notes, { "nil keyword \"\"" })
    test.equal(got.status, 502)
    test.ok(not got.body:find("mine", 1, true), got.body)
  end
end)

test("an error answer that a policy failed is not sent when the budget is spent", function()
  local got = run([[
    next(request):fail("keyword", "because")
    return next(request)]], { status = 500, body = "secret words" }, { limits = { attempts = 1 } })
  test.equal(got.status, 502)
  test.ok(not got.body:find("secret words", 1, true))
end)

test("one response is open: a new attempt closes the one before", function()
  local got = run([[
    local first = next(request)
    local target = request.target
    local second = next(request)
    self:note("%d", target.in_flight)
    self:note("%q", first:text(9, 1))
    return second]], { stream = { "a", { "b", at = 60 } } }, STREAM)
  test.equal(got.notes, { "1", "\"\"" })
  test.equal(got.text, "ab")
end)

test("a response that a later attempt closed can not be returned", function()
  local got = run([[
    local first = next(request)
    next(request)
    return first]])
  test.equal(got.status, 500)
  test.match(got.error,
    "^policies/mine%.lua:%d+: run returned a response that a later attempt has closed")
end)

test("the text of a reply and of a refusal", function()
  local got = run([[
    self:note(request:reply("mine"):text(99, 0))
    self:note(request:refuse(503, "no").body)
    return next(request)]])
  test.equal(got.notes, { "mine", "no" })
end)

test("the client is told the wait of a limit, wherever the provider says it", function()
  local function wait_of(answer)
    return run("return next(request)", answer).headers["retry-after"]
  end
  local body = [[{"error":{"details":[{"retryDelay":"21.5s"}]}}]]
  test.equal(wait_of { status = 429, body = body }, "22")
  test.equal(wait_of { status = 503, body = body }, "22")
  test.equal(wait_of { status = 429, headers = { ["x-ratelimit-reset-requests"] = "1m" } }, "60")
  test.equal(wait_of { status = 429, headers = { ["retry-after"] = "3" }, body = body }, "3")
  test.equal(wait_of { status = 429, headers = { ["retry-after-ms"] = "300" } }, nil)
  test.equal(wait_of { status = 500, headers = { ["x-ratelimit-reset-requests"] = "1m" } }, nil)
  test.equal(wait_of { status = 429 }, nil)
end)
