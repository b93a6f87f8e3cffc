-- Costs made anew: which prices were in force when, and what becomes of each record.
require "neap.test"
local catalog = require "neap.catalog"
local clock = require "neap.test.clock"
local history = require "neap.price_history"
local host = require "neap.host"
local job = require "neap.job"
local json = require "neap.json"
local memory = require "neap.test.memory"
local recost = require "neap.jobs.recost"
local rows = require "neap.test.rows"
local stand_in = require "neap.test.stand_in"
local test = require "neap.tap"

local START = 1767225600

--- The notes that come are of this generation, of a neap that has run for so long.
local function in_generation(number, uptime)
  host.generation = function() return number end
  host.figures = function() return { uptime = uptime } end
end

local function story(name, run)
  test(name, function()
    local stored = rows.new()
    for function_name, instead in pairs(stored.functions) do host[function_name] = instead end
    stand_in.use { memory = memory.new() }
    in_generation(1, 1000)
    clock.run { function() run(stored) end }
  end)
end

--- A catalog with the provider a and these prices of its models.
local function known_with(models)
  return catalog.new { tokens = {}, groups = {}, providers = { { name = "a", dialect = "openai",
    url = "https://a.test/v1", is_on = true, models = models, timeouts = {}, keys = {} } } }
end

local function version_of(known, model) return known.providers.a.prices[model].version end

local function find(model, moment, version, generation)
  return history.find(assert(history.read()), { provider = "a", target_model = model,
    start_us = moment * 1e6, price_version = version, generation = generation or 1 })
end

story("thousands of prices are noted in many runs", function()
  local models, rests, sleep = {}, 0, host.sleep
  for number = 1, 1000 do models["m" .. number] = { input = number } end
  host.sleep = function(seconds)
    rests = rests + 1
    sleep(seconds)
  end
  local known = known_with(models)
  local counts = { history.note(known), history.note(known) }
  host.sleep = sleep
  test.equal(counts, { 1000, 0 })
  test.equal(rests >= 10, true, rests .. " rests")
end)

story("prices are noted as they change, come and go", function(stored)
  local first = known_with { m = { input = 1 }, free = {} }
  local second = known_with { m = { input = 2 } }
  test.equal(history.note(first), 1)
  test.equal(history.note(first), 0, "what is known is not noted again")
  host.sleep(100)
  test.equal(history.note(second), 1)
  host.sleep(100)
  test.equal(history.note(known_with {}), 1)
  host.sleep(100)
  test.equal(history.note(first), 1)
  local one, two = version_of(first, "m"), version_of(second, "m")
  test.equal(find("m", START + 50).version, one)
  test.equal(find("m", START + 150).version, two)
  test.equal(find("m", START + 250), false)
  test.equal(find("m", START + 350).version, one)
  test.equal(find("free", START + 50), nil)
  test.equal(find("m", START - 50), nil, "before the first note nobody knows")
  test.equal(find("m", START - 50, one).version, one, "but the version tells")
  test.equal(find("m", START + 50, two).version, one, "and not elsewhere")
  stored.failure = "failed"
  local count, why = history.note(first)
  test.equal({ count, why }, { nil, "on purpose" })
end)

story("near a note the generation tells, unless neap was started between", function()
  local first, second = known_with { m = { input = 1 } }, known_with { m = { input = 2 } }
  history.note(first)
  host.sleep(100)
  in_generation(7, 1000)
  history.note(second)
  local one, two = version_of(first, "m"), version_of(second, "m")
  test.equal(find("m", START + 99, nil, 6).version, one)
  test.equal(find("m", START + 99, nil, 7).version, two)
  test.equal(find("m", START + 101, nil, 6).version, one)
  test.equal(find("m", START + 111, nil, 6).version, two)
  host.sleep(100)
  in_generation(1, 1)
  history.note(first)
  test.equal(find("m", START + 198, nil, 9).version, two)
  test.equal(find("m", START + 199.5, nil, 1).version, one)
end)

local function record(number, given)
  local one = json.object { id = ("r%d"):format(number), start_us = (START + number) * 1e6,
    provider = "a", target_model = "m", details = true, generation = 1, cost_micros = json.null,
    price_version = json.null, usage = json.object { estimate = false, in_fresh = 1000,
      cache_read = 0, cache_write_5m = 0, cache_write_1h = 0, in_audio = 0, out_total = 100,
      reasoning = 0, requests = 1, audio_ms = 0, images = 0 } }
  for name, value in pairs(given or {}) do one[name] = value end
  return one
