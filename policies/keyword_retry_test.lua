local test = require "neap.test"

local WORDS = { "keyword_retry", { keywords = { "quota exceeded", "Overloaded" } } }

local function run(answer, options)
  options = options or {}
  return test.run {
    policies = options.policies or { "priority_failover", WORDS }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = answer, ["b/m"] = { text = "fine" } },
    request = { stream = options.stream },
  }
end

test("an answer with a keyword fails, whatever its case, and the next target is tried", function()
  local got = run { text = "Sorry, your QUOTA Exceeded its limit" }
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
  test.equal(got.text, "fine")
  test.equal(got.notes, { "the answer says \"quota exceeded\"", "a/m: keyword" })
end)

test("a stream, too, before anything of it went out", function()
  local got = run({ stream = { "we are ", "overloaded" } }, { stream = true })
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
  test.equal(got.text, "fine")
end)

test("a keyword across the borders of events", function()
  local got = run({ stream = { "quo", "ta ex", { "ceeded", at = 0.5 } } }, { stream = true })
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
end)

test("a keyword in the body of an error", function()
  local got = run { status = 400, body = "{\"error\":{\"message\":\"model is overloaded\"}}" }
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
end)

test("a keyword that an error's body writes with escapes", function()
  local got = run({ status = 400, body = [[{"error":{"message":"\u8d85\u51fa\u9650\u989d"}}]] },
    { policies = { "priority_failover", { "keyword_retry", { keywords = { "超出限额" } } } } })
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
end)

test("a keyword in an error's body that is no JSON", function()
  local got = run { status = 500, body = "<h1>Overloaded</h1>" }
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
end)

test("a keyword at the beginning of an answer of more than 256 KiB that is not streamed", function()
  local got = run { text = "Overloaded " .. ("x"):rep(300 * 1024) }
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
  got = run { text = ("x"):rep(300 * 1024) .. "overloaded" }
  test.equal({ got.tried, #got.text }, { { "a/m 200" }, 300 * 1024 + 10 })
end)

test("the window counts characters, not bytes", function()
  local policies = { "priority_failover", { "keyword_retry",
    { keywords = { "超载" }, window = 10 } } }
  local got = run({ stream = { ("好"):rep(8), "超", "载" } }, { stream = true, policies = policies })
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
  got = run({ stream = { ("好"):rep(9), "超", "载" } }, { stream = true, policies = policies })
  test.equal(got.tried, { "a/m 200" })
end)

test("an error about the key stays one: the key rests, and the next key is asked", function()
  local world = test.world {
    policies = { "priority_failover", "key_rotation",
      { "keyword_retry", { keywords = { "quota exceeded" } } } },
    targets = { "a/m", "b/m" }, keys = { a = { "k1", "k2" } },
    upstream = { ["a/m"] = { k2 = { text = "hi" }, k1 = { status = 429, body = "Quota exceeded",
      headers = { ["retry-after"] = "9" } } } },
  }
  local got = world:run()
  test.equal({ got.tried, got.keys }, { { "a/m 429", "a/m 200" }, { "k1", "k2" } })
  test.equal({ world:key("a", "k1").state, world:key("a", "k1").remaining }, { "resting", 9 })
  test.equal(world:shared("keyword_retry", "hits quota exceeded"), 1)
end)

test("what neap itself says is no provider's answer", function()
  local world = test.world {
    policies = { { "keyword_retry", { keywords = { "rests" } } }, "priority_failover",
      "key_rotation" },
    targets = { "a/m" },
    upstream = { ["a/m"] = { { status = 429, headers = { ["retry-after"] = "9" } } } },
  }
  world:run()
  local got = world:run()
  test.match(got.body, 'every key of the provider \\"a\\" rests')
  test.equal(got.status, 429)
end)

test("a keyword behind the window is not seen", function()
  local got = run({ stream = { ("x"):rep(600), "overloaded" } }, { stream = true })
  test.equal(got.tried, { "a/m 200" })
end)

test("an answer is held for two seconds at most", function()
  local got = run({ stream = { "a", { "b", at = 1 }, { "overloaded", at = 5 } } },
    { stream = true })
  test.equal(got.tried, { "a/m 200" })
  test.equal(got.seconds, 2)
  test.equal(got.text, "aboverloaded")
end)

test("the window's time is a setting", function()
  local got = run({ stream = { "a", { "overloaded", at = 5 } } }, { stream = true,
    policies = { "priority_failover",
      { "keyword_retry", { keywords = { "overloaded" }, seconds = 6 } } } })
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
end)

test("without a keyword nothing is held", function()
  local got = run({ stream = { "a", { "b", at = 60 } } }, { stream = true,
    policies = { "priority_failover", "keyword_retry" } })
  test.equal({ got.seconds, got.text }, { 0, "ab" })
end)

test("a stream that breaks while it is held is a failure, and the next is tried", function()
  local got = run({ stream = { "a", { failure = "reset", at = 1 } } }, { stream = true })
  test.equal(got.tried, { "a/m reset", "b/m 200" })
  test.equal(got.text, "fine")
end)

test("a failure is passed on as it is", function()
  test.equal(run({ failure = "connect" }).tried, { "a/m connect", "b/m 200" })
end)

test("keywords in all answers: the client gets a 502", function()
  local got = test.run {
    policies = { "priority_failover", WORDS }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "overloaded" }, ["b/m"] = { text = "overloaded" } },
  }
  test.equal({ got.status, got.failure }, { 502, "keyword" })
end)

test("a keyword in an error body with the budget spent: a 502, not the refused body", function()
  local got = test.run {
    policies = { "priority_failover", WORDS }, targets = { "a/m", "b/m" },
    limits = { attempts = 1 }, upstream = { ["a/m"] = { status = 500, body = "overloaded" } },
  }
  test.equal({ got.status, got.failure }, { 502, "exhausted" })
end)

test("hits are counted, and when the last one was is known", function()
  local world = test.world {
    policies = { WORDS }, targets = { "a/m" },
    upstream = { ["a/m"] = { text = "overloaded" } },
  }
  local function known(what) return world:shared("keyword_retry", what .. " Overloaded") end
  world:run()
  test.equal({ known "hits", known "last_triggered" }, { 1, "2026-01-01T00:00:00Z" })
  world:sleep(70)
  world:run()
  test.equal({ known "hits", known "last_triggered" }, { 2, "2026-01-01T00:01:10Z" })
  test.equal(world:shared("keyword_retry", "hits quota exceeded"), nil)
end)

test("keywords that are stored count in every group, behind the setting's own", function()
  local spec = { policies = { "priority_failover", "keyword_retry" }, targets = { "a/m", "b/m" },
    stored = { keywords = { "Quota" } },
    upstream = { ["a/m"] = { text = "no QUOTA left" }, ["b/m"] = { text = "fine" } } }
  local got = test.run(spec)
  test.equal(got.tried, { "a/m keyword", "b/m 200" })
  test.equal(got.notes[1], "the answer says \"Quota\"")
  spec.policies[2] = { "keyword_retry", { keywords = { "left" } } }
  test.equal(test.run(spec).notes[1], "the answer says \"left\"")
end)
