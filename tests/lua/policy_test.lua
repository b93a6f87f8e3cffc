local chain_check = require "neap.chain_check"
local policy = require "neap.policy"
local setting = require "neap.setting"
local test = require "neap.tap"

local function definition(fields)
  local made = policy.define { summary = "Of a test.", walks = fields.walks,
    orders = fields.orders }
  function made:run(request, next) return next(request) end
  return made
end

local KNOWN = {
  failover = definition { walks = "target" },
  rotation = definition { walks = "key" },
  sticky = definition { orders = "target" },
  weighted = definition { orders = "key" },
  keyword = definition {},
}

local function check(...)
  local list = {}
  for index, name in ipairs { ... } do
    list[index] = { name = name, definition = KNOWN[name] }
  end
  return chain_check.check(list)
end

test("define: what a definition holds", function()
  local tries = setting.integer { default = 1 }
  local made = policy.define { summary = "S.", settings = { tries = tries }, walks = "key" }
  function made:run() return self end
  test.equal({ made.summary, made.walks, made.orders }, { "S.", "key", nil })
  test.equal(made.settings.tries, tries)
  test.equal(type(made.run), "function")
  test.ok(policy.is_definition(made))
  test.ok(not policy.is_definition { run = made.run })
end)

test("define: what it refuses", function()
  local function define(fields) return function() policy.define(fields) end end
  test.raises(define(nil), "takes a table")
  test.raises(define {}, "summary must be")
  test.raises(define { summary = "S.", walk = "key" }, "did you mean walks%?")
  test.raises(define { summary = "S.", walks = "keys" }, "\"target\" or \"key\"")
  test.raises(define { summary = "S.", settings = { a = 1 } }, "settings.a must be made by")
  test.raises(define { summary = "S.", settings = { setting.integer() } }, "has a name")
end)

test("a definition takes run and done, and functions only", function()
  local made = policy.define { summary = "S." }
  function made:done() end
  test.raises(function() made.run = 1 end, "run must be a function")
  test.raises(function() function made:helper() end end, "has no helper")
end)

test("hash takes texts", function()
  test.equal(type(policy.hash("a")), "number")
  test.equal(policy.hash("a"), policy.hash("a"))
  test.raises(function() policy.hash(1) end, "takes a text")
end)

test("chains that fit", function()
  test.equal(check(), {})
  test.equal(check("failover", "rotation", "keyword"), {})
  test.equal(check("failover", "weighted", "rotation", "keyword"), {})
  test.equal(check("sticky", "failover"), {})
  test.equal(check("rotation"), {}, "keys of the first target")
  test.equal(check("sticky"), {}, "the innermost step takes the first")
end)

test("chains that do not", function()
  test.match(check("failover", "failover")[1], "both walk the targets")
  test.match(check("rotation", "rotation")[1], "both walk the keys")
  test.match(check("failover", "sticky")[1], "sticky orders the targets inside of failover")
  test.match(check("failover", "rotation", "weighted")[1], "weighted orders the keys inside")
  test.match(check("rotation", "failover")[1], "rotation walks the keys outside of failover")
  test.match(check("weighted", "failover", "rotation")[1], "weighted orders the keys outside")
end)

test("a policy without run", function()
  local errors = chain_check.check {
    { name = "idle", definition = policy.define { summary = "S." } },
  }
  test.match(errors[1], "idle has no run")
end)

return test.finish()
