-- Who is found under which name, who may use it, and in which order things come.
local test = require "neap.test" -- its memory stands in for the host's
local catalog = require "neap.catalog"
local offer = require "neap.offer"
local object = require "neap.object"

local function provider(name, models, fields)
  local made = { name = name, dialect = "openai", url = "https://" .. name .. ".test",
    is_on = true, models = models, timeouts = {}, keys = { { id = "k1", secret = name .. "-1" } } }
  for field, value in pairs(fields or {}) do made[field] = value end
  return made
end

local function new(fields)
  test.world { policies = {} } -- an empty memory
  return catalog.new {
    providers = fields.providers or { provider("a", { m = true, x = true }),
      provider("b", { m = true }),
      provider("off", { m = true, y = true }, { is_on = false }) },
    groups = fields.groups or { { name = "pool", targets = { { provider = "a", model = "m" },
      { provider = "off", model = "m" } } } },
    tokens = fields.tokens or {},
  }
end

local function names(targets)
  local list = {}
  for index, target in ipairs(targets) do list[index] = target.name end
  return list
end

local function token(fields)
  local function set(list)
    local made = {}
    for _, name in ipairs(list) do made[name] = true end
    return made
  end
  return { name = "t", groups = fields.groups and set(fields.groups),
    providers = fields.providers and set(fields.providers) }
end

test("a model is a group, a provider/model, or what some providers offer", function()
  local known = new {}
  test.equal(names(offer.resolve(known, nil, "pool").targets), { "a/m" })
  test.equal(names(offer.resolve(known, nil, "b/anything").targets), { "b/anything" })
  test.equal(names(offer.resolve(known, nil, "m").targets), { "a/m", "b/m" })
  test.equal(offer.resolve(known, nil, "m").name, "m")
end)

test("what nobody offers is 404", function()
  local known = new {}
  for _, name in ipairs { "nothing", "nobody/m", "off/m", "y" } do
    test.equal({ offer.resolve(known, nil, name) }, { nil, 404 }, name)
  end
end)

test("a provider that is off is told from one that is not there", function()
  local known = new {}
  test.equal(offer.off_provider(known, nil, "off/m"), "off")
  test.equal(offer.off_provider(known, nil, "off/any"), "off")
  test.equal(offer.off_provider(known, nil, "y"), "off")
  test.equal(offer.off_provider(known, nil, "nobody/m"), nil)
  test.equal(offer.off_provider(known, nil, "nothing"), nil)
  test.equal(offer.off_provider(known, token { providers = { "b" } }, "off/m"), nil)
end)

test("a token uses what it names, and all if it names nothing", function()
  local known = new {}
  local of_group, of_provider = token { groups = { "pool" } }, token { providers = { "b" } }
  test.ok(offer.resolve(known, token {}, "pool"))
  test.ok(offer.resolve(known, of_group, "pool"))
  test.equal({ offer.resolve(known, of_group, "a/m") }, { nil, 403 })
  test.equal({ offer.resolve(known, of_provider, "pool") }, { nil, 403 })
  test.equal(names(offer.resolve(known, of_provider, "m").targets), { "b/m" })
  test.equal({ offer.resolve(known, of_provider, "x") }, { nil, 404 })
end)

test("the list of models shows what a token may name", function()
  local known = new {}
  local function ids(of)
    local list = {}
    for index, model in ipairs(offer.list(known, of)) do list[index] = model.id end
    return list
  end
  test.equal(ids(nil), { "m", "pool", "x" })
  test.equal(ids(token { groups = { "pool" } }), { "pool" })
  test.equal(ids(token { providers = { "b" } }), { "m" })
end)

