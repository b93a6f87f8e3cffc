-- Records with versions, on the rows of the store.
local host = require "neap.host"
local json = require "neap.json"
local rows = require "neap.test.rows"
local store = require "neap.store"
local test = require "neap.tap"

local function new()
  local made = rows.new()
  for name, instead in pairs(made.functions) do host[name] = instead end
  return made
end

local function names(list)
  local found = {}
  for index, one in ipairs(list) do found[index] = one.name end
  return found
end

test("a record is stored with a version that each write makes greater", function()
  local at = new()
  test.equal(store.put("group", "a", { targets = json.array() }), 1)
  test.equal(store.get("group", "a"), { targets = {}, version = 1 })
  test.equal(store.put("group", "a", { strict = true, version = 77 }, 1), 2)
  test.equal(store.get("group", "a"), { strict = true, version = 2 })
  test.equal(at.tables.config["group/a"], [[{"strict":true,"version":2}]])
  test.equal(store.get("group", "b"), nil)
end)

test("who has seen another version is refused", function()
  local at = new()
  test.equal({ store.put("group", "a", {}, 1) }, { nil, "conflict", 1 })
  store.put("group", "a", {}, 0)
  test.equal({ store.put("group", "a", {}, 0) }, { nil, "conflict", 1 })
  test.equal({ store.delete("group", "a", 2) }, { nil, "conflict", 1 })
  at.on_write = function() at.tables.config["group/a"] = [[{"version":2}]] end
  test.equal({ store.put("group", "a", {}, 1) }, { nil, "conflict", 1 })
  test.equal(store.get("group", "a").version, 2)
end)

test("who does not mind writes over what came in between", function()
  local at, times = new(), 0
  at.on_write = function()
    times = times + 1
    if times < 3 then at.tables.config["group/a"] = ([[{"version":%d}]]):format(10 * times) end
  end
  test.equal(store.put("group", "a", {}), 21)
  at.tables.config["group/a"] = nil
  at.on_write = function(ops) at.tables.config["group/a"] = (ops[1][4] or "") .. " " end
  test.equal({ store.put("group", "a", {}) }, { nil, "conflict", 1 })
end)

test("several changes are made together or not at all", function()
  local at = new()
  store.put("provider", "a", {})
  test.equal(store.write { { kind = "provider", name = "a" },
    { kind = "key", name = "a/k", fields = { label = "x" }, expected = 0 } }, { 0, 1 })
  test.equal({ at.tables.config["provider/a"], store.get("key", "a/k").label }, { nil, "x" })
  local function write()
    return store.write { { kind = "provider", name = "b", fields = {} },
      { kind = "key", name = "a/k", expected = 9 } }
  end
  test.equal({ write() }, { nil, "conflict", 2 })
  test.equal(store.get("provider", "b"), nil)
  at.on_write = function() at.tables.keys["a/k"] = [[{"version":5}]] end
  test.equal({ store.write { { kind = "provider", name = "b", fields = {} },
    { kind = "key", name = "a/k", expected = 1 } } }, { nil, "conflict", 2 })
  test.equal(store.get("provider", "b"), nil)
end)

test("a record is removed", function()
  new()
  store.put("token", "t", {})
  test.equal(store.delete("token", "t", 1), true)
  test.equal(store.get("token", "t"), nil)
  test.equal(store.delete("token", "t"), true)
end)

test("records come in pages, by name, of their kind alone", function()
  local at = new()
  for _, name in ipairs { "b", "c", "a/x", "d" } do store.put("group", name, { is = name }) end
  store.put("groupie", "z", {})
  local first, cursor = store.list("group", { limit = 3 })
  test.equal({ names(first), cursor }, { { "a/x", "b", "c" }, "c" })
  local second, none = store.list("group", { limit = 3, after = cursor })
  test.equal({ names(second), none }, { { "d" }, nil })
  test.equal(second[1].record.is, "d")
  test.equal(names(store.all("group")), { "a/x", "b", "c", "d" })
  at.tables.keys["state/key\0a"] = "{}"
  store.put("key", "a/k1", {})
  store.put("key", "b/k1", {})
  test.equal(names(store.all("key")), { "a/k1", "b/k1" })
  test.equal(names(store.all("key", "b/")), { "b/k1" })
end)

test("a record that is no JSON is shown as such, and can be replaced", function()
  local at = new()
  at.tables.config["group/a"] = "{"
  local got, problem, why = store.get("group", "a")
  test.equal({ got, problem, why }, { nil, "failed", "a stored record is no JSON object" })
  test.equal(store.list("group"), { { name = "a", problem = "a stored record is no JSON object" } })
  test.equal({ store.put("group", "a", {}, 1) }, { nil, "conflict", 1 })
  test.equal(store.put("group", "a", {}), 1)
end)

test("what the store says is passed on", function()
  local at = new()
  at.failure = "full"
  test.equal({ store.put("group", "a", {}) }, { nil, "full", "on purpose" })
  test.equal({ store.get("group", "a") }, { nil, "full", "on purpose" })
  test.equal({ store.list("group") }, { nil, "full", "on purpose" })
  test.equal({ store.all("group") }, { nil, "full", "on purpose" })
end)

test("wrong names raise", function()
  new()
  test.raises(function() store.get("group", "") end, "a text of 1 to 400 bytes")
  test.raises(function() store.get("group", ("x"):rep(401)) end, "a text of 1 to 400 bytes")
  test.raises(function() store.get("Group/a", "b") end, "a kind is a word")
  test.raises(function() store.get("key", "k1") end, "PROVIDER/ID")
  test.raises(function() store.get("key", "state/k1") end, "PROVIDER/ID")
end)

test("a secret is sealed for the row that it stands in", function()
  local seen = {}
  host.seal = function(...) seen = { ... } return "sealed" end
  test.equal(store.seal("key", "a/k1", "secret", "sk"), "sealed")
  test.equal(seen, { "keys/a/k1", "secret", "sk" })
  store.seal("provider", "a", "proxy", "s")
  test.equal(seen, { "config/provider/a", "proxy", "s" })
  test.equal(store.digest_text("\0\255a"), "00ff61")
end)

return test.finish()
