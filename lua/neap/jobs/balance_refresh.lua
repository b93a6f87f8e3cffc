--- neap.jobs.balance_refresh: asks a provider what is left on its keys.
---
--- A refresh that fails changes nothing: balances stay as they were told last, and no key is
--- removed by any of it.

local host = require "neap.host"
local json = require "neap.json"
local key_check = require "neap.key_check"
local key_state = require "neap.key_state"
local key_verify = require "neap.key_verify"

local balance_refresh = {}

local REST_SHARE = 1.5      -- of the time between two refreshes: a spent key rests beyond the next
local REST_MIN = 600        -- seconds
local SMOOTHING = 0.2       -- share of the newest run in the usual time of one
local SHOWN = { "good", "refused", "limited", "unknown" }

--- Those that somebody disabled are left alone: neap.jobs.key_probe asks about those that are due.
local function keys_of(provider)
  local keys = {}
  for _, key in ipairs(provider.keys) do
    if key.health:state() ~= "disabled" then keys[#keys + 1] = key end
  end
  return keys
end

local function words_of(counts, total)
  local words = {}
  for _, state in ipairs(SHOWN) do
    if counts[state] then words[#words + 1] = ("%d %s"):format(counts[state], state) end
  end
  if not words[1] then return "there is no key to ask about" end
  return ("%s; %.6g left on them"):format(table.concat(words, ", "), total)
end

--- What the job of a provider is called.
---@param provider string
function balance_refresh.name_of(provider) return "balances of " .. provider end

local function figures_key(name) return "balance_refresh\0" .. name .. "\0figures" end

---@class neap.refresh_figures counts of keys
---@field processed integer asked about
---@field updated integer whose balance was told
---@field failed integer about which nothing was learned
---@field seconds number of a run; smoothed over runs
---@field ended number? seconds since 1970, of a run
---@field last neap.refresh_figures? the newest run alone

--- What the refreshes of a provider came to since the process began; nil before the first.
---@param name string
---@return neap.refresh_figures? figures
function balance_refresh.figures(name)
  local text = host.shared_get(figures_key(name))
  return text and json.decode(text) or nil
end

--- Adds a run to them. last: processed, updated and failed keys, seconds.
local function note_figures(name, last)
  local figures = balance_refresh.figures(name) or
    { processed = 0, updated = 0, failed = 0, seconds = last.seconds }
  for _, count in ipairs { "processed", "updated", "failed" } do
    figures[count] = figures[count] + last[count]
  end
  figures.seconds = figures.seconds + (last.seconds - figures.seconds) * SMOOTHING
  figures.last, last.ended = json.object(last), host.wall()
  host.shared_set(figures_key(name), json.encode(json.object(figures)))
end

--- The job of a provider whose balances can be asked for; nil for any other.
---@param provider table the catalog's
---@param options { every: (fun(): number?)?, limit: integer? }? every: a setting that goes before
---the provider's own, nil where it is not set, 0: by hand only; limit: keys asked about at once
---@return neap.job_spec?
function balance_refresh.job(provider, options)
  options = options or {}
  local account = key_check.account(provider)
  if not account then return nil end
  local function every() return options.every and options.every() or account.every end

  local function refresh(run)
    local counts, total, last, began = {}, 0, nil, host.now()
    local figures = { processed = 0, updated = 0, failed = 0 }
    local rest_seconds = math.max(REST_MIN, every() * REST_SHARE)
    local keys = keys_of(provider)
    key_verify.run(keys, function(key) return key_check.check(provider, key.secret) end, {
      limit = options.limit,
      is_over = function() return run:is_over() end,
      on_verdict = function(key, verdict, done)
        key_state.note(key, verdict, rest_seconds)
        counts[verdict.state] = (counts[verdict.state] or 0) + 1
        figures.updated = figures.updated + (verdict.balance and 1 or 0)
        figures.failed = figures.failed + (verdict.state == "unknown" and 1 or 0)
        total, last = total + math.max(0, verdict.balance or 0), verdict.why or last
        figures.processed = done
        run:say("%d of %d keys", done, #keys)
      end,
    })
    figures.seconds = host.now() - began
    note_figures(provider.name, figures)
    if counts.unknown and counts.unknown == #keys then
      error("nothing was learned about any key: " .. last, 0)
    end
    return words_of(counts, total)
  end

  return { name = balance_refresh.name_of(provider.name), every = every, run = refresh,
    help = "asks the provider what is left on each of its keys" }
end

return balance_refresh