test("a model with the name of a group that the token may not use is not listed", function()
  local known = new { groups = { { name = "m", targets = { { provider = "a", model = "m" } } } } }
  local of = token { providers = { "b" } }
  test.equal({ offer.resolve(known, of, "m") }, { nil, 403 })
  test.equal(offer.list(known, of), {})
  test.equal(#offer.list(known, nil), 2)
end)

test("targets come by priority, price, in flight, then as written", function()
  local known = new {
    providers = {
      provider("a", { m = true }), provider("b", { m = { input = 1, output = 3 } }),
      provider("c", { m = { input = 1, output = 1 } }), provider("d", { m = true }),
    },
    groups = { { name = "pool", targets = { { provider = "a", model = "m" },
      { provider = "b", model = "m" }, { provider = "c", model = "m" },
      { provider = "d", model = "m", priority = 0 } } } },
  }
  test.equal(names(catalog.order_targets(known.groups.pool)), { "d/m", "c/m", "b/m", "a/m" })
end)

test("the less busy one of two equal targets goes first", function()
  local world = test.world { policies = { "priority_failover" }, targets = { "a/m", "b/m" },
    upstream = { ["a/m"] = { text = "a", after = 9 }, ["b/m"] = { text = "b", after = 9 } } }
  local runs = world:run_all { {}, {} }
  test.equal({ runs[1].tried, runs[2].tried }, { { "a/m 200" }, { "b/m 200" } })
end)

test("resting targets come last, in the order in which they wake; disabled ones behind", function()
  local world = test.world { policies = { "priority_failover" },
    targets = { "a/m", "b/m", "c/m" }, upstream = {} }
  world:target("a/m"):rest(60, "for the test")
  world:target("b/m"):rest(30, "for the test")
  test.equal(names(catalog.order_targets(world.catalog.groups.group)), { "c/m", "b/m", "a/m" })
end)

test("a key is known by its secret: its state outlives its name and its place", function()
  local first = new { providers = { provider("a", { m = true },
    { keys = { { id = "old", secret = "s" } } }) } }
  first.providers.a.keys[1].health:rest(60, "for the test")
  local again = catalog.new { tokens = {}, groups = {}, providers = { provider("a", { m = true },
    { keys = { { id = "x", secret = "t" }, { id = "new", secret = "s" } } }) } }
  test.ok(again.providers.a.keys[1].health:is_ready())
  test.ok(not again.providers.a.keys[2].health:is_ready())
end)

test("a key's rest for one model is seen by every state, and by that model alone", function()
  local spec = { policies = {}, targets = { "a/m", "a/n" } }
  local world = test.world(spec)
  world:key("a", "k1", "m"):rest(60, "for the test", "m")
  test.equal(world:key("a", "k1", "m").state, "resting")
  test.equal(world:key("a", "k1", "n").state, "ready")
  world:key("a", "k1", "m"):well()
  test.equal(world:key("a", "k1", "m").state, "ready")
end)

test("rest, disable and probe check what they are given", function()
  local world = test.world { policies = {}, targets = { "a/m" } }
  local target, key = world:target("a/m"), world:key("a", "k1")
  test.raises(function() target:rest("long") end, "rest takes a number of seconds")
  test.raises(function() key:rest(-1) end, "rest takes a number of seconds")
  test.raises(function() key:disable() end, "disable takes a reason")
  test.raises(function() target.rest(key, 1) end, "not a target")
end)

test("a key that is disabled is probed at its time, by one at a time", function()
  local world = test.world { policies = {}, targets = { "a/m" } }
  local key = world:key("a", "k1")
  key:disable("refused", 600)
  test.equal({ key.state, key.why, key:probe() }, { "disabled", "refused", false })
  world:sleep(600)
  test.equal({ key:probe(), key:probe() }, { true, false })
  key:well()
  test.equal(key.state, "ready")
end)

test("a key's balance is the configuration's until another one is stored", function()
  local world = test.world { policies = {}, targets = { "a/m" },
    keys = { a = { { id = "k1", balance = 10 }, "k2" } } }
  local key, other = world:key("a", "k1"), world:key("a", "k2")
  test.equal({ key.balance, other.balance }, { 10, nil })
  object.inside(catalog.Key, key).key.health:set_balance(2.5)
  test.equal(key.balance, 2.5)
  object.inside(catalog.Key, key).key.health:set_balance(nil)
  test.equal(key.balance, 10)
end)
