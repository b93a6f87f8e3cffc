local test = require "neap.test"

local OK = { text = "hi" }
local BUSY = { status = 503 }

local function world_of(settings, upstream, policies)
  return test.world {
    policies = policies or { { "sticky", settings or {} }, "priority_failover" },
    targets = { "a/m", "b/m", "c/m" },
    upstream = upstream or { ["a/m"] = { BUSY, OK, OK, OK, OK }, ["b/m"] = OK, ["c/m"] = OK },
  }
end

--- What the requests tried, each as one text.
local function tried(world, ...)
  local list = {}
  for index, request in ipairs { ... } do
    list[index] = table.concat(world:run(request).tried, ", ")
  end
  return list
end

local function header(name, value) return { headers = { [name] = value } } end

-- a fails once: the conversation moves to b, where it stays, while others go to a.
local MOVED, STAYS, NEW = "a/m 503, b/m 200", "b/m 200", "a/m 200"

-- ------------------------------------------------------------------------------------
-- What tells a conversation

test("the header X-Conversation-Id", function()
  local one, two = header("x-conversation-id", "1"), header("x-conversation-id", "2")
  test.equal(tried(world_of(), one, one, two, one), { MOVED, STAYS, NEW, STAYS })
end)

test("metadata.conversation_id", function()
  local function of(id) return { metadata = { conversation_id = id } } end
  local one, two = of "1", of "2"
  test.equal(tried(world_of(), one, one, two, one), { MOVED, STAYS, NEW, STAYS })
end)

test("a header of one's own goes before all others", function()
  local function of(session, id)
    return { headers = { ["X-Session"] = session, ["x-conversation-id"] = id } }
  end
  test.equal(tried(world_of { header = "X-Session" }, of("1", "1"), of("1", "2"), of("2", "1")),
    { MOVED, STAYS, NEW })
end)

test("prompt_cache_key, then user", function()
  local function of(cache_key, user) return { prompt_cache_key = cache_key, user = user } end
  test.equal(tried(world_of(), of("1", "u"), of("1", "v"), of("2", "u")), { MOVED, STAYS, NEW })
  test.equal(tried(world_of(), of(nil, "u"), of(nil, "u"), of(nil, "v")), { MOVED, STAYS, NEW })
end)

local function says(...)
  local messages = { { role = "system", content = "Be kind." } }
  for index, content in ipairs { ... } do
    messages[index + 1] = { role = index % 2 == 1 and "user" or "assistant", content = content }
  end
  return { messages = messages }
end

test("else the messages up to the user's first: they stay while the others grow", function()
  test.equal(tried(world_of(), says("Hello"), says("Hello", "Hi!", "How are you?"),
    says("Good day"), says("Hello", "Hi!", "How are you?", "Fine.", "Bye")),
    { MOVED, STAYS, NEW, STAYS })
end)

test("marks in the first messages do not tell them apart", function()
  local marked = says { { type = "text", text = "Hello", cache_control = { type = "ephemeral" } } }
  test.equal(tried(world_of(), marked, says { { type = "text", text = "Hello" } }, says "Bye"),
    { MOVED, STAYS, NEW })
end)

test("by_beginning = false: only what the client names", function()
  test.equal(tried(world_of { by_beginning = false }, says "Hello", says "Hello"), { MOVED, NEW })
end)

test("bodies of odd shapes tell nothing, and pass", function()
  for _, odd in ipairs { { messages = { "text" } },
    { messages = { { role = "user", content = 7 } } },
    { messages = {} }, { messages = { { role = "assistant", content = "x" } } }, { user = 7 } } do
    test.equal(world_of():run(odd).status, 200)
  end
end)

test("a body above 1 MiB is not looked at, and passes", function()
  local long = says(("x"):rep(1024 * 1024 + 1))
  test.equal(tried(world_of(), long, long), { MOVED, NEW })
  long.headers = { ["x-conversation-id"] = "1" }
  test.equal(tried(world_of(), long, long), { MOVED, STAYS })
end)

-- ------------------------------------------------------------------------------------
-- A preference, never a lock

local ONE = header("x-conversation-id", "1")

test("the target that is preferred is noted", function()
  local world = world_of()
  world:run(ONE)
  test.equal(world:run(ONE).notes, { "b/m answered this conversation last" })
end)

test("where the preferred target fails, the one that answers is preferred next", function()
  local world = world_of(nil,
    { ["a/m"] = { BUSY, BUSY }, ["b/m"] = { OK, BUSY }, ["c/m"] = OK })
  test.equal(tried(world, ONE, ONE, ONE),
    { MOVED, "b/m 503, a/m 503, c/m 200", "c/m 200" })
end)

test("a target that rests is not preferred", function()
  local world = world_of()
  world:run(ONE)
  world:target("b/m"):rest(30, "limited")
  test.equal(tried(world, ONE), { NEW })
end)

test("an answer that failed teaches nothing", function()
  local world = world_of(nil,
    { ["a/m"] = { BUSY, OK, OK }, ["b/m"] = { BUSY }, ["c/m"] = { BUSY } })
  test.equal(tried(world, ONE, ONE), { "a/m 503, b/m 503, c/m 503", NEW })
end)

test("a stream that broke off teaches nothing", function()
  local world = world_of(nil, { ["a/m"] = { BUSY, OK },
    ["b/m"] = { { stream = { "he", { failure = "reset" } } } } })
  local streamed = { stream = true, headers = ONE.headers }
  test.equal(tried(world, streamed, streamed), { MOVED, NEW })
end)

test("it is forgotten a while after its last answer", function()
  local world = world_of { ttl = 100 }
  local function after(seconds)
    world:sleep(seconds)
    return tried(world, ONE)[1]
  end
  test.equal({ after(0), after(90), after(90), after(101) }, { MOVED, STAYS, STAYS, NEW })
end)

test("without a policy that walks, the preferred target is the one that is asked", function()
  local world = world_of(nil, { ["a/m"] = OK, ["b/m"] = OK, ["c/m"] = OK }, { "sticky" })
  world:target("a/m"):rest(10, "limited")
  test.equal(tried(world, ONE), { "b/m 200" })
  world:sleep(20)
  test.equal(tried(world, ONE, header("x-conversation-id", "2")), { "b/m 200", "a/m 200" })
end)