end

--- A journal of these records, two on a page; what is asked of it and changed in it.
local function journal_of(records)
  local seen = { changes = {}, filters = {} }
  host.journal_page = function(filter)
    seen.filters[#seen.filters + 1] = filter.cursor or "first"
    local from, lines = tonumber(filter.cursor) or 1, {}
    for index = from, math.min(from + 1, #records) do
      lines[#lines + 1] = json.encode(records[index])
    end
    return table.concat(lines, "\n") .. "\n", from + 2 <= #records and tostring(from + 2) or nil
  end
  host.journal_record = function() return seen.detail end
  host.journal_recost = function(changes)
    if seen.failure then return nil, "failed", seen.failure end
    for index = 1, #changes, 3 do
      local cost = tostring(changes[index + 1])
      seen.changes[#seen.changes + 1] = changes[index] .. "=" .. cost
    end
    return #changes / 3, 0
  end
  return seen
end

local function run_once(known, given)
  local jobs = job.new()
  jobs:add(recost.job(known))
  assert(jobs:run(recost.NAME, given))
  repeat host.sleep(1) until not jobs:view(recost.NAME).running
  return jobs:view(recost.NAME).last
end

story("each record costs what held when it began", function()
  local old, new = known_with { m = { input = 1, output = 10 } }, known_with { m = { input = 3 } }
  history.note(old)
  host.sleep(1000)
  history.note(new)
  local seen = journal_of { record(-500), record(1), record(2, { cost_micros = 2000,
    price_version = version_of(old, "m") }), record(1500), record(1501, { usage = json.null }),
    record(3, { provider = "gone", cost_micros = 7, price_version = 9 }),
    record(4, { provider = json.null }) }
  local last = run_once(new, { from = START - 1000, before = START + 9000, prices = "in_force" })
  test.equal(last.outcome .. ": " .. last.text,
    "ok: 7 records, 2 changed by 0.005000 USD in all, 2 whose prices nobody knows")
  test.equal(seen.changes, { "r1=2000", "r1500=3000" })
  test.equal(seen.filters, { "first", "3", "5", "7" })
end)

story("with the prices of now, where there are some", function()
  local known = known_with { m = { input = 3, call = 0.001 } }
  local seen = journal_of { record(1, { cost_micros = 5, price_version = 1 }), record(2),
    record(3, { target_model = "other", cost_micros = 6, price_version = 1 }) }
  local last = run_once(known, { from = START, before = START + 10, prices = "current" })
  test.equal(last.text, "3 records, 2 changed by 0.007995 USD in all, 1 whose prices nobody knows")
  test.equal(seen.changes, { "r1=4000", "r2=4000" })
end)

story("without prices nothing that is known is paid; what a provider says stays", function()
  history.note(known_with { m = { input = 3 } })
  host.sleep(100)
  history.note(known_with {})
  local seen = journal_of { record(150, { cost_micros = 5, price_version = 1 }),
    record(151, { cost_micros = 6, price_version = 0 }), record(152) }
  run_once(known_with {}, { from = START, before = START + 1000, prices = "in_force" })
  test.equal(seen.changes, { "r150=false" })
end)

story("audio in an answer is counted as its provider said", function()
  local known = known_with { m = { output = 1, audio_output = 10 } }
  local seen = journal_of { record(1) }
  seen.detail = json.encode(json.object { raw_usage = json.object { prompt_tokens = 1000,
    completion_tokens = 100, completion_tokens_details = json.object { audio_tokens = 40 } } })
  run_once(known, { from = START, before = START + 10, prices = "current" })
  test.equal(seen.changes, { "r1=460" })
end)

story("without a span, or where the journal fails, it says so", function()
  local known = known_with { m = { input = 1 } }
  local seen = journal_of { record(1) }
  local last = run_once(known)
  test.match(last.outcome .. last.text, "^failed.*POST /api/v1/statistics/recompute")
  seen.failure = "no room"
  last = run_once(known, { from = START, before = START + 10, prices = "current" })
  test.match(last.text, "the costs were not written: no room %(after 1 records, 0 changed")
  host.journal_page = function() return nil, "failed", "ill" end
  last = run_once(known, { from = START, before = START + 10, prices = "current" })
  test.match(last.text, "the journal cannot be read: ill")
end)
