--- admin.api.token: clients' credentials. neap makes the secret, shows it once, keeps its digest;
--- what the caller may not do himself no token of his can.

local host = require "neap.host"
local json = require "neap.json"
local kept_bodies = require "admin.api.kept_bodies"
local limits = require "admin.api.limits"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"
local store = require "neap.store"
local stored = require "admin.api.stored"

local text = { type = "string", minLength = 1, maxLength = 400, format = "line" }

local properties = {
  groups = { type = "array", items = text, maxItems = 1000, uniqueItems = true,
    description = "The groups that it may use; without groups and providers it may use all." },
  providers = { type = "array", items = text, maxItems = 1000, uniqueItems = true,
    description = "The providers that it may name itself, as provider/model." },
  limits = limits.schema(),
  bodies = kept_bodies.word("Which bodies of its requests are kept, whatever their group says; "
    .. "without it, what the group says."),
  expires = { type = "string", format = "date-time" },
  rights = { type = "array", uniqueItems = true, items = { enum = { "trace", "keys" } },
    description = "`trace`: may ask for the story of a request; `keys`: may list providers' keys, "
      .. "which only a caller with the scope `keys` can give." },
}

local shown = {
  prefix = { type = "string" },
  last4 = { type = "string", description = "The last characters of the secret." },
}

--- Seconds as the configuration reads them.
local function moment_text(seconds)
  return (host.time_text(math.floor(seconds)):gsub("%.%d+Z$", "Z"))
end

local function view_of(record)
  local view = stored.pick(record, properties)
  view.prefix, view.last4 = record.prefix, record.last4
  return view
end

local function names_of(set)
  local list = json.array {}
  for name, is_given in pairs(set) do
    if is_given then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function view_of_router(given)
  local view = stored.to_json { limits = given.limits, bodies = given.bodies }
  view.groups = given.groups and json.array { unpack(given.groups) }
  view.providers = given.providers and json.array { unpack(given.providers) }
  view.expires = given.expires and moment_text(given.expires)
  view.rights = names_of(given.rights)
  return view
end

local function has_right(record, right)
  for _, one in ipairs(record and record.rights or {}) do
    if one == right then return true end
  end
  return false
end

local function prepare(of, record, before)
  if has_right(record, "keys") and not has_right(before, "keys") and not of.who.scopes.keys then
    problem.raise(403, "forbidden", "only a caller with the scope \"keys\" can give the right "
      .. "\"keys\"", { field = "/rights" })
  end
  if record.expires then record.expires = moment_text(schema.moment(record.expires)) end
  if before then return nil end
  local secret, digest = host.token_new()
  record.digest, record.prefix, record.last4 = store.digest_text(digest), "neap-", secret:sub(-4)
  return { wrap = function(view) return json.object { token = view, secret = secret } end }
end

return stored.operations {
  kind = "token", list_name = "tokens", component = "Token", name_format = "line",
  properties = properties, shown = shown, view = view_of, view_of_router = view_of_router,
  prepare = prepare,
  made = function(view)
    return schema.named("NewTokenSecret", schema.object({ token = view,
      secret = { type = "string", description = "Shown this once." } }, { "token", "secret" }))
  end,
}
