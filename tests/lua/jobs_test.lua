require "neap.test"
local all = require "neap.jobs.all"
local balance_refresh = require "neap.jobs.balance_refresh"
local catalog = require "neap.catalog"
local clock = require "neap.test.clock"
local job = require "neap.job"
local host = require "neap.host"
local key_probe = require "neap.jobs.key_probe"
local leap = require "neap.jobs.leap"
local memory = require "neap.test.memory"
local retention = require "neap.jobs.retention"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"
local web = require "neap.test.web"

--- A provider with so many keys; its secrets are key-1, key-2, …
local function provider_of(count)
  local keys = {}
  for index = 1, count do
    keys[index] = { id = "k" .. index, secret = ("sk-secret-key-%d"):format(index) }
  end
  local given = { name = "silicon", dialect = "openai", url = "https://api.siliconflow.cn/v1",
    is_on = true, models = {}, timeouts = {}, keys = keys }
  local known = catalog.new { providers = { given }, tokens = {},
    groups = { { name = "g", targets = { { provider = "silicon", model = "m" } } } } }
  return known.providers.silicon, known
end

local function story(name, run)
  test(name, function()
    stand_in.use { memory = memory.new() }
    clock.run { run }
  end)
end

--- Runs the job by hand to its end and shows how that went.
local function run_once(spec)
  local jobs = job.new()
  jobs:add(spec)
  assert(jobs:run(spec.name))
  repeat host.sleep(1) until not jobs:view(spec.name).running
  return jobs:view(spec.name).last
end

--- Answers by key: balance, or status, or failure.
local function accounts(answers)
  return web.use(function(given)
    local place
    for _, header in ipairs(given.headers) do
      place = header:match("^Authorization: .*%-(%d+)$") or place
    end
    local answer = answers[tonumber(place)]
    if type(answer) == "number" then
      return { body = ('{"data":{"totalBalance":"%g"}}'):format(answer) }
    end
    return answer
  end)
end

local function balances_of(provider)
  local balances = {}
  for index, key in ipairs(provider.keys) do balances[index] = key.health:balance() end
  return balances
end

local function states_of(provider)
  local states = {}
  for index, key in ipairs(provider.keys) do states[index] = key.health:state() end
  return states
end

-- ------------------------------------------------------------------------------------
-- Balances

story("a refresh brings the balances", function()
  local provider = provider_of(3)
  local asked = accounts { 5, 7.5, 0.25 }
  local last = run_once(balance_refresh.job(provider))
  test.equal({ last.outcome, last.text }, { "ok", "3 good; 12.75 left on them" })
  test.equal(asked[1].url, "https://api.siliconflow.cn/v1/user/info")
  test.equal(balances_of(provider), { 5, 7.5, 0.25 })
end)

story("a spent key rests, a refused one is disabled, and a filled one comes back", function()
  local provider = provider_of(3)
  local answers = { 5, 0, { status = 401, body = '"Invalid token"' } }
  accounts(answers)
  local last = run_once(balance_refresh.job(provider))
  test.equal(last.text, "1 good, 1 refused, 1 limited; 5 left on them")
  test.equal(states_of(provider), { "ready", "resting", "disabled" })
  test.match(provider.keys[2].health:view().why, "^nothing is left")
  test.ok(provider.keys[2].health:view().remaining > 3600, "beyond the next refresh")
  answers[2] = 3
  run_once(balance_refresh.job(provider))
  test.equal(states_of(provider), { "ready", "ready", "disabled" })
  test.equal(provider.keys[2].health:balance(), 3)
end)

story("a rest for a limit is not taken back", function()
  local provider = provider_of(1)
  provider.keys[1].health:rest(500, "its rate is limited (429)")
  accounts { 5 }
  run_once(balance_refresh.job(provider))
  test.equal(states_of(provider), { "resting" })
end)

