require "neap.test"
local all = require "neap.jobs.all"
local balance_refresh = require "neap.jobs.balance_refresh"
local catalog = require "neap.catalog"
local clock = require "neap.test.clock"
local job = require "neap.job"
local host = require "neap.host"
local key_probe = require "neap.jobs.key_probe"
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

story("sweeps work in slices until nothing is left", function()
  local left, slices = 25, 0
  local spec = retention.job { { name = "records", slice = function()
    local removed = math.min(10, left)
    left, slices = left - removed, slices + 1
    return removed, left > 0
  end }, { name = "bodies", slice = function() return 0 end } }
  test.equal(run_once(spec).text, "25 records, 0 bodies removed")
  test.equal(slices, 3)
end)

story("a sweep that fails keeps no other from its work", function()
  local removed = false
  local last = run_once(retention.job { { name = "records", slice = function()
    error("disk full", 0)
  end }, { name = "bodies", slice = function()
    removed = true
    return 1
  end } })
  test.equal({ last.outcome, last.text, removed }, { "failed", "records: disk full", true })
end)

story("a sweep without an end ends with its time", function()
  local spec = retention.job { { name = "records", slice = function() return 1, true end } }
  spec.timeout = 10
  local last = run_once(spec)
  test.equal(last.outcome, "timeout")
  test.match(last.text, "^%d+ records removed$")
end)

story("after a leap of the clock nothing is removed for a day", function()
  local removed, wall, leap = 0, host.wall, 0
  local spec = retention.job { { name = "records", slice = function()
    removed = removed + 1
    return 1
  end } }
  host.wall = function() return wall() + leap end
  run_once(spec)
  leap = 365 * 86400
  test.match(run_once(spec).text, "^the clock went ahead by more than a day: .* 24 h")
  test.equal(removed, 1)
  leap = 0
  run_once(spec)
  test.equal(removed, 2, "it was set right")
  leap = 365 * 86400
  run_once(spec)
  host.sleep(86400 / 2)
  test.match(run_once(spec).text, " 12 h")
  host.sleep(86400 / 2)
  run_once(spec)
  test.equal(removed, 3, "it was right")
  leap = leap + 3600
  run_once(spec)
  test.equal(removed, 4, "an hour is no leap")
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
