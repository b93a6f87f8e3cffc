-- A provider's models come in, and jobs are looked at and begun by hand.
local admin_world = require "admin.test.world"
local host = require "neap.host"
local json = require "neap.json"
local test = require "neap.tap"

local function code(got) return got.status .. " " .. (got.json and got.json.error.code or "-") end

local function new(models)
  local world = admin_world.new { config =
    'provider "filed" { dialect = "openai", url = "https://f.test/v1", keyless = true }\n' }
  host.fetch = function()
    if not models then return nil, "timeout", "it did not answer" end
    local data = json.array {}
    for place, id in ipairs(models) do data[place] = json.object { id = id } end
    return 200, {}, json.encode(json.object { data = data })
  end
  local made = world:request { path = "/api/v1/providers", as = "write", body = { name = "far",
    dialect = "openai", url = "https://far.test/v1", keyless = true,
    models = { old = json.object {} } } }
  test.equal(made.status, 201, made.answer)
  return world
end

local function call(world, what, body, name)
  return world:request { path = ("/api/v1/providers/%s/models/%s"):format(name or "far", what),
    as = "write", body = body }
end

local RULES = { filter = { exclude = json.array { "embed" } }, alias = { template = "{last}" },
  group = { name = "all of far" } }

test("a preview writes nothing, an import does what it said, and a second one nothing", function()
  local world = new { "org/gpt-4o", "org/embed-1", "small" }
  local before = json.encode(world.store.config)
  local shown = call(world, "preview", RULES)
  test.equal(shown.json.counts, { add = 2, change = 0, keep = 0, skip = 1 }, shown.answer)
  test.equal(shown.json.absent, { "old" })
  test.equal(json.encode(world.store.config), before)
  local done = call(world, "import", RULES).json
  test.equal({ done.counts, done.written }, { shown.json.counts, 4 })
  local provider = world:request { path = "/api/v1/providers/far", as = "read" }.json
  test.equal(provider.models.small, {})
  test.equal(provider.models.old, {}, "what is listed no more stays")
  local groups = world:request { path = "/api/v1/groups", as = "read" }.json.items
  test.equal({ groups[1].name, #groups[1].targets, groups[2].name }, { "all of far", 2, "gpt-4o" })
  done = call(world, "import", RULES).json
  test.equal({ done.counts.keep, done.written }, { 2, 0 })
end)

test("only what was chosen, with progress as events", function()
  local world = new { "a", "b" }
  local got = call(world, "import?progress=true", { only = json.array { "b" } })
  test.match(got.answer, "event: listing.*event: listed.*event: writing.*event: result")
  local provider = world:request { path = "/api/v1/providers/far", as = "read" }.json
  test.equal({ provider.models.a, provider.models.b }, { nil, {} })
end)

test("a provider that does not answer, and one whose models stand in router.lua", function()
  test.equal(code(call(new(), "preview", RULES)), "502 provider_failed")
  local world = new { "a" }
  test.equal(code(call(world, "import", json.object {}, "filed")), "422 invalid")
  test.equal(code(call(world, "preview", { alias = { template = "same" } })), "422 invalid")
end)

test("jobs are listed, run by hand, and say how it went", function()
  local world = new { "a" }
  local function jobs() return world:request { path = "/api/v1/jobs", as = "read" }.json.items end
  local names = {}
  for place, one in ipairs(jobs()) do names[place] = one.name end
  test.equal(names, { "key probes", "retention", "costs", "audit log" })
  local got = world:request { path = "/api/v1/jobs/key%20probes/run", method = "POST",
    as = "write" }
  test.equal(got.status, 202, got.answer)
  local one = jobs()[1]
  test.equal({ one.runs, one.last.outcome, one.last.text }, { 1, "ok", "no key is due" })
  test.equal(code(world:request { path = "/api/v1/jobs/no/run", method = "POST", as = "write" }),
    "404 not_found")
end)
