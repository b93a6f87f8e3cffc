--- admin.api.generations: what is in force, what was refused and why, and loading anew.

local change = require "admin.api.change"
local host = require "neap.host"
local json = require "neap.json"
local schema = require "admin.api.schema"

local load = schema.named("Load", schema.object({
  generation = { type = { "integer", "null" }, description = "null: it was refused." },
  time = { type = "string", format = "date-time" },
  cause = { enum = { "start", "signal", "watch", "api", "memory" } },
  errors = { type = "array", items = { type = "string" },
    description = "Why it was refused; each begins with its file and line." },
}, { "generation", "time", "cause", "errors" }))

local function view(one)
  return json.object { generation = one.generation or json.null, time = host.time_text(one.at),
    cause = one.cause, errors = change.lines(one.errors) }
end

local function list()
  local known, loads = host.generations(), json.array {}
  for index, one in ipairs(known.loads) do loads[index] = view(one) end
  return 200, json.object { current = known.current, loads = loads }
end

local function reload(of)
  local generation = change.reload()
  change.commit(of, {}, { action = "reload", object = "generation/" .. generation })
  return 200, json.object { generation = generation }
end

return {
  { id = "list_generations", method = "GET", path = "/api/v1/generations", tag = "generations",
    scope = "read", summary = "The generation in force, and how the last loads went", run = list,
    responses = { { 200, "The last loads, the newest first.", schema.object({
      current = { type = "integer" }, loads = { type = "array", items = load },
    }, { "current", "loads" }) } } },
  { id = "reload", method = "POST", path = "/api/v1/generations", tag = "generations",
    scope = "write", summary = "Load router.lua, the policies and what is stored anew",
    description = "Answers when the new generation is in force in all workers. What is wrong is in "
      .. "`details` (422, `invalid_configuration`); then the old one stays.",
    errors = { 422 }, run = reload,
    responses = { { 200, "It is in force.", schema.object({
      generation = { type = "integer" } }, { "generation" }) } } },
}
