--- neap.jobs.recost: makes the costs of past requests anew, record by record, with the sums that
--- they are in.
---
--- By hand only, for a span of time: `given` of the run is { from, before, prices }. With prices
--- "in_force" each record costs what the prices say that were in force when it began
--- (neap.price_history); where nobody knows them it stays as it is. With "current" the prices of
--- now are taken, and what has none stays. Each page is one transaction: cut off anywhere, records
--- and statistics agree, and a second run goes on. A cost that a provider reported stays where the
--- model has no prices.

local history = require "neap.price_history"
local host = require "neap.host"
local json = require "neap.json"
local price = require "neap.price"
local usage = require "neap.usage"

local recost = {}

recost.NAME = "costs"

local PAGE = 250           -- records of a transaction
local PAUSE = 0.01         -- seconds between two: others write, too
local TIMEOUT = 6 * 3600

--- Whether the price of an answer depends on how much of it is audio, which a record does not say.
local function asks_for_audio(prices)
  for _, row in ipairs(prices.rows) do
    local text, audio = 6, 8 -- places of out_text and out_audio in neap.price
    if row.micros[text] ~= row.micros[audio] or row.rest[text] ~= row.rest[audio] then
      return true
    end
  end
  return false
end

--- Tokens of audio in the answer, out of what the provider said.
local function out_audio_of(record)
  local text = record.details and host.journal_record(record.id)
  local raw = text and json.find(text, "raw_usage")
  local used = raw and raw ~= "null" and usage.read(raw)
  return used and used.out_audio or 0
end

local function usage_of(record, prices)
  local given = record.usage
  return usage.new { in_fresh = given.in_fresh, cache_read = given.cache_read,
    cache_write_5m = given.cache_write_5m, cache_write_1h = given.cache_write_1h,
    in_audio = given.in_audio, out_total = given.out_total, reasoning = given.reasoning,
    requests = given.requests, seconds = given.audio_ms / 1000, images = given.images,
    out_audio = asks_for_audio(prices) and out_audio_of(record) or 0 }
end

--- The prices for a record: nil where they are not known, false where it had none.
local function prices_of(record, source)
  if source.known then
    local provider = source.known.providers[record.provider]
    return provider and provider.prices[record.target_model] or nil
  end
  return history.find(source.notes, record)
end

--- Adds the change of a record to the list, if there is one.
local function look_at(record, source, changes, counts)
  if record.usage == json.null or record.provider == json.null
      or record.target_model == json.null then
    return
  end
  local prices = prices_of(record, source)
  local had = record.cost_micros
  if prices == nil then
    counts.unknown = counts.unknown + 1
  elseif prices then
    local cost = price.cost(prices, usage_of(record, prices))
    if cost ~= had or prices.version ~= record.price_version then
      changes[#changes + 1], changes[#changes + 2] = record.id, cost
      changes[#changes + 1] = prices.version
      counts.more = counts.more + cost - (had ~= json.null and had or 0)
    end
  elseif had ~= json.null and record.price_version ~= 0 then
    changes[#changes + 1], changes[#changes + 2], changes[#changes + 3] = record.id, false, 0
    counts.more = counts.more - had
  end
end

--- One page. Returns the cursor of the next.
local function step(filter, source, counts)
  local text, cursor, why = host.journal_page(filter)
  if not text then error("the journal cannot be read: " .. tostring(why or cursor), 0) end
  local changes = {}
  for line in text:gmatch("[^\n]+") do
    counts.looked = counts.looked + 1
    look_at(json.decode(line), source, changes, counts)
  end
  if changes[1] then
    local changed, missing, problem = host.journal_recost(changes)
    if not changed then error("the costs were not written: " .. tostring(problem or missing), 0) end
    counts.changed = counts.changed + changed
  end
  return cursor
end

local function words_of(counts)
  return ("%d records, %d changed by %.6f USD in all, %d whose prices nobody knows"):format(
    counts.looked, counts.changed, counts.more / 1e6, counts.unknown)
end

local function source_of(given, known)
  if given.prices == "current" then return { known = known } end
  local notes, why = history.read()
  if not notes then error("the prices of the past cannot be read: " .. tostring(why), 0) end
  return { notes = notes }
end

---@param known table the catalog
---@return neap.job_spec
function recost.job(known)
  local function run(run_of)
    local given = run_of.given
    if not given then error("of which time: POST /api/v1/statistics/recompute says it", 0) end
    local source = source_of(given, known)
    local counts = { looked = 0, changed = 0, unknown = 0, more = 0 }
    local filter = { from = given.from, before = given.before, oldest_first = true, lines = true,
      limit = PAGE }
    repeat
      local ok, cursor = pcall(step, filter, source, counts)
      if not ok then error(("%s (after %s)"):format(tostring(cursor), words_of(counts)), 0) end
      filter.cursor = cursor
      run_of:say("%s", words_of(counts))
      if cursor then host.sleep(PAUSE) end
    until not cursor or run_of:is_over()
    return words_of(counts)
  end

  return { name = recost.NAME, every = 0, run = run, timeout = TIMEOUT,
    help = "makes the costs of a span of time anew: POST /api/v1/statistics/recompute" }
end

return recost
