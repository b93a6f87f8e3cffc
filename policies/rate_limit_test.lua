local test = require "neap.test"

local OK = { text = "hi" } -- with a usage of 5 tokens

-- The day begins with the world: 2026-01-01 00:00:00 UTC.
local function world_of(settings, answer, more)
  local given = { policies = { { "rate_limit", settings } }, targets = { "a/m" },
    upstream = { ["a/m"] = answer or OK } }
  for name, value in pairs(more or {}) do given[name] = value end
  return test.world(given)
end

local function statuses(world, count, request)
  local list = {}
  for index = 1, count do list[index] = world:run(request).status end
  return list
end

--- A request whose body is about so many tokens.
local function of_tokens(count)
  return { messages = ("word "):rep(math.floor((count - 30) * 4 / 5)) }
end

test("without any limit everything passes", function()
  test.equal(statuses(world_of {}, 3), { 200, 200, 200 })
end)

-- ------------------------------------------------------------------------------------
-- Requests

test("requests per minute: the next one is told to wait for the minute's end", function()
  local world = world_of { requests_per_minute = 2 }
  world:sleep(18)
  test.equal(statuses(world, 2), { 200, 200 })
  local run = world:run()
  test.equal({ run.status, run.headers["retry-after"], run.tried }, { 429, "42", {} })
  test.match(run.body, "the limit of 2 requests per minute is reached")
  test.equal(run.notes, { "requests_per_minute of nobody: 2 are used up" })
  world:sleep(41)
  test.equal(world:run().status, 429)
  world:sleep(1)
  test.equal(statuses(world, 3), { 200, 200, 429 })
end)

test("a refusal is an error in the client's dialect", function()
  local world = world_of { requests_per_minute = 1 }
  world:run()
  local run = world:run()
  test.match(run.body, "\"type\":\"rate_limit_error\"")
  test.match(run.body, "\"code\":\"rate_limit_exceeded\"")
end)

test("requests per day: until midnight", function()
  local world = world_of { requests_per_day = 1 }
  world:sleep(3600)
  test.equal(statuses(world, 2), { 200, 429 })
  test.equal(world:run().headers["retry-after"], tostring(23 * 3600))
  world:sleep(23 * 3600)
  test.equal(statuses(world, 2), { 200, 429 })
end)

test("utc_offset moves midnight", function()
  local world = world_of { requests_per_day = 1, utc_offset = -3.5 }
  world:run()
  test.equal(world:run().headers["retry-after"], tostring(3.5 * 3600))
end)

test("a failed request counts as one, too", function()
  local world = world_of({ requests_per_minute = 1 }, { status = 500 })
  test.equal(statuses(world, 2), { 500, 429 })
end)

test("side by side no more pass than may", function()
  local world = world_of { requests_per_minute = 3 }
  local passed = 0
  for _, run in ipairs(world:run_all { {}, {}, {}, {}, {}, {} }) do
    if run.status == 200 then passed = passed + 1 end
  end
  test.equal(passed, 3)
end)

-- ------------------------------------------------------------------------------------
-- Tokens

test("tokens: the estimate is reserved, and corrected by the usage", function()
  local world = world_of({ tokens_per_minute = 300 }, { { text = "slow", after = 5 }, OK })
  -- Side by side two estimates of about 200 are more than 300.
  local runs = world:run_all { of_tokens(200), of_tokens(200) }
  test.equal({ runs[1].status, runs[2].status }, { 200, 429 })
  -- Of the first, 5 were used.
  test.equal(world:run(of_tokens(200)).status, 200)
end)

test("tokens: a usage above the estimate counts", function()
  local usage = [[{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":40,
    "completion_tokens":260,"total_tokens":300}}]]
  local world = world_of({ tokens_per_minute = 300 }, { body = usage })
  test.equal(statuses(world, 2), { 200, 429 })
end)

