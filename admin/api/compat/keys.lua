--- admin.api.compat.keys: a provider's keys as the replaced systems' clients handle them: found by
--- the key itself, added from a paste, asked about, removed.
---
--- A key is shown masked. Whoever names one sends it whole, or as it is shown where no other is
--- shown alike, or by its id.

local catalog = require "neap.catalog"
local host = require "neap.host"
local json = require "neap.json"
local key_check = require "neap.key_check"
local key_list = require "neap.key_list"
local key_state = require "neap.key_state"
local key_verify = require "neap.key_verify"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"
local store = require "neap.store"

local keys = {}

local AT_ONCE = 20          -- keys that a provider is asked about
local OPENED_AT_ONCE = 500  -- keys that are unsealed in one run
local REST_SECONDS = 5400   -- of a key on which nothing is left

keys.mask = key_list.mask

---@class admin.compat.key
---@field id string
---@field secret string
---@field shown string masked
---@field row { key: string, document: table, text: string }? nil: it stands in router.lua
---@field added number seconds since 1970, 0: unknown
---@field is_off boolean
---@field health neap.host_health
---@field balance number?

local function make(provider, id, secret, row, given)
  local health = host.health(catalog.key_health(provider, secret))
  return { id = id, secret = secret, shown = keys.mask(secret), row = row, health = health,
    added = row and row.document.created or 0, is_off = row ~= nil and row.document.off == true,
    balance = health:balance() or given }
end

--- The provider as router.lua or the store has it in force, and the catalog's; or nil.
---@return table? provider, table? known
function keys.provider(name)
  local configuration, known = router.loaded()
  for _, provider in ipairs(configuration and configuration.providers or {}) do
    if provider.name == name then return provider, known and known.providers[name] end
  end
end

--- All keys of a provider, router.lua's first. Waits.
---@param name string
---@return admin.compat.key[]
function keys.of(name)
  local list = {}
  for _, key in ipairs((keys.provider(name) or { keys = {} }).keys) do
    if not key.is_stored then list[#list + 1] = make(name, key.id, key.secret, nil, key.balance) end
  end
  for place, row in ipairs(rows.all("keys", name .. "/")) do
    local sealed = (row.document.sealed or {}).secret
    local secret = sealed and store.unseal("key", row.key, "secret", sealed)
    if secret then
      list[#list + 1] = make(name, row.key:sub(#name + 2), secret, row, row.document.balance)
    end
    if place % OPENED_AT_ONCE == 0 then host.sleep(0) end
  end
  if #list >= OPENED_AT_ONCE then host.sleep(0) end -- what comes next has a run of its own
  return list
end

--- The first key of a provider, or nil. Waits.
---@return string? secret
function keys.first(name)
  for _, key in ipairs((keys.provider(name) or { keys = {} }).keys) do
    if not key.is_stored then return key.secret end
  end
  local row = rows.page("keys", { prefix = name .. "/", limit = 1 })[1]
  local sealed = row and (row.document.sealed or {}).secret
  return sealed and store.unseal("key", row.key, "secret", sealed) or nil
end

--- The key that a text names: whole, masked, or by its id. nil where there is none, or several.
function keys.find(list, text)
  local found
  for _, key in ipairs(list) do
    if key.secret == text or key.id == text then return key end
    if key.shown == text then
      if found then
        problem.raise(409, "ambiguous", "several keys are shown like this: name it by its id")
      end
      found = key
    end
  end
  return found
end

--- Adds to ops what stores a key.
function keys.add(ops, provider, secret, more)
  local id = host.id()
  local name, now = provider .. "/" .. id, host.wall()
  local sealed, why = store.seal("key", name, "secret", secret)
  if not sealed then problem.raise(503, "sealing_failed", "the key cannot be sealed: " .. why) end
  local document = json.object { version = 1, created = now, updated = now,
    sealed = json.object { secret = sealed },
    last4 = #secret >= key_list.MASK_MIN and secret:sub(-4) or nil }
  for field, value in pairs(more or {}) do document[field] = value end
  ops[#ops + 1] = { "expect", "keys", name, nil }
  ops[#ops + 1] = { "put", "keys", name, document }
  return id
end

--- Adds to ops what removes a stored key; raises 409 for one of router.lua's.
function keys.remove(ops, key)
  if not key.row then
    problem.raise(409, "read_only", "the key stands in router.lua: remove it there")
  end
  ops[#ops + 1] = { "expect", "keys", key.row.key, key.row.text }
  ops[#ops + 1] = { "delete", "keys", key.row.key }
end

--- Asks a provider about secrets. Nobody is asked twice at once about one; an outage condemns none.
--- Waits.
---@param provider table the catalog's, or the fields of a configuration
---@param list any[] elements with `secret`
---@param note fun(element: any, verdict: neap.key_verdict)?
---@return neap.key_verdict[]
function keys.ask(provider, list, note)
  return key_verify.run(list, function(one) return key_check.check(provider, one.secret) end,
    { limit = AT_ONCE, on_verdict = note })
end

--- Asks about keys that are in force and notes what was said of each: balances, rests, refusals.
--- Counts by state.
---@param provider table the catalog's
---@param list admin.compat.key[]
---@return table<string, integer> counts, neap.key_verdict[] verdicts
function keys.refresh(provider, list)
  local counts = {}
  local verdicts = keys.ask(provider, list, function(key, verdict)
    key_state.note(key, verdict, REST_SECONDS)
    counts[verdict.state] = (counts[verdict.state] or 0) + 1
  end)
  return counts, verdicts
end

return keys
