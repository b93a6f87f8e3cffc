--- What each word of router.lua may hold, and the configuration that comes of it.

local fields = require "neap.config_fields"
local pricing = require "neap.price"
local urls = require "neap.config_url"
local usage = require "neap.usage"
local words = require "neap.config_words"

local config_check = {}

local number, list, record, text = fields.number, fields.list, fields.record, fields.text

local MAX_SECONDS = 7 * 86400
local seconds = number { above = 0, max = MAX_SECONDS,
  what = ("seconds above 0 and up to %d (7 days)"):format(MAX_SECONDS) }
local whole = number { min = 1, max = 2 ^ 53, is_whole = true, what = "a whole number from 1 on" }
local amount = number { min = 0, what = "a number from 0 on" }

local DIALECTS = { "openai", "anthropic", "gemini" }
local TIMEOUTS = { connect = 5, first_byte = 60, first_event = 120, idle = 120, total = 600 }
local LIMITS = { attempts = 6, seconds = 900 }

local timeouts = record {
  connect = seconds, first_byte = seconds, first_event = seconds, idle = seconds, total = seconds,
}

-- The words that are set with = ----------------------------------------------------------

local function log(check, value, place)
  if type(value) == "string" then value = { level = value } end
  return record {
    level = fields.choice { "debug", "info", "warn", "error" },
    format = fields.choice { "json", "text" },
  }(check, value, place)
end

local function cors(check, value, place)
  if value == false then return nil end
  return fields.one_or_list(urls.origin)(check, value, place)
end

local certificates = record({ certificate = fields.readable, key = fields.readable },
  { certificate = "the path of a PEM file", key = "the path of a PEM file" })

--- Files that can be read, and that a listener can use.
local function tls(check, value, place)
  local files = certificates(check, value, place)
  if files and files.certificate and files.key and check.certificate_problem then
    local problem = check.certificate_problem(files.certificate, files.key)
    if problem then check:fail(place, ("%s: %s"):format(place.title, problem)) end
  end
  return files
end

local TOP = {
  listen = fields.address,
  admin = record({ listen = fields.address, names = list(text) },
    { listen = "the address of the admin side" }),
  storage = fields.path,
  policies = fields.path,
  workers = number { min = 1, max = 256, is_whole = true, what = "a whole number from 1 to 256" },
  drain_timeout = number { min = 0, max = MAX_SECONDS,
    what = ("seconds from 0 to %d (7 days)"):format(MAX_SECONDS) },
  watch = fields.flag,
  journal = fields.flag,
  cors = cors,
  tls = tls,
  spool = fields.bytes,
  private_upstreams = fields.flag,
  guess_conversations = fields.flag,
  log = log,
}

--- The words that are set with =, with their defaults.
---@param check neap.config.check
---@param top table<string, neap.config.declaration>
---@return table configuration
function config_check.top(check, top)
  local configuration = {
    path = check.router, folder = check.folder,
    listen = "127.0.0.1:8080", storage = check:path("data"), policies = check:path("policies"),
    drain_timeout = 30, watch = false, journal = true, spool = 20 * 2 ^ 30,
    private_upstreams = false, guess_conversations = true,
  }
  configuration.listen_line = top.listen and check:place(top.listen):line() or 1
  for word, declaration in pairs(top) do
    local value = check:take(TOP[word], declaration.fields, check:place(declaration))
    if value ~= nil then configuration[word] = value end
  end
  local admin = configuration.admin
  if admin and admin.listen == configuration.listen then
    check:fail(check:place(top.admin), "admin.listen is the same address as listen")
  end
  return configuration
end

-- provider -------------------------------------------------------------------------------

local function price_up_to(most)
  return number { min = 0, max = most, what = ("a number from 0 to %d"):format(most) }
end

local TOKENS = { "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning",
  "audio_input", "audio_output" }

local function token_prices(more)
  for _, name in ipairs(TOKENS) do more[name] = price_up_to(pricing.MAX.token) end
  return more
