--- admin.api.provider: upstream services, with their models and prices. Their keys are
--- admin.api.key's.
---
--- Headers and a proxy's password may be secrets: they are taken, and shown as HIDDEN. Who sends
--- HIDDEN back leaves the value as it is.

local json = require "neap.json"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local router = require "neap.router"
local stored = require "admin.api.stored"

local HIDDEN, PASSWORD_HIDDEN = "(hidden)", ":***@"
local PRICES = { "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning",
  "audio_input", "audio_output" }

local seconds = { type = "number", minimum = 0 }
local text = { type = "string", minLength = 1, maxLength = 2000, format = "line" }

local function token_prices(more)
  local properties = {}
  for _, name in ipairs(PRICES) do
    properties[name] = { type = "number", minimum = 0, description = "USD per million tokens." }
  end
  for name, one in pairs(more) do properties[name] = one end
  return { type = "object", properties = properties }
end

local amount = { type = "number", minimum = 0, description = "USD." }
local prices = token_prices { call = amount, image = amount, second = amount,
  tiers = { type = "array", maxItems = 20, items = token_prices {
    above = { type = "integer", minimum = 1, description = "Tokens of a prompt." } } } }
prices.component = "Prices"

local properties = {
  dialect = { type = "string", maxLength = 100, examples = { "openai" },
    description = "The protocol that it speaks." },
  url = { type = "string", format = "uri", maxLength = 2000,
    examples = { "https://api.openai.com/v1" } },
  keyless = { type = "boolean", description = "It needs no key." },
  models = { type = "object", additionalProperties = prices,
    description = "Its models by name, with their prices; a patch adds, changes and (by null) "
      .. "removes single ones." },
  timeouts = { type = "object", properties = { connect = seconds, first_byte = seconds,
    first_event = seconds, idle = seconds, total = seconds }, description = "Seconds." },
  proxy = { type = "array", items = text, maxItems = 100 },
  headers = { type = "object", additionalProperties = { type = "string", maxLength = 8000 },
    description = "Sent with each request. Values are shown as \"(hidden)\"." },
  forward = { type = "array", items = text, maxItems = 100,
    description = "Headers of the client that are sent on." },
  options = { type = "object", additionalProperties = true,
    description = "What the dialect takes." },
  balance = { type = "object", required = { "path", "member" }, properties = {
    path = text, member = text, every = seconds },
    description = "How what is left on a key is asked for." },
}

-- ------------------------------------------------------------------------------------
-- What is shown

local function hide_proxy(url)
  return (url:gsub("^(%a[%w+.-]*://[^/@:]*):[^@]*@", "%1" .. PASSWORD_HIDDEN))
end

local function hide(view)
  for name in pairs(view.headers or {}) do view.headers[name] = HIDDEN end
  for place, url in ipairs(view.proxy or {}) do view.proxy[place] = hide_proxy(url) end
  return view
end

local function copy(record)
  local result = json.object {}
  for name, value in pairs(record) do result[name] = value end
  if record.headers then
    result.headers = json.object {}
    for name, value in pairs(record.headers) do result.headers[name] = value end
  end
  if record.proxy then result.proxy = json.array { unpack(record.proxy) } end
  return result
end

--- How many keys it has in force, and whether requests can go there.
local function add_state(view, name)
  local _, known = router.loaded()
  local provider = known and known.providers[name]
  view.key_count = provider and #provider.keys or 0
  view.is_on = provider ~= nil and provider.is_on == true
  return view
end

--- The same for a record that was just written: how it was is known of one that was in force.
local function look_ahead(view, record, name)
  local _, known = router.loaded()
  view.key_count = 0
  if known and known.providers[name] then
    view.key_count = #known.providers[name].keys
  else
    for _, row in ipairs(rows.all("keys", name .. "/")) do
      if not row.document.off then view.key_count = view.key_count + 1 end
    end
  end
  if record.off then view.key_count = 0 end
  view.is_on = not record.off and (record.keyless == true or view.key_count > 0)
end

local function view_of(record, name)
  return add_state(hide(copy(stored.pick(record, properties))), name)
end

local function view_of_router(given)
  local view = stored.to_json {
    dialect = given.dialect, url = given.url, keyless = given.keyless,
    timeouts = given.timeouts_given, options = given.options, balance = given.balance }
  view.proxy = json.array { unpack(given.proxy) }
  view.forward = json.array { unpack(given.forward) }
  view.headers, view.models = json.object {}, json.object {}
  for header in pairs(given.headers) do view.headers[header] = HIDDEN end
  for model, price in pairs(given.models) do view.models[model] = stored.to_json(price) end
  return add_state(hide(view), given.name)
end

-- ------------------------------------------------------------------------------------
-- What is written

--- Those that are shown alike (one user, whose passwords name sessions) keep their order.
local function reveal_proxies(list, known)
  local is_taken = {}
  for place, url in ipairs(list) do
    for index, old in ipairs(known) do
      if url == hide_proxy(old) and not is_taken[index] then
        list[place], is_taken[index] = old, true
        break
      end
    end
    if list[place]:find(PASSWORD_HIDDEN, 1, true) then
      problem.raise(422, "invalid", ("/proxy/%d has no password to keep"):format(place - 1),
        { field = "/proxy/" .. place - 1 })
    end
  end
end

--- Puts what was hidden back in its place.
local function reveal(record, before)
  local known = before and before.headers or {}
  for name, value in pairs(record.headers or {}) do
    if value == HIDDEN then
      if not known[name] then
        problem.raise(422, "invalid", ("/headers/%s has no value to keep"):format(name),
          { field = "/headers/" .. name })
      end
      record.headers[name] = known[name]
    end
  end
  reveal_proxies(record.proxy or {}, before and before.proxy or {})
end

--- The keys go with their provider.
local function keys_of(name)
  local ops = {}
  for _, row in ipairs(rows.all("keys", name .. "/")) do
    ops[#ops + 1] = { "delete", "keys", row.key }
  end
  return ops
end

return stored.operations {
  kind = "provider", list_name = "providers", component = "Provider", name_format = "name",
  properties = properties, required = { "dialect", "url" },
  shown = { key_count = { type = "integer", description = "Keys in force." },
    is_on = { type = "boolean", description = "Whether requests can go there." } },
  view = view_of, view_of_router = view_of_router, also_removed = keys_of,
  look_ahead = look_ahead,
  prepare = function(_, record, before)
    reveal(record, before)
  end,
}
