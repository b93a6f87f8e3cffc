local test = require "neap.test"

local function world(settings)
  settings.b = { "b" }
  return test.world {
    policies = { { "ab_by_hash", settings }, "priority_failover" },
    targets  = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "A" }, ["b/m"] = { text = "B" } },
  }
end

local function variants(made, count)
  local list, of_b = {}, 0
  for index = 1, count do
    list[index] = made:run({ token = "user " .. index }).text
    if list[index] == "B" then of_b = of_b + 1 end
  end
  return list, of_b
end

test("a user always gets the same variant", function()
  local made = world {}
  test.equal((variants(made, 50)), (variants(made, 50)))
end)

test("the share of users in B is the one that is set", function()
  local _, of_b = variants(world { share = 0.25 }, 1000)
  test.ok(math.abs(of_b - 250) < 50, ("%d of 1000"):format(of_b))
  test.equal({ select(2, variants(world { share = 0 }, 50)),
    select(2, variants(world { share = 1 }, 50)) }, { 0, 50 })
end)

test("another name deals the users anew", function()
  local list, again = variants(world {}, 50), variants(world { name = "second" }, 50)
  test.ok(table.concat(list) ~= table.concat(again), "the same users are in B")
end)

test("without a token the first message says who it is, all through a chat", function()
  local made, chat = world {}, { { role = "user", content = "Good morning" } }
  local first = made:run({ messages = chat }).text
  for turn = 1, 10 do
    chat[#chat + 1] = { role = "user", content = "turn " .. turn }
    test.equal(made:run({ messages = chat }).text, first)
  end
end)

test("where the variant fails the other one answers", function()
  local made = world { share = 1 }
  made.upstream["b/m"] = { status = 500 }
  local run = made:run()
  test.equal({ run.text, run.notes[1] }, { "A", "variant B" })
end)
