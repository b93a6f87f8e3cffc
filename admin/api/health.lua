--- admin.api.health: whether neap is well, for whoever watches over it.

local host = require "neap.host"
local json = require "neap.json"
local schema = require "admin.api.schema"
local siliconflow = require "admin.api.compat.siliconflow"

--- Whether a row can be read: not which, and none need be there.
local function is_store_well()
  local _, why = host.store_get("config", "setting/time_zone")
  return why == nil
end

local function show(of)
  local is_well = is_store_well()
  local document = json.object { status = is_well and "healthy" or "unhealthy",
    database = is_well and "connected" or "unavailable", timestamp = math.floor(host.wall()) }
  -- What one of the replaced systems says besides; its clients look for it here.
  if is_well then siliconflow.add_health(of, document) end
  return is_well and 200 or 503, document
end

local count = { type = "integer", minimum = 0 }

--- What became of the records since the start, or nil where there is no journal.
local function show_journal()
  local figures = host.journal_figures()
  return figures and json.object { written = figures.written, dropped = figures.dropped,
    bytes = figures.bytes, error = figures.error }
end

local function show_figures()
  local figures = host.figures()
  return 200, json.object {
    generation = figures.generation, workers = figures.workers,
    uptime = math.floor(figures.uptime), reloads = figures.reloads,
    reload_errors = figures.reload_errors, log_dropped = figures.log_dropped, late = figures.late,
    done_skipped = figures.done_skipped, is_draining = figures.draining,
    is_store_well = is_store_well(), journal = show_journal(),
    open = json.object { connections = figures.connections, requests = figures.requests,
      attempts = figures.attempts, admin_connections = figures.admin_connections },
  }
end

local properties = {
  status = { enum = { "healthy", "unhealthy" } },
  database = { enum = { "connected", "unavailable" } }, timestamp = { type = "integer" },
}
for name, one in pairs(siliconflow.health_properties) do properties[name] = one end
local short = schema.named("Health",
  schema.object(properties, { "status", "database", "timestamp" }))

return {
  { id = "get_health", method = "GET", path = "/health", tag = "health", scope = "open",
    summary = "Whether neap is well", run = show,
    responses = { { 200, "It is.", short }, { 503, "The store cannot be read.", short } } },
  { id = "get_figures", method = "GET", path = "/api/v1/health", tag = "health", scope = "read",
    summary = "Figures of the running process", run = show_figures,
    responses = { { 200, "The figures.", schema.object({
      generation = count, workers = count, uptime = { type = "integer", description = "Seconds." },
      reloads = count, reload_errors = count, log_dropped = count,
      late = { type = "integer", description = "Times that Lua held a worker up." },
      done_skipped = count, is_draining = { type = "boolean" },
      is_store_well = { type = "boolean" },
      journal = schema.object({ written = count, bytes = count,
        dropped = { type = "integer", minimum = 0,
          description = "Records that found no room or no disk." },
        error = { type = "string", description = "Of the last write, if it failed." },
      }, { "written", "dropped" }),
      open = schema.object({ connections = count, requests = count, attempts = count,
        admin_connections = count },
        { "connections", "requests", "attempts", "admin_connections" }),
    }, { "generation", "workers", "uptime", "reloads", "reload_errors", "is_draining",
      "is_store_well", "open" }) } } },
}
