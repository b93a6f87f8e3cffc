--- neap.key_verify: asks a provider about many of its keys: a bounded number at once, again where
--- an answer says nothing, slower where the provider asks for it, and no more where it is away.

local crowd = require "neap.crowd"
local host = require "neap.host"

local key_verify = {}

local LIMIT = 8      -- keys asked about at once
local TRIES = 3      -- for each key
local WAIT_MAX = 20  -- seconds between two tries
local AWAY_MIN = 24  -- answers in a row that say nothing, after which nobody is asked any more

---@class neap.verify_options
---@field limit integer? keys asked about at once, 8
---@field tries integer? for each key, 3
---@field is_over (fun(): boolean)? true: no more keys are asked about
---@field on_verdict fun(element: any, verdict: neap.key_verdict, done: integer)?

local NOT_ASKED = { state = "unknown", is_asked = false,
  why = "not asked: the provider does not answer, or limits everybody" }
local STOPPED = { state = "unknown", is_asked = false, why = "not asked: it was stopped before" }

--- 1, 2, 4 … seconds, or what the provider asks for, up to a quarter less or more by chance.
local function pause(verdict, try)
  local wait = verdict.wait or 2 ^ (try - 1)
  return math.min(wait, WAIT_MAX) * (0.75 + host.random() * 0.5)
end

--- One key: asked until there is an answer, or there were enough tries. All of them wait while the
--- provider asks any of them to.
local function settle(state, ask, element)
  local verdict
  for try = 1, state.tries do
    local left = state.quiet_until - host.now()
    if left > 0 then host.sleep(left) end
    if state.is_over() then return verdict or STOPPED end
    if state.silent >= state.away then return verdict or NOT_ASKED end
    verdict = ask(element)
    state.silent = verdict.is_passing and state.silent + 1 or 0
    if not verdict.is_passing then return verdict end
    local seconds = pause(verdict, try)
    if verdict.state == "limited" then
      state.quiet_until = math.max(state.quiet_until, host.now() + seconds)
    elseif try < state.tries then
      host.sleep(seconds)
    end
  end
  return verdict
end

--- Asks about every element. Waits. Each verdict is told as soon as it is there; an element that
--- was not asked about gets one that says so, `unknown`.
---@param list any[]
---@param ask fun(element: any): neap.key_verdict such as key_check.check with a provider
---@param options neap.verify_options?
---@return neap.key_verdict[] verdicts in the order of the list
function key_verify.run(list, ask, options)
  options = options or {}
  local limit = options.limit or LIMIT
  local state = {
    tries = options.tries or TRIES, quiet_until = 0, silent = 0,
    away = math.max(AWAY_MIN, 3 * limit), is_over = options.is_over or function() return false end,
  }
  local verdicts, done = {}, 0

  local function take(element, index)
    local verdict = settle(state, ask, element)
    verdicts[index], done = verdict, done + 1
    if options.on_verdict then options.on_verdict(element, verdict, done) end
  end

  crowd.each(list, limit, take)
  return verdicts
end

return key_verify
