--- neap.stored_settings: the settings that are stored rather than written in router.lua, with what
--- is right for each, its default and its help. Another one is added here, and nowhere else.

local setting = require "neap.setting"

local settings = {}

local DAY = 86400
local GIB = 2 ^ 30

---@type table<string, neap.schema>
settings.schema = {
  failure_threshold = setting.integer { default = 2, min = 1, max = 1000,
    help = "Failures within failure_window, without a success between, that rest a target." },
  failure_window = setting.seconds { default = 300, min = 1, max = 86400,
    help = "How long the first of these failures counts." },
  refresh_every = setting.seconds { min = 0, max = 7 * 86400,
    help = "Seconds between two refreshes of keys' balances, 0 for none; without it each provider "
      .. "has its own." },
  record_age = setting.seconds { default = 90 * DAY, max = 3650 * DAY,
    help = "How long records of requests are kept; 0: for ever. Statistics stay." },
  record_bytes = setting.integer { default = 20 * GIB, min = 0, max = 2 ^ 50,
    help = "Bytes of records on disk, beyond which the oldest go; 0: without end." },
  body_size = setting.integer { default = 64 * 1024, min = 1024, max = 8 * 2 ^ 20,
    help = "Bytes of a body that are kept, where bodies are; what is longer is cut." },
  body_age = setting.seconds { default = 7 * DAY, max = 3650 * DAY,
    help = "How long kept bodies stay, if their record does; 0: as long as it does." },
  body_bytes = setting.integer { default = 5 * GIB, min = 0, max = 2 ^ 50,
    help = "Bytes of kept bodies on disk, beyond which the oldest go; 0: without end." },
  audit_age = setting.seconds { default = 0, max = 3650 * DAY,
    help = "How long rows of the audit log are kept; 0: for ever." },
  audit_rows = setting.integer { default = 0, min = 0, max = 1e9,
    help = "Rows of the audit log, beyond which the oldest go; 0: without end." },
  time_zone = setting.zone { default = "UTC",
    help = "The zone of days and months where a request to the admin API names none." },
}

-- What policies see of them as self.stored, and the stored failure keywords.
local OF_POLICIES = {
  failure_threshold = settings.schema.failure_threshold,
  failure_window = settings.schema.failure_window,
  keywords = setting.words { default = {} },
}

--- All settings, with the defaults of those that are not given; read-only.
---@param values table<string, any>? checked before
---@return table<string, any>
function settings.all(values) return (assert(setting.compile(settings.schema, values))) end

--- What a policy has as self.stored.
---@param values table<string, any>?
---@param keywords string[]?
---@return table<string, any>
function settings.of_policies(values, keywords)
  local given = { keywords = keywords }
  for name in pairs(OF_POLICIES) do
    if values and name ~= "keywords" then given[name] = values[name] end
  end
  return (assert(setting.compile(OF_POLICIES, given)))
end

return settings
