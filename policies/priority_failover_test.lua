local test = require "neap.test"

local function run(spec)
  spec.policies = spec.policies or { "priority_failover" }
  return test.run(spec)
end

test("moves on after a 500", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { text = "hi" } },
  }
  test.equal({ got.status, got.text }, { 200, "hi" })
  test.equal(got.tried, { "a/m 500", "b/m 200" })
  test.equal(got.notes, { "a/m: 500" })
end)

test("stays with the first target while it answers", function()
  local got = run { targets = { "a/m", "b/m" }, upstream = { ["a/m"] = { text = "hi" } } }
  test.equal(got.tried, { "a/m 200" })
  test.equal(got.notes, {})
end)

test("goes by priority, then by price", function()
  local got = run {
    targets = { { "a/m", priority = 2 }, "b/m", { "c/m", priority = 1 } },
    prices = { ["b/m"] = { input = 2, output = 2 }, ["c/m"] = { input = 1, output = 1 } },
    upstream = { ["a/m"] = { text = "hi" }, ["b/m"] = { status = 502 },
      ["c/m"] = { status = 503 } },
  }
  test.equal(got.tried, { "c/m 503", "b/m 502", "a/m 200" })
end)

test("a resting target is tried last", function()
  local world = test.world {
    policies = { "priority_failover" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "a" }, ["b/m"] = { text = "b" } },
  }
  world:target("a/m"):rest(60, "for the test")
  test.equal(world:run().text, "b")
  world:sleep(60)
  test.equal(world:run().text, "a")
end)

test("all resting: each is tried, the first to wake first", function()
  local world = test.world {
    policies = { "priority_failover" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "a" }, ["b/m"] = { status = 500 } },
  }
  world:target("a/m"):rest(60, "for the test")
  world:target("b/m"):rest(30, "for the test")
  test.equal(world:run().tried, { "b/m 500", "a/m 200" })
end)

for _, failure in ipairs { "connect", "timeout", "tls", "reset", "protocol" } do
  test("moves on after " .. failure, function()
    local got = run {
      targets = { "a/m", "b/m" },
      upstream = { ["a/m"] = { failure = failure, after = 1.5 }, ["b/m"] = { text = "hi" } },
    }
    test.equal(got.tried, { "a/m " .. failure, "b/m 200" })
    test.equal(got.seconds, 1.5)
  end)
end

for _, status in ipairs { 401, 402, 403, 404, 408, 409, 425, 429, 500, 503, 529 } do
  test("moves on after " .. status, function()
    local got = run {
      targets = { "a/m", "b/m" },
      upstream = { ["a/m"] = { status = status }, ["b/m"] = { text = "hi" } },
    }
    test.equal(got.text, "hi")
  end)
end

for _, status in ipairs { 400, 413, 422 } do
  test("a client's own fault is not asked again: " .. status, function()
    local got = run {
      targets = { "a/m", "b/m" },
      upstream = { ["a/m"] = { status = status, body = "{\"error\":{\"message\":\"no\"}}" } },
    }
    test.equal(got.status, status)
    test.match(got.body, "no")
    test.equal(got.tried, { "a/m " .. status })
  end)
end

test("an empty answer moves on, streamed or not", function()
  for _, stream in ipairs { true, false } do
    local got = run {
      targets = { "a/m", "b/m" }, request = { stream = stream },
      upstream = { ["a/m"] = { text = "" }, ["b/m"] = { text = "hi" } },
    }
    test.equal(got.tried, { "a/m empty", "b/m 200" })
    test.equal(got.text, "hi")
  end
end)

test("an error event in a stream is the status that it stands for", function()
  local got = run {
    targets = { "a/m", "b/m" }, request = { stream = true },
    upstream = {
      ["a/m"] = { stream = { { data = "{\"error\":{\"code\":503,\"message\":\"full\"}}" } } },
      ["b/m"] = { text = "hi" },
    },
  }
  test.equal(got.tried, { "a/m 503", "b/m 200" })
end)

test("retry_on decides", function()
  local got = run {
    policies = { { "priority_failover", { retry_on = { 429 } } } }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 500 } },
  }
  test.equal(got.tried, { "a/m 500" })
end)

test("when all fail the client gets the last answer", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { failure = "connect" }, ["b/m"] = { status = 503, body = "{}" } },
  }
  test.equal(got.status, 503)
  test.equal(got.headers["x-neap-attempts"], "2")
  test.equal(got.headers["x-should-retry"], "false")
end)

test("when all are limited the client waits for the first", function()
  local got = run {
    targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { status = 429, headers = { ["retry-after"] = "5" } },
      ["b/m"] = { status = 429, headers = { ["retry-after"] = "60" } } },
  }
  test.equal({ got.status, got.headers["retry-after"] }, { 429, "5" })
end)

test("a spent budget of attempts ends the loop", function()
  local got = run {
    targets = { "a/m", "b/m", "c/m" }, limits = { attempts = 2 },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = { status = 502 } },
  }
  test.equal(got.tried, { "a/m 500", "b/m 502" })
  test.equal({ got.failure, got.status }, { "exhausted", 502 })
end)

test("a spent budget of seconds ends the loop", function()
  local got = run {
    targets = { "a/m", "b/m" }, limits = { seconds = 10 },
    upstream = { ["a/m"] = { failure = "timeout", after = 10 } },
  }
  test.equal(got.tried, { "a/m timeout" })
  test.equal({ got.failure, got.status }, { "exhausted", 504 })
end)

test("a group without targets is said to be one", function()
  local got = run { targets = {} }
  test.equal(got.status, 503)
  test.match(got.body, "no target to try; a provider without a key is off")
end)