end

local tier = record(token_prices { above = number { min = 1, max = usage.COUNT_MAX,
  is_whole = true, what = "tokens: a whole number from 1 on" } },
  { above = "the tokens of a prompt above which it holds" })

--- Tiers by the length of the prompt, in any order.
local function tiers(check, value, place)
  local taken, seen = list(tier)(check, value, place), {}
  for index, one in ipairs(taken or {}) do
    if one.above and seen[one.above] then
      check:fail(place:element(index),
        ("%s: two tiers are above %d"):format(place.title, one.above))
    end
    if one.above then seen[one.above] = true end
  end
  return taken
end

local prices = record(token_prices { call = price_up_to(pricing.MAX.each),
  image = price_up_to(pricing.MAX.each), second = price_up_to(pricing.MAX.second), tiers = tiers })
local priced_models = fields.map(prices)

--- { ["name"] = prices }, or names without prices.
local function models(check, value, place)
  if type(value) ~= "table" then return priced_models(check, value, place) end
  local named = {}
  for name, price in pairs(value) do
    if type(name) == "number" then
      local model = check:take(text, price, place:element(name, price))
      if model then named[model] = {} end
    else
      named[name] = price
    end
  end
  return priced_models(check, named, place)
end

local key_fields = record({ secret = fields.secret(), id = text,
  balance = number { what = "a number" } }, { secret = "secret = env \"NAME\"" },
  { secret = true })

--- One key. Its default id is where it comes from: the variable's name, or its place in the list.
local function read_key(check, provider, index, given, place)
  if words.is_nothing(given) then return nil end
  if words.is_value(given) or type(given) ~= "table" then given = { secret = given } end
  local origin = given.secret
  if words.is_value(origin) then place = place:at(origin.line) end
  local key = check:take(key_fields, given, place)
  if not key or not key.secret then return nil end
  local is_env = words.is_value(origin) and origin.kind == "env"
  key.id = key.id or (is_env and origin.name) or ("%s-%d"):format(provider, index)
  return key, place
end

