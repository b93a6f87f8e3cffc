-- How policies that fail are counted for all workers, and set aside.
local test = require "neap.test" -- its memory stands in for the host's
local fault = require "neap.fault"
local host = require "neap.host"
local steps = require "neap.steps"

local GROUP = { name = "pool" }

local logged

--- From now on all is of this generation.
local function use_generation(generation) host.generation = function() return generation end end

--- An empty memory, and a log that is kept.
local function begin()
  test.world { policies = {} }
  logged = {}
  use_generation(1)
  host.log = function(_, _, text) logged[#logged + 1] = text end
end

--- A request that has come to the policy.
local function request(layer) return { layer = layer, steps = steps.new(), record = {} } end

--- A chain as one worker has it.
local function chain(...)
  local instances = {}
  for index, name in ipairs { ... } do instances[index] = { name = name } end
  return { instances = instances }
end

local function fail(times, layer)
  for _ = 1, times do fault.note(GROUP, request(layer), "it broke") end
end

local function count_logged(pattern)
  local count = 0
  for _, text in ipairs(logged) do
    if text:find(pattern) then count = count + 1 end
  end
  return count
end

test("a policy is set aside at its fifth failure, whichever worker met it", function()
  begin()
  local workers = { chain("a", "b"), chain("a", "b") }
  fail(4, "b")
  for _, one in ipairs(workers) do test.equal(fault.find(one), nil) end
  fail(1, "b")
  for _, one in ipairs(workers) do test.equal(fault.find(one), "b") end
  test.equal(fault.find(chain "a"), nil)
end)

test("each failure is logged, that it is set aside once", function()
  begin()
  fail(8, "b")
  test.equal(count_logged "^group pool: b: it broke$", 8)
  test.equal(count_logged "^b is set aside", 1)
end)

test("a new generation begins anew, and an old one does not count against it", function()
  begin()
  fail(5, "b")
  use_generation(2)
  test.equal(fault.find(chain "b"), nil)
  fail(1, "b")
  use_generation(1)
  fail(9, "b")
  use_generation(2)
  test.equal(fault.find(chain "b"), nil)
  fail(4, "b")
  test.equal(fault.find(chain "b"), "b")
end)

test("what is set aside is counted by name, over all chains", function()
  begin()
  local known = { default_chain = chain("c"), group_list = {
    { chain = chain("a", "b") }, { chain = chain("b"), fallback = chain("d", "a") },
  } }
  fail(5, "b")
  fail(5, "d")
  fail(4, "a")
  fail(5, "gone")
  test.equal(fault.count(known), 2)
  use_generation(2)
  test.equal(fault.count(known), 0)
end)

-- ------------------------------------------------------------------------------------
-- Whose failure it is, and what answers instead

local function text(run)
  return ("local policy = require \"neap.policy\"\n"
    .. "local mine = policy.define { summary = \"Of a test.\" }\n"
    .. "function mine:run(request, next)\n%s\nend\nreturn mine\n"):format(run)
end

local TEXTS = {
  raises = text "error \"broken\"",
  raises_late = text "next(request) error \"broken late\"",
  passes = text "return next(request)",
  says = text "return request:reply \"from the fallback\"",
  decodes = text "request:json() return next(request)",
}

local function world(policies, fallback)
  return test.world { policies = policies, fallback = fallback, texts = TEXTS,
    targets = { "a/m" }, upstream = { ["a/m"] = { text = "hi" } } }
end

local function steps_of(run)
  local kinds = {}
  for _, step in ipairs(run.trace) do kinds[#kinds + 1] = step[1] .. " " .. tostring(step[2]) end
  return kinds
end

test("the fallback answers for a policy that raises, and at once when that is set aside", function()
  local one = world({ "raises" }, { "says" })
  for _ = 1, 5 do
    local run = one:run()
    test.equal({ run.status, run.text }, { 200, "from the fallback" })
    test.match(run.error, "raises%.lua:4: broken")
    test.equal(steps_of(run), { "raised raises", "fallback nil", "return says" })
  end
  local run = one:run()
  test.equal({ run.status, run.text, run.error }, { 200, "from the fallback", nil })
  test.equal(steps_of(run), { "aside raises", "fallback nil", "return says" })
end)

test("without a fallback it is a 500, never the chain without the policy", function()
  local one = world { "raises", "passes" }
  for _ = 1, 7 do
    local run = one:run()
    test.equal({ run.status, run.tried }, { 500, {} })
  end
  test.equal(steps_of(one:run()), { "aside raises" })
end)

test("a fallback that is set aside is not run either", function()
  local one = world({ "raises" }, { "raises_late" })
  for _ = 1, 5 do test.equal(one:run().tried, { "a/m 200" }) end
  local run = one:run()
  test.equal({ run.status, run.tried }, { 500, {} })
end)

test("who raises after next is to blame, not what it went to", function()
  local one = world({ "raises_late", "passes" })
  local run = one:run()
  test.equal(steps_of(run),
    { "next raises_late", "next passes", "raised raises_late" })
end)

test("a body that cannot be decoded is nobody's failure", function()
  local one = world { "decodes" }
  for _ = 1, 7 do
    test.equal(one:run { messages = ("x"):rep(1024 * 1024) }.status, 413)
  end
  test.equal(one:run().status, 200)
end)