story("an outage in the middle changes nothing and removes nothing", function()
  local provider, answers = provider_of(100), {}
  for index = 1, 100 do answers[index] = index end
  accounts(answers)
  run_once(balance_refresh.job(provider))
  for index = 31, 100 do
    answers[index] = index % 3 == 0 and { status = 500 } or index % 3 == 1 and { status = 429 }
      or { failure = "timeout" }
  end
  local last = run_once(balance_refresh.job(provider))
  test.equal(last.outcome, "ok")
  test.match(last.text, "^30 good")
  test.equal(#provider.keys, 100)
  for index, key in ipairs(provider.keys) do
    test.equal(key.health:state(), "ready")
    test.equal(key.health:balance(), index)
  end
end)

story("a refresh that learns nothing has failed", function()
  local provider = provider_of(2)
  accounts { { failure = "connect", why = "no route" }, { failure = "connect", why = "no route" } }
  local last = run_once(balance_refresh.job(provider))
  test.equal({ last.outcome, last.text },
    { "failed", "nothing was learned about any key: no route" })
  test.equal(states_of(provider), { "ready", "ready" })
end)

story("keys that somebody disabled are left alone; without keys there is nothing to do", function()
  local provider = provider_of(2)
  provider.keys[1].health:disable("by hand")
  local asked = accounts { 1, 2 }
  run_once(balance_refresh.job(provider))
  test.equal(#asked, 1)
  test.equal(run_once(balance_refresh.job((provider_of(0)))).text, "there is no key to ask about")
end)

story("how often: the setting, else the provider's own, else every hour", function()
  local provider, setting = provider_of(1), nil
  local spec = balance_refresh.job(provider, { every = function() return setting end })
  test.equal(spec.every(), 3600)
  provider.balance = { path = "/v1/user/info", member = "data.totalBalance", every = 60 }
  test.equal(balance_refresh.job(provider).every(), 60)
  setting = 0
  test.equal(spec.every(), 0)
  provider.balance, provider.url = nil, "https://a.test/v1"
  test.equal(balance_refresh.job(provider), nil)
end)

story("what refreshes came to is added up", function()
  local provider = provider_of(3)
  test.equal(balance_refresh.figures("silicon"), nil)
  accounts { 1, 0, { status = 500, after = 10 } }
  run_once(balance_refresh.job(provider))
  local first = balance_refresh.figures("silicon")
  test.equal({ first.processed, first.updated, first.failed, first.seconds >= 10 },
    { 3, 2, 1, true })
  test.equal(first.last, { processed = 3, updated = 2, failed = 1, seconds = first.seconds,
    ended = first.last.ended })
  accounts { 1, 0, 3 }
  run_once(balance_refresh.job(provider))
  local both = balance_refresh.figures("silicon")
  test.equal({ both.processed, both.updated, both.failed, both.last.failed }, { 6, 5, 1, 0 })
  test.equal(both.seconds < first.seconds and both.seconds > both.last.seconds, true, "smoothed")
end)

-- ------------------------------------------------------------------------------------
-- Probes

story("a disabled key is asked about when its probe is due, and not before", function()
  local provider = provider_of(3)
  local asked = accounts { 1, 2, 3 }
  provider.keys[1].health:disable("refused", 600)
  provider.keys[2].health:disable("by hand", 0)
  local spec = key_probe.job(function() return { provider } end)
  host.sleep(590)
  test.equal(run_once(spec).text, "no key is due")
  test.equal(#asked, 0)
  host.sleep(11)
  test.equal(run_once(spec).text, "1 asked about, 1 good again")
  test.equal(states_of(provider), { "ready", "disabled", "ready" })
  test.equal(#asked, 1)
end)

story("a probe that brings no good news leaves the key as it was, until the next one", function()
  for _, answer in ipairs { { status = 401 }, { status = 500 }, { failure = "timeout" }, 0 } do
    local provider = provider_of(1)
    local asked = accounts { answer }
    provider.keys[1].health:disable("refused", 600)
    local spec = key_probe.job(function() return { provider } end)
    host.sleep(601)
    test.equal(run_once(spec).text, "1 asked about, 0 good again")
    test.equal(states_of(provider), { "disabled" })
    test.equal(run_once(spec).text, "no key is due")
    host.sleep(600)
    run_once(spec)
    test.equal(#asked, 2)
    provider.keys[1].health:well()
  end
end)

-- ------------------------------------------------------------------------------------
-- Retention

--- A journal that is through with a look after so many seconds, and has removed these by then.
local function journal_of(seconds, ...)
  local figures, steps = { removed = 0, bodies_removed = 0, retained = 0, held = 0 }, { ... }
  local wanted, ends = 0, nil
  host.journal_retain = function()
    wanted, ends = wanted + 1, host.now() + seconds
    return wanted
  end
  host.journal_figures = function()
    if ends and host.now() >= ends then
      ends, figures.retained = nil, wanted
      for name, value in pairs(steps[wanted] or {}) do figures[name] = value end
    end
    local copy = {}
    for name, value in pairs(figures) do copy[name] = value end
    return copy
  end
  return figures
end

story("the journal removes what is old, and a run says what went since the last", function()
  journal_of(3, { removed = 25, bodies_removed = 4 }, {}, { removed = 30 })
  local spec = retention.job()
  local last = run_once(spec)
  test.equal({ last.outcome, last.text }, { "ok", "25 records, 4 bodies removed" })
  test.equal(last.seconds >= 3, true, "it waits until the journal is through")
  test.equal(run_once(spec).text, "0 records, 0 bodies removed")
  test.equal(run_once(retention.job()).text, "5 records, 0 bodies removed", "of another generation")
end)

story("a look that fails is the run's failure, and without an end it ends in time", function()
  local figures = journal_of(0)
  figures.retention_error = "the disk is full"
  local last = run_once(retention.job())
  test.equal({ last.outcome, last.text }, { "failed", "the disk is full" })
  journal_of(1e9)
  local spec = retention.job()
  spec.timeout = 10
  test.equal(run_once(spec).outcome, "timeout")
  host.journal_retain = function() return nil end
  test.equal(run_once(retention.job()).text, "nothing is recorded: there is no journal")
end)

story("a run says that the clock keeps the journal from it", function()
  journal_of(0, { held = 86400 })
  test.match(run_once(retention.job()).text, "^the clock went ahead by more than a day: .* 24 h")
end)

story("after a leap of the clock nothing is too old for a day", function()
  local wall, ahead = host.wall, 0
  host.wall = function() return wall() + ahead end
  test.equal(leap.wait "x", nil)
  ahead = 365 * 86400
  test.match(select(2, leap.wait "x"), "^the clock went ahead by more than a day: .* 24 h")
  ahead = 0
  test.equal(leap.wait "x", nil, "it was set right")
  ahead = 365 * 86400
  leap.wait "x"
  host.sleep(86400 / 2)
  test.equal(leap.wait "x", 86400 / 2)
  test.equal(leap.wait "another", nil)
  host.sleep(86400 / 2)
  test.equal(leap.wait "x", nil, "it was right")
  ahead = ahead + 3600
  test.equal(leap.wait "x", nil, "an hour is no leap")
  host.wall = wall
end)

-- ------------------------------------------------------------------------------------
-- All of them

story("a generation's jobs", function()
  local _, known = provider_of(1)
  known.provider_list[2] = { name = "plain", is_on = true, url = "https://a.test/v1", keys = {} }
  known.provider_list[3] = { name = "off", is_on = false, url = "https://api.deepseek.com",
    keys = {} }
  local jobs = all.jobs(known, { refresh_every = function() return 120 end })
  local seen = {}
  for index, view in ipairs(jobs:views()) do seen[index] = { view.name, view.every } end
  test.equal(seen, { { "balances of silicon", 120 }, { "key probes", 30 }, { "retention", 600 },
    { "costs", 0 } })
end)

return test.finish()
