local test = require "neap.test"

local function world(canary, random)
  return test.world {
    policies = { { "canary", { canary = { "new/m" } } }, "priority_failover" },
    targets  = { "old/m", "new/m" }, random = random,
    upstream = { ["old/m"] = { text = "old" }, ["new/m"] = canary },
  }
end

test("about one request in twenty tries the canary", function()
  local made, count = world { text = "new" }, 0
  for _ = 1, 1000 do
    if made:run().text == "new" then count = count + 1 end
  end
  test.ok(count > 25 and count < 75, ("%d of 1000"):format(count))
end)

test("where the canary fails, the old target answers", function()
  for _, answer in ipairs { { status = 500 }, { status = 404 }, { failure = "reset" } } do
    local run = world(answer, 0):run()
    test.equal({ run.text, #run.tried }, { "old", 2 })
  end
end)

test("where the old one fails, the canary does not stand in", function()
  local made = world({ text = "new" }, 0.5)
  made.upstream["old/m"] = { status = 500 }
  test.equal(made:run().tried, { "old/m 500" })
end)

test("without a canary every request passes", function()
  local run = test.run {
    policies = { "canary", "priority_failover" }, targets = { "old/m" }, random = 0,
    upstream = { ["old/m"] = { text = "old" } },
  }
  test.equal(run.text, "old")
end)
