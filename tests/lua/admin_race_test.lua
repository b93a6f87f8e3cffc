-- What another request removes or changes between two steps of a write: the write is refused, or is
-- done and says so, and never fails.
local host = require "neap.host"
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local test = require "neap.tap"

local ROUTER = [[
provider "own" { dialect = "openai", url = "https://own.test/v1", keys = { "sk-of-the-file-0001" },
  models = { ["m"] = { input = 1, output = 2 } } }
group "filed" { targets = { { "own", "m" } } }
]]

local POLICY = [[local policy = require "neap.policy"
local mine = policy.define { summary = "Passes on." }
function mine:run(request, next) return next(request) end
return mine
]]

local FAR = "https://far.test/v1/chat/completions"
local HUB = { name = "hub", description = "", server_url = "https://hub.test/v1",
  server_key = "sk-hub-key-00000001", personalized_key = "personal-key-of-hub" }
local TARGETS = json.array { { provider = "alpha", model = "m" } }

-- What is there, in this order: numbers below are those that are given to it.
local SEEDS = {
  { "POST", "/api/v1/providers", { name = "alpha", dialect = "openai",
    url = "https://alpha.test/v1", models = { m = { input = 1, output = 2 } } } },
  { "POST", "/api/v1/providers/alpha/keys", { secret = "sk-of-the-properties-0001" } },
  { "POST", "/api/v1/groups", { name = "team", targets = TARGETS } },
  { "POST", "/api/v1/tokens", { name = "app", groups = json.array { "team" } } },
  { "POST", "/api/v1/keywords", { text = "no such words" } },
  { "POST", "/api/keywords/", { keyword = "other words" } },
  { "PUT", "/api/v1/policies/mine", { text = POLICY } },
  { "POST", "/api/providers/", { name = "Far", api_endpoint = FAR, model = "big",
    api_key = "sk-far-away-key-0001" } },
  { "POST", "/providers", HUB },
  { "GET", "/api/providers/" }, { "GET", "/api/groups/" }, { "GET", "/api/keys/" },
  { "GET", "/api/keywords/" }, { "GET", "/providers" },
}

local WRITES = {
  { "PATCH", "/api/v1/settings", { time_zone = "+02:00" } },
  { "POST", "/api/v1/providers", { name = "p", dialect = "openai", url = "https://p.test/v1" } },
  { "PATCH", "/api/v1/providers/alpha", { note = "x" } },
  { "DELETE", "/api/v1/providers/alpha" },
  { "POST", "/api/v1/providers/alpha/keys", { secret = "sk-another-key-00001" } },
  { "PATCH", "/api/v1/providers/alpha/keys/KEY", { note = "x" } },
  { "DELETE", "/api/v1/providers/alpha/keys/KEY" },
  { "POST", "/api/v1/groups", { name = "g", targets = TARGETS } },
  { "PATCH", "/api/v1/groups/team", { note = "x" } },
  { "DELETE", "/api/v1/groups/team" },
  { "POST", "/api/v1/tokens", { name = "t", groups = json.array { "team" } } },
  { "PATCH", "/api/v1/tokens/app", { note = "x" } },
  { "DELETE", "/api/v1/tokens/app" },
  { "POST", "/api/v1/keywords", { text = "x y" } },
  { "PATCH", "/api/v1/keywords/KEYWORD", { text = "x y" } },
  { "DELETE", "/api/v1/keywords/KEYWORD" },
  { "PUT", "/api/v1/policies/mine", { text = POLICY } },
  { "POST", "/api/v1/policies/mine/versions/1/restore" },
  { "DELETE", "/api/v1/policies/mine" },
  { "POST", "/api/v1/configuration/import?mode=replace", { format = "neap.configuration",
    version = 1, records = json.object { ["keyword/abc"] = json.object { text = "abc" } } } },
  { "POST", "/api/providers/", { name = "X", api_endpoint = FAR, model = "bigger",
    api_key = "sk-far-away-key-0001" } },
  { "PATCH", "/api/providers/1", { model = "other", is_active = false } },
  { "DELETE", "/api/providers/1" },
  { "DELETE", "/api/providers/quick-remove/sk-far-away-key-0001" },
  { "POST", "/api/groups/", { name = "another" } },
  { "POST", "/api/groups/2/providers/1", { priority = 3 } },
  { "PUT", "/api/groups/2/providers", json.array { { id = 1, priority = 1 } } },
  { "DELETE", "/api/groups/2/providers/1" },
  { "DELETE", "/api/groups/2" },
  { "POST", "/api/keys/", { name = "k", group_ids = json.array { 2 } } },
  { "PATCH", "/api/keys/1", { name = "k", group_ids = json.array { 2 } } },
  { "DELETE", "/api/keys/1" },
  { "POST", "/api/keywords/", { keyword = "new words" } },
  { "PATCH", "/api/keywords/1", { keyword = "new words" } },
  { "DELETE", "/api/keywords/1" },
  { "POST", "/api/settings/", { key = "failover_threshold_count", value = "5" } },
  { "POST", "/providers", { name = "hub 2", server_url = "https://hub2.test/v1",
    server_key = "sk-hub-key-00000002", personalized_key = "personal-key-of-hub" } },
  { "PUT", "/providers/1", { name = "hub 2", server_url = "https://hub2.test/v1",
    server_key = "sk-hub-key-00000002", personalized_key = "another-personal-key" } },
  { "DELETE", "/providers/1" },
  { "POST", "/provider_models", { provider_id = 1, model_name = "mm" } },
  { "PUT", "/provider_models/1", { provider_id = 1, model_name = "mm" } },
  { "DELETE", "/provider_models/1" },
}

