-- What the harness says to who made a slip in a test: it would be a test of another thing.
local test = require "neap.test"

local function run_with(answer)
  return function()
    test.run { policies = { "priority_failover" }, targets = { "a/m" },
      upstream = { ["a/m"] = answer } }
  end
end

test("an answer's fields are known ones", function()
  test.raises(run_with { status = 429, header = {} },
    "an answer has no header: did you mean headers%?")
  test.raises(run_with { text = "hi", at = 2 }, "an answer has no at")
  test.raises(run_with { { text = "hi", delay = 1 } }, "an answer has no delay")
end)

test("each failure that an attempt can have can be scripted", function()
  for _, failure in ipairs { "connect", "timeout", "tls", "reset", "protocol", "empty" } do
    run_with { failure = failure } ()
  end
end)
