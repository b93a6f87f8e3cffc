--- admin.api.group: what clients name in `model`: targets, a chain of policies with their settings,
--- and limits. Whether a policy takes its settings is what the rehearsal of a change finds out.

local json = require "neap.json"
local kept_bodies = require "admin.api.kept_bodies"
local limits = require "admin.api.limits"
local stored = require "admin.api.stored"

local seconds = { type = "number", minimum = 0 }
local text = { type = "string", minLength = 1, maxLength = 400, format = "line" }

local target = { type = "object", required = { "provider", "model" }, component = "GroupTarget",
  properties = {
    provider = text, model = text,
    priority = { type = "integer", minimum = 0, maximum = 2 ^ 31,
      description = "The lowest is tried first; without one 1." },
    weight = { type = "number", minimum = 0 },
  } }

local used = { type = "object", required = { "name" }, component = "UsedPolicy", properties = {
  name = text, settings = { type = "object", additionalProperties = true } } }
local chain = { type = "array", maxItems = 50, items = { anyOf = { text, used } },
  description = "From the outermost to the innermost: names, or names with settings." }

local properties = {
  targets = { type = "array", items = target, maxItems = 1000 },
  policies = chain, fallback = chain,
  limits = limits.schema { attempts = { type = "integer", minimum = 1 }, seconds = seconds },
  timeouts = { type = "object", properties = { connect = seconds, first_byte = seconds,
    first_event = seconds, idle = seconds, total = seconds }, description = "Seconds." },
  on_disconnect = { enum = { "cancel", "drain", "detach" } },
  bodies = kept_bodies.word("Which bodies are kept of its requests, where their token says "
    .. "nothing of it."),
  strict = { type = "boolean" },
}

local function view_of_chain(entries)
  if not entries then return nil end
  local list = json.array {}
  for place, entry in ipairs(entries) do
    list[place] = json.object { name = entry.name, settings = next(entry.settings)
      and stored.to_json(entry.settings) or json.object {} }
  end
  return list
end

local function view_of_router(given)
  local view = stored.to_json { limits = given.limits, timeouts = given.timeouts,
    on_disconnect = given.on_disconnect, bodies = given.bodies, strict = given.strict }
  view.targets = stored.to_json(given.targets, true)
  view.policies, view.fallback = view_of_chain(given.policies), view_of_chain(given.fallback)
  return view
end

return stored.operations {
  kind = "group", list_name = "groups", component = "Group", name_format = "line",
  properties = properties,
  view = function(record) return stored.pick(record, properties) end,
  view_of_router = view_of_router,
}
