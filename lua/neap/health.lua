--- neap.health: GET /health, /healthz and /readyz, for whoever watches over neap; no token needed,
--- so no name of a provider, group or token either.

local fault = require "neap.fault"
local host = require "neap.host"
local json = require "neap.json"
local plain = require "neap.plain"

local health = {}

local function has_ready_key(known)
  for _, provider in ipairs(known.provider_list) do
    for _, key in ipairs(provider.keys) do
      if key.health:is_ready() then return true end
    end
  end
  return false
end

local function journal_figures()
  local figures = host.journal_figures()
  return figures and json.object { written = figures.written, dropped = figures.dropped,
    error = figures.error }
end

function health.show(of, known)
  local figures = host.figures()
  plain.send(of, 200, json.object {
    status = "healthy",
    api_keys = has_ready_key(known) and "available" or "unavailable",
    api_keys_count = known.key_count,
    -- Keys are not refreshed yet: what asks for it learns so.
    auto_refresh = json.object { enabled = false, running = false },
    timestamp = math.floor(host.wall()),
    neap = json.object {
      generation = figures.generation, workers = figures.workers, uptime = figures.uptime,
      reloads = figures.reloads, reload_errors = figures.reload_errors,
      log_dropped = figures.log_dropped, late = figures.late,
      policies_set_aside = fault.count(known),
      done_skipped = figures.done_skipped,
      journal = journal_figures(),
      open = json.object {
        connections = figures.connections, requests = figures.requests,
        attempts = figures.attempts, admin_connections = figures.admin_connections,
      },
    },
  })
end

function health.alive(of) plain.send(of, 200, json.object { status = "ok" }) end

function health.ready(of)
  local is_draining = host.figures().draining
  plain.send(of, is_draining and 503 or 200,
    json.object { status = is_draining and "draining" or "ready" })
end

return health
