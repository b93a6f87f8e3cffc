local test = require "neap.test"

local verdict = test.lib "key_verdict"

local function of(response, rests, chance)
  return { verdict.of(response, { rests = rests or 0 }, chance or 0.5) }
end

test("a failure says nothing about a key", function()
  test.equal(of { failure = "timeout" }, { "nothing" })
end)

test("a success is well", function()
  test.equal(of { status = 200 }, { "well" })
end)

test("what the client or the provider did wrong says nothing", function()
  for _, status in ipairs { 400, 404, 413, 422, 500, 502, 529 } do
    test.equal(of { status = status, body = "{}" }, { "nothing" }, "status " .. status)
  end
end)

test("a limit's rest grows to 60 s and no further", function()
  local seconds = {}
  for rests = 0, 7 do seconds[rests + 1] = of({ status = 429 }, rests)[3] end
  test.equal(seconds, { 1, 2, 4, 8, 16, 32, 60, 60 })
  test.equal(of({ status = 429 }, 40, 1)[3], 60)
end)

test("a limit that names its end rests until then, without chance", function()
  test.equal(of({ status = 429, retry_after = 3 }, 5, 1)[3], 3)
  test.equal(of({ status = 429, retry_after = 0 }, 5, 1)[3], 0)
end)

test("a quota goes before a rate, a wrong key before both", function()
  test.equal(of { status = 429, body = "insufficient_quota" }[3], 3600)
  test.equal(of { status = 429, body = "insufficient_quota API_KEY_INVALID" }[1], "disable")
end)
