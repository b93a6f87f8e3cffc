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

test("so are a world's, its limits', its timeouts' and its targets'", function()
  for slip, text in pairs {
    limit = "a world has no \"limit\": did you mean limits%?",
    upsteam = "a world has no \"upsteam\": did you mean upstream%?",
    limits = "limits has no \"tries\": known are attempts, seconds",
    timeouts = "timeouts has no \"first\": known are connect",
  } do
    local given = slip == "timeouts" and { first = 1 } or { tries = 1 }
    test.raises(function() test.world { policies = {}, [slip] = given } end, text)
  end
  test.raises(function()
    test.world { policies = {}, targets = { { "a/m", wieght = 2 } } }
  end, "a target has no \"wieght\": did you mean weight%?")
end)

test("each failure that an attempt can have can be scripted", function()
  for _, failure in ipairs { "connect", "timeout", "tls", "reset", "protocol", "empty" } do
    run_with { failure = failure } ()
  end
end)
