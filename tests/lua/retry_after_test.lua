local retry_after = require "neap.retry_after"
local test = require "neap.tap"

local WALL = 1767225600 -- 2026-01-01 00:00:00 UTC

local function read(headers, body)
  return retry_after.read(function(name) return headers[name] end, body, WALL)
end

test("nothing said, nothing known", function()
  test.equal(read({}), nil)
  test.equal(read({}, "{\"error\":{}}"), nil)
  test.equal(read { ["retry-after"] = "soon" }, nil)
  test.equal(read { ["retry-after"] = "nan" }, nil)
end)

test("retry-after: seconds, a date, milliseconds", function()
  test.equal(read { ["retry-after"] = "30" }, 30)
  test.equal(read { ["retry-after"] = "0.5" }, 0.5)
  test.equal(read { ["retry-after"] = "Thu, 01 Jan 2026 00:01:00 GMT" }, 60)
  test.equal(read { ["retry-after-ms"] = "250", ["retry-after"] = "30" }, 0.25)
end)

test("a date that is over means now", function()
  test.equal(read { ["retry-after"] = "Wed, 31 Dec 2025 23:00:00 GMT" }, 0)
end)

test("a wait is bounded", function()
  test.equal(read { ["retry-after"] = "99999999" }, 7 * 86400)
  test.equal(read { ["retry-after"] = "-5" }, 0)
end)

test("dates", function()
  test.equal(retry_after.date("Thu, 01 Jan 1970 00:00:00 GMT"), 0)
  test.equal(retry_after.date("Tue, 29 Feb 2028 12:30:15 GMT"), 1835440215)
  test.equal(retry_after.date("yesterday"), nil)
  test.equal(retry_after.date("Thu, 01 Foo 2026 00:00:00 GMT"), nil)
end)

test("durations", function()
  for text, seconds in pairs { ["6m0s"] = 360, ["1.5s"] = 1.5, ["1h2m"] = 3720, ["22s"] = 22 } do
    test.equal(retry_after.duration(text), seconds, text)
  end
  test.ok(math.abs(retry_after.duration("12ms") - 0.012) < 1e-9)
  for _, text in ipairs { "", "s", "5", "5y", "5s!" } do
    test.equal(retry_after.duration(text), nil, text)
  end
end)

test("a limit's reset counts where nothing remains", function()
  test.equal(read { ["x-ratelimit-reset-requests"] = "2s",
    ["x-ratelimit-remaining-requests"] = "1" }, nil)
  test.equal(read { ["x-ratelimit-reset-tokens"] = "2s",
    ["x-ratelimit-remaining-tokens"] = "0" }, 2)
  test.equal(read { ["x-ratelimit-reset-tokens"] = "3",
    ["x-ratelimit-remaining-tokens"] = "0" }, 3)
end)

test("of two limits that are used up, the longer wait", function()
  test.equal(read { ["x-ratelimit-reset-requests"] = "1s", ["x-ratelimit-reset-tokens"] = "6m0s",
    ["x-ratelimit-remaining-requests"] = "0", ["x-ratelimit-remaining-tokens"] = "0" }, 360)
end)

test("a limit's reset without what remains", function()
  test.equal(read { ["x-ratelimit-reset-requests"] = "2s" }, 2)
end)

test("a reset as a time", function()
  local soon = { ["x-ratelimit-remaining-requests"] = "0" }
  soon["x-ratelimit-reset-requests"] = tostring(WALL + 90)
  test.equal(read(soon), 90)
  soon["x-ratelimit-reset-requests"] = ("%d"):format((WALL + 90) * 1000)
  test.equal(read(soon), 90)
  test.equal(read { ["anthropic-ratelimit-unified-reset"] = tostring(WALL + 18000) }, 18000)
end)

test("a reset that cannot be read", function()
  test.equal(read { ["x-ratelimit-reset-requests"] = "soon" }, nil)
end)

test("Gemini's retryDelay, where no header says anything", function()
  local body = "{\"error\":{\"details\":[{\"retryDelay\": \"22.5s\"}]}}"
  test.equal(read({}, body), 22.5)
  test.equal(read({ ["retry-after"] = "3" }, body), 3)
end)
