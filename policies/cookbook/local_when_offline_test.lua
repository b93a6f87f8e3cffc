local test = require "neap.test"

local function world(away)
  return test.world {
    policies = { { "local_when_offline", { home = { "ollama" } } }, "priority_failover" },
    targets  = { "a/m", "b/m", "ollama/llama" },
    upstream = { ["a/m"] = away, ["b/m"] = away, ["ollama/llama"] = { text = "from home" } },
  }
end

test("while there is a network, nobody asks at home", function()
  test.equal(world({ text = "from afar" }):run().tried, { "a/m 200" })
end)

test("without one the answer comes from home", function()
  local run = world({ failure = "connect" }):run()
  test.equal(run.text, "from home")
  test.equal(run.tried, { "a/m connect", "b/m connect", "ollama/llama 200" })
  test.equal(run.notes[3], "offline (connect)")
end)

test("for a while nobody tries the network again, then one does", function()
  local made = world { failure = "connect" }
  made:run()
  made:sleep(29)
  test.equal(made:run().tried, { "ollama/llama 200" })
  made:sleep(1)
  made.upstream["a/m"] = { text = "from afar" }
  test.equal(made:run().tried, { "a/m 200" })
end)

test("a provider that answers with an error can be reached", function()
  local made = world { status = 500 }
  test.equal(made:run().tried, { "a/m 500", "b/m 500" })
  test.equal(made:shared("local_when_offline", "is_offline"), nil)
end)
