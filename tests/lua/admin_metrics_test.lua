-- /metrics: what Prometheus reads.
local admin_world = require "admin.test.world"
local catalog = require "neap.catalog"
local fake_journal = require "admin.test.journal"
local json = require "neap.json"
local object = require "neap.object"
local test = require "neap.tap"

local function health(state) return { state = function() return state end } end

local function target(name, provider, state)
  return object.new(catalog.Target, { name = name, provider = provider, health = health(state) })
end

local function metrics(world)
  local got = world:request { path = "/metrics", as = "read" }
  test.equal(got.status, 200)
  test.match(got.headers["content-type"], "^text/plain; version=0.0.4")
  return got.answer
end

local function has(text, line)
  test.equal(("\n" .. text):find("\n" .. line .. "\n", 1, true) ~= nil, true, line .. "\n" .. text)
end

test("requests, tokens, cost and times of the journal", function()
  local world = admin_world.new()
  local usage = json.object { total = 30, out_total = 12, in_fresh = 18, cache_read = 0,
    cache_write_5m = 0, cache_write_1h = 0, in_audio = 0 }
  world.journal.stats.overview = function(spec)
    if spec.from > 0 then
      return fake_journal.sums { ms = { average = 1, p50 = 20, p95 = 1500, p99 = json.null } }
    end
    return fake_journal.sums { requests = 9, ok = 8, failed = 1, attempts = 11, retries = 2,
      cost_micros = 1500000 }
  end
  world.journal.stats.breakdown = function()
    return json.object { values = json.array {
      fake_journal.sums { value = 'a"b\\', ok = 8, usage = usage, cost_micros = 250000 },
      fake_journal.sums { value = json.null, failed = 1 },
    }, other = fake_journal.sums { ok = 4 } }
  end
  local text = metrics(world)
  has(text, 'neap_requests_total{outcome="ok"} 8')
  has(text, 'neap_requests_total{outcome="failed"} 1')
  has(text, "neap_attempts_total 11")
  has(text, "neap_cost_usd_total 1.5")
  has(text, 'neap_provider_requests_total{provider="a\\"b\\\\",outcome="ok"} 8')
  has(text, 'neap_group_requests_total{group="",outcome="failed"} 1')
  has(text, 'neap_group_requests_total{group="other",outcome="ok"} 4')
  has(text, 'neap_provider_cost_usd_total{provider="a\\"b\\\\"} 0.25')
  has(text, 'gen_ai_client_token_usage_total{gen_ai_provider_name="a\\"b\\\\",'
    .. 'gen_ai_token_type="input"} 18')
  has(text, 'gen_ai_client_operation_duration_seconds{quantile="0.95"} 1.5')
  has(text, "gen_ai_client_operation_duration_seconds_count 9")
  test.equal(text:find('quantile="0.99"', 1, true), nil, "what is not known is not said")
end)

test("every sample has its family, once, and no name twice", function()
  local world = admin_world.new()
  local family, seen = nil, {}
  for line in metrics(world):gmatch("[^\n]+") do
    local name = line:match("^# TYPE (%S+) %a+$")
    if name then
      test.equal(seen[name], nil, name)
      seen[name], family = true, name
    elseif line:sub(1, 1) ~= "#" then
      test.match(line, "^[%a_]+{?[^}]*}? %-?[%d.e+-]+$")
      test.equal(line:sub(1, #family), family, line)
    end
  end
end)

test("states of keys and targets by provider", function()
  local world = admin_world.new()
  world.known = {
    provider_list = { { name = "p", keys = { { health = health "ready" },
      { health = health "resting" }, { health = health "resting" } } } },
    group_list = { { targets = { target("p/a", "p", "ready") } },
      { targets = { target("p/a", "p", "ready"), target("p/b", "p", "disabled") } } },
  }
  local text = metrics(world)
  has(text, 'neap_keys{provider="p",state="resting"} 2')
  has(text, 'neap_targets{provider="p",state="ready"} 1')
  has(text, 'neap_targets{provider="p",state="disabled"} 1')
end)

test("a journal that fails takes only its own numbers away", function()
  local world = admin_world.new()
  world.journal.problem, world.journal.error = "failed", "no space"
  local text = metrics(world)
  has(text, "neap_generation 1")
  has(text, "neap_journal_up 0")
  test.equal(text:find("neap_requests_total", 1, true), nil)
end)