local function read_keys(provider)
  return function(check, value, place)
    if type(value) ~= "table" or check:is_looked_up(value) or value.secret ~= nil then
      return check:fail(place, ("%s must be a list: keys = { env \"NAME\" }"):format(place.title))
    end
    local keys, by_id, by_secret = {}, {}, {}
    for _, index in ipairs(fields.indices(check, value, place)) do
      local key, at = read_key(check, provider, index, value[index], place:element(index))
      if key and by_id[key.id] then
        check:fail(at, ("%s: two keys have the id %s"):format(place.title, key.id))
      elseif key and by_secret[key.secret] then
        check:fail(at, ("%s: %s is the same key as %s"):format(place.title, key.id,
          by_secret[key.secret]))
      elseif key then
        by_id[key.id], by_secret[key.secret] = true, key.id
        keys[#keys + 1] = key
      end
    end
    return keys
  end
end

--- One key that is stored: its secret is at hand.
---@param check neap.config.check
---@param declaration neap.config.declaration its provider
---@param given table secret, id and balance
---@return table? key
function config_check.key(check, declaration, given)
  return check:take(key_fields, given, check:place(declaration):field(given.id))
end

local function account_path(check, value, place)
  if type(value) == "string" and value:find("^/[^%s%c]*$") then return value end
  check:fail(place, ("%s must be a path that begins with /"):format(place.title))
end

local balance = record({ path = account_path, member = text, every = seconds },
  { path = "such as \"/v1/user/info\"", member = "such as \"data.totalBalance\"" })

--- Those of the dialects that neap brings; one of the user's own has what it likes.
local OPTIONS = { openai = record { stream_options = fields.flag, private = fields.flag } }

local function provider_fields(check, name, dialect)
  return record({
    dialect = fields.choice(check.dialects or DIALECTS),
    url = urls.base,
    keys = read_keys(name),
    keyless = fields.flag,
    models = models,
    timeouts = timeouts,
    proxy = fields.one_or_list(urls.proxy),
    headers = fields.headers,
    forward = list(fields.forwarded),
    options = OPTIONS[dialect] or fields.plain,
    balance = balance,
  }, { dialect = "such as dialect = \"openai\"", url = "its base URL" }, { url = true })
end

local function filled(given, defaults)
  local result = {}
  for name, value in pairs(defaults) do result[name] = value end
  for name, value in pairs(given) do result[name] = value end
  return result
end

--- A provider without keys is off unless it needs none.
---@param provider table
function config_check.switch(provider)
  provider.is_on = provider.url ~= nil and (#provider.keys > 0 or provider.keyless)
end

---@param check neap.config.check
---@param declaration neap.config.declaration
---@return table? provider
function config_check.provider(check, declaration)
  local place = check:place(declaration)
  local kind = provider_fields(check, declaration.name, declaration.fields.dialect)
  local provider = check:take(kind, declaration.fields, place)
  if not provider then return nil end
  provider.name, provider.line = declaration.name, declaration.line
  provider.keys = provider.keys or {}
  provider.keyless = provider.keyless or false
  config_check.switch(provider)
  provider.models = provider.models or {}
  provider.timeouts_given = provider.timeouts or {}
  provider.timeouts = filled(provider.timeouts_given, TIMEOUTS)
  provider.proxy = provider.proxy or {}
  provider.headers = provider.headers or {}
  provider.forward = provider.forward or {}
  provider.options = provider.options or {}
  if provider.balance then provider.balance.every = provider.balance.every or 3600 end
  return provider
end

-- group ----------------------------------------------------------------------------------

--- The name of a policy's file, which is looked for in two folders and nowhere else.
local function policy_name(check, value, place)
  if type(value) == "string" and value:find("^[%w_][%w_-]*$") then return value end
  check:fail(place, ("%s must be a policy's name: letters, digits, _ and -"):format(place.title))
end

--- One policy of a chain: a name, or use(name, settings).
local function chain_entry(check, value, place)
  local settings
  if words.is_use(value) then
    place = place:at(value.line)
    settings = check:take(fields.plain, value.settings, place)
    if value.settings ~= nil and type(settings) ~= "table" then
      check:fail(place, ("%s: settings are a table: use(\"name\", { … })"):format(place.title))
      settings = nil
    end
    value = value.name
  end
  local name = policy_name(check, value, place)
  return name and { name = name, settings = settings or {}, line = place:line() }
end

local chain = list(chain_entry)

local target_fields = record({
  provider = text,
  model = text,
  priority = number { is_whole = true, min = 0, max = 2 ^ 31,
    what = "a whole number from 0 to 2147483648" },
  weight = amount,
}, { provider = "{ \"provider\", \"model\" }", model = "{ \"provider\", \"model\" }" })

--- { "provider", "model", priority = 1, weight = 1 }, or all of them named.
local function target(check, value, place)
  if type(value) ~= "table" then
    return check:fail(place, ("%s must be a target: { \"provider\", \"model\" }")
      :format(place.title))
  end
  local named = {}
  for name, field in pairs(value) do
    local meant = name == 1 and "provider" or name == 2 and "model" or name
    if meant ~= name and value[meant] ~= nil then
      return check:fail(place, ("%s names its %s twice"):format(place.title, meant))
    end
    named[meant] = field
  end
  place = place:at(place:element(1, named.provider):line())
  local result = target_fields(check, named, place)
  if not result.provider or not result.model then return nil end
  check:refer("provider", result.provider, place)
  result.priority, result.weight = result.priority or 1, result.weight or 1
  result.line = place:line()
  return result
end

--- Limits of a span of time; they are kept by the policies that count.
local function limits(more)
  local spec = {
    requests_per_minute = whole, requests_per_day = whole, tokens_per_minute = whole,
    tokens_per_day = whole, in_flight = whole, cost_per_day = amount, cost_per_month = amount,
  }
  for name, kind in pairs(more) do spec[name] = kind end
  return record(spec)
end

--- Which bodies are kept: none, all, those of failures, or a share of all.
local function bodies(check, value, place)
  if type(value) == "boolean" or value == "failures" then return value end
  if type(value) == "number" and value > 0 and value <= 1 then return value end
  check:fail(place, ("%s must be true, false, \"failures\" or a share up to 1"):format(place.title))
end

local group_fields = record {
  policies = chain,
  fallback = chain,
  targets = list(target),
  limits = limits { attempts = whole, seconds = seconds },
  timeouts = timeouts,
  on_disconnect = fields.choice { "cancel", "drain", "detach" },
  bodies = bodies,
  strict = fields.flag,
}

---@param check neap.config.check
---@param declaration neap.config.declaration
---@return table? group
function config_check.group(check, declaration)
  local place, errors_before = check:place(declaration), #check.errors
  local group = check:take(group_fields, declaration.fields, place)
  local given = declaration.fields
  -- After another error it would only say the same of a misspelt field.
  if given.targets == nil and given.policies == nil and #check.errors == errors_before then
    check:fail(place, ("%s has no targets: targets = { { \"provider\", \"model\" } }")
      :format(place.title))
  end
  group.name, group.line = declaration.name, declaration.line
  group.targets = group.targets or {}
  group.limits = filled(group.limits or {}, LIMITS)
  group.timeouts = group.timeouts or {}
  group.on_disconnect = group.on_disconnect or "cancel"
  group.bodies = group.bodies or false
  group.strict = group.strict or false
  return group
end

-- token ----------------------------------------------------------------------------------

local function reference(word)
  return function(check, value, place)
    local name = text(check, value, place)
    if name then check:refer(word, name, place) end
    return name
  end
end

local RIGHTS = { "trace", "keys" }
local right_list = list(fields.choice(RIGHTS))

local function rights(check, value, place)
  local result = {}
  for _, right in ipairs(right_list(check, value, place) or {}) do result[right] = true end
  return result
end

--- What a token has, with how it is known: by its secret or, stored, by its digest.
local function token_kind(known_by, kind, missing)
  return record({
    [known_by] = kind,
    groups = list(reference("group")),
    providers = list(reference("provider")),
    limits = limits {},
    bodies = bodies,
    expires = fields.moment,
    rights = rights,
  }, { [known_by] = missing })
end

local token_fields = token_kind("secret", fields.secret(16),
  "a text of 16 or more characters, env \"NAME\" or file \"path\"")

local function digest(check, value, place)
  if type(value) == "string" and #value == 64 and not value:find("[^0-9a-f]") then return value end
  check:fail(place, ("%s must be 64 hexadecimal digits"):format(place.title))
end

local stored_token_fields = token_kind("digest", digest, "64 hexadecimal digits")

local function finish_token(token, declaration)
  token.name, token.line = declaration.name, declaration.line
  token.limits = token.limits or {}
  token.rights = filled(token.rights or {}, { trace = false, keys = false })
  return token
end

---@param check neap.config.check
---@param declaration neap.config.declaration
---@return table? token
function config_check.token(check, declaration)
  local token = check:take(token_fields, declaration.fields, check:place(declaration))
  return token and finish_token(token, declaration)
end

--- A token of which a digest is kept and no secret.
---@param check neap.config.check
---@param declaration neap.config.declaration
---@return table? token
function config_check.stored_token(check, declaration)
  local token = check:take(stored_token_fields, declaration.fields, check:place(declaration))
  return token and finish_token(token, declaration)
end

--- A provider's name stands before the "/" of a model and in a header of the answer.
---@param name string
---@return boolean
function config_check.is_provider_name(name) return name:find("^[%w_][%w_.-]*$") ~= nil end

return config_check
