local test = require "neap.test"

local verdict = test.lib "key_verdict"

local function of(response, rests, chance)
  response.seconds = response.seconds or 1
  local policy = { random = function() return chance or 0.5 end }
  return { verdict.of(response, { rests = rests or 0 }, policy) }
end

test("a failure says nothing about a key", function()
  test.equal(of { failure = "timeout" }, { "nothing" })
end)

test("what neap itself answered says nothing: no key was asked", function()
  test.equal({ verdict.of({ status = 429 }, { rests = 0 }) }, { "nothing" })
  test.equal({ verdict.of({ status = 200 }, { rests = 0 }) }, { "nothing" })
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

local QUOTA = [["code": "insufficient_quota"]]
local INVALID = [["reason":"API_KEY_INVALID"]]
local DAY = [["quotaId":"GenerateRequestsPerDayPerProject-FreeTier","retryDelay":"22s"]]

test("a quota goes before a rate, a wrong key before both", function()
  test.equal(of { status = 429, body = QUOTA }[3], 3600)
  test.equal(of { status = 429, body = [["type":"insufficient_quota"]] }[3], 3600)
  test.equal(of { status = 429, body = QUOTA .. INVALID }[1], "disable")
end)

test("a quota rests until its reset; the day's has none in its retryDelay", function()
  test.equal(of { status = 402, retry_after = 90 }[3], 90)
  test.equal(of { status = 429, body = QUOTA, retry_after = 90 }[3], 90)
  test.equal(of { status = 429, body = DAY, retry_after = 22 }[3], 3600)
end)

test("a prompt that is quoted in an error condemns no key", function()
  for _, text in ipairs { QUOTA, INVALID, DAY, "API_KEY_INVALID" } do
    local body = [[{"error":{"message":"bad prompt: ]] .. text:gsub("\"", "\\\"") .. [["}}]]
    test.equal(of { status = 400, body = body }, { "nothing" }, body)
  end
end)

test("5xx says nothing about a key, whatever its body says", function()
  test.equal(of { status = 500, body = QUOTA .. INVALID }, { "nothing" })
end)