test("tokens: what becomes known in a later minute counts there", function()
  local usage = [[{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":1000}}]]
  local world = world_of({ tokens_per_minute = 1000 },
    { { stream = { "a", { "b", at = 70 }, { data = usage, at = 70 } } }, OK })
  test.equal(world:run({ stream = true }).status, 200)
  local run = world:run()
  test.equal({ run.status, run.headers["retry-after"] }, { 429, "50" })
end)

test("tokens: a stream's usage counts, too", function()
  local usage = [[{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":260}}]]
  local world = world_of({ tokens_per_day = 300 }, { { stream = { "a", { data = usage } } } })
  test.equal({ world:run({ stream = true }).status, world:run().status }, { 200, 429 })
end)

test("tokens: a failed request has used none", function()
  local world = world_of({ tokens_per_minute = 300 }, { { status = 500 }, OK })
  test.equal({ world:run(of_tokens(200)).status, world:run(of_tokens(200)).status }, { 500, 200 })
end)

test("tokens: without a usage the estimate stands", function()
  local world = world_of({ tokens_per_minute = 300 },
    { body = [[{"choices":[{"message":{"content":"hi"}}]}]] })
  test.equal({ world:run(of_tokens(200)).status, world:run(of_tokens(200)).status }, { 200, 429 })
end)

test("tokens: a request above the limit will never pass, and is not told to wait", function()
  local run = world_of({ tokens_per_minute = 50 }):run(of_tokens(200))
  test.equal({ run.status, run.headers["retry-after"] }, { 413, nil })
  test.match(run.body, "the limit of 50 tokens per minute is below that")
end)

-- ------------------------------------------------------------------------------------
-- In flight

test("in flight: no more at once; there is room again after the end", function()
  local world = world_of({ in_flight = 2 }, { text = "slow", after = 5 })
  local list = {}
  for index, run in ipairs(world:run_all { {}, {}, {} }) do list[index] = run.status end
  test.equal(list, { 200, 200, 429 })
  test.equal(statuses(world, 4), { 200, 200, 200, 200 })
end)

test("in flight: a stream counts until its end", function()
  local world = world_of({ in_flight = 1 },
    { { stream = { "a", { "b", at = 30 } } }, OK })
  local runs = world:run_all { { stream = true }, { stream = true } }
  test.equal({ runs[1].status, runs[2].status, runs[2].headers["retry-after"] },
    { 200, 429, "1" })
  test.equal(world:run().status, 200)
end)

test("in flight: what failed, or was refused by another, gives its place back", function()
  local world = world_of({ in_flight = 1 }, { { status = 500 }, { failure = "connect" } },
    { policies = { { "rate_limit", { in_flight = 1 } }, "refuser" },
      texts = { refuser = [[
        local policy = require "neap.policy"
        local mine = policy.define { summary = "Refuses or raises on request." }
        function mine:run(request, next)
          if request.headers.refuse then return request:refuse(400, "no") end
          if request.headers.raise then error("raised") end
          return next(request)
        end
        return mine]] } })
  local list = {}
  for index, headers in ipairs { {}, {}, { refuse = "1" }, { raise = "1" }, { refuse = "1" } } do
    list[index] = world:run({ headers = headers }).status
  end
  test.equal(list, { 500, 502, 400, 500, 400 })
end)

test("in flight: a place whose end never came is free after an hour", function()
  local world = world_of { in_flight = 1 }
  world.memory.shared_set("rate_limit\0group\0group\0in_flight 1 nobody", 1, 3600)
  test.equal(world:run().status, 429)
  world:sleep(3600)
  test.equal(statuses(world, 2), { 200, 200 })
end)

-- ------------------------------------------------------------------------------------
-- Together

test("a refused request gives back what it took of the others", function()
  local world = world_of { requests_per_day = 3, requests_per_minute = 1, tokens_per_day = 1000 }
  test.equal(statuses(world, 5), { 200, 429, 429, 429, 429 })
  world:sleep(60)
  test.equal(world:run().status, 200)
  world:sleep(60)
  test.equal(world:run().status, 200)
  world:sleep(60)
  test.equal(world:run().headers["retry-after"], tostring(86400 - 180))
end)

test("of two limits that are reached the longer wait is told", function()
  local world = world_of { requests_per_day = 1, requests_per_minute = 1 }
  world:run()
  test.equal(world:run().headers["retry-after"], "86400")
end)

test("each model that is asked for has limits of its own", function()
  local world = world_of { requests_per_minute = 1, by = "model" }
  local list = {}
  for index, model in ipairs { "group", "group", "alias", "alias" } do
    list[index] = world:run({ model = model }).status
  end
  test.equal(list, { 200, 429, 200, 429 })
end)

test("by group: whoever asks", function()
  local world = world_of { requests_per_minute = 1, by = "group" }
  test.equal({ world:run({ model = "group" }).status, world:run({ model = "alias" }).status },
    { 200, 429 })
end)

test("a request counts once, where the limit stands inside of a policy that tries again", function()
  local world = world_of(nil, nil, { targets = { "a/m", "b/m" },
    policies = { "priority_failover", { "rate_limit", { requests_per_minute = 2 } } },
    upstream = { ["a/m"] = { status = 500 }, ["b/m"] = OK } })
  test.equal(statuses(world, 3), { 200, 200, 429 })
end)