-- ------------------------------------------------------------------------------------
-- Somebody else

local OTHERS = {
  removes = function(rows)
    for key in pairs(rows) do rows[key] = nil end
  end,
  ["switches off"] = function(rows)
    for key, text in pairs(rows) do
      local record = json.decode(text)
      record.off, record.version = true, (record.version or 0) + 1
      rows[key] = json.encode(record)
    end
  end,
}

local waits, when, meddle = 0, nil, nil -- a request's waits; before which of them the other acts

for _, name in ipairs { "store_get", "store_scan", "store_write" } do
  local inner = host[name]
  host[name] = function(...)
    waits = waits + 1
    if waits == when then meddle() end
    return inner(...)
  end
end

-- ------------------------------------------------------------------------------------

local function send(world, method, path, body)
  return world:request { path = path, method = method, as = "session", body = body }
end

local function copy(store)
  local result = {}
  for name, rows in pairs(store) do
    result[name] = {}
    for key, text in pairs(rows) do result[name][key] = text end
  end
  return result
end

--- A world with all that is above, what its store holds, and what ids stand for in WRITES.
local function seeded()
  local world, ids = loaded.new(ROUTER), {}
  for _, seed in ipairs(SEEDS) do
    local got = send(world, unpack(seed))
    test.equal(got.status < 300, true, seed[2] .. " " .. got.answer)
  end
  for key in pairs(world.store.keys) do ids.KEY = key:match("^alpha/(.+)$") or ids.KEY end
  for key in pairs(world.store.config) do
    ids.KEYWORD = key:match("^keyword/(.+)$") or ids.KEYWORD
  end
  return world, copy(world.store), ids
end

--- Sends it again and again, each time with somebody else before another of its waits.
local function meddle_with(world, before, act, method, path, body)
  local op = world.routes:find((path:match("^[^?]*")))[method]
  when = 0
  repeat
    when, waits = when + 1, 0
    world.store, world.raised = copy(before), nil
    meddle = function()
      act(world.store.config)
      act(world.store.keys)
    end
    local got = send(world, method, path, body)
    local at = ("%s %s, wait %d: %s"):format(method, path, when, got.answer or "")
    test.equal(world.raised, nil, at)
    test.equal(got.status < 500, true, at)
    test.equal(world:fault_of(op, got), nil, at)
  until waits < when
  test.equal(when > 2, true, path)
  when = nil
end

for does, act in pairs(OTHERS) do
  test(("somebody else %s everything in the midst of a write"):format(does), function()
    local world, before, ids = seeded()
    for _, write in ipairs(WRITES) do
      local path = write[2]:gsub("%u+$", ids)
      meddle_with(world, before, act, write[1], path, write[3])
    end
  end)
end
