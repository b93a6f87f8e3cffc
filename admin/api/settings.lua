--- admin.api.settings: settings of the whole that are stored and take effect without a restart;
--- which there are says neap.stored_settings.

local change = require "admin.api.change"
local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local setting_schema = require "admin.api.setting_schema"
local stored_settings = require "neap.stored_settings"
local zone = require "neap.zone"

local settings = {}

local PREFIX = "setting/"
local KNOWN = stored_settings.schema

local properties, NAMES = setting_schema.properties(KNOWN)
for _, name in ipairs(NAMES) do
  if KNOWN[name].default == nil then properties[name] = schema.nullable(properties[name]) end
end
local described = schema.named("Settings", schema.object(properties, NAMES))

--- Every setting, the stored rows by name (document and text), and the ETag of all. Waits.
local function read()
  local values, stored, texts = json.object {}, {}, {}
  for _, name in ipairs(NAMES) do
    local default = KNOWN[name].default
    values[name] = default == nil and json.null or default
  end
  for _, row in ipairs(rows.all("config", PREFIX)) do
    local name = row.key:sub(#PREFIX + 1)
    if KNOWN[name] then
      values[name], stored[name] = row.document.value, row
      texts[#texts + 1] = row.key .. "\n" .. row.text
    end
  end
  return values, stored, etag.of_text(table.concat(texts, "\n"))
end

--- The value of a setting. Waits.
function settings.get(name)
  local row = rows.get("config", PREFIX .. name)
  if row then return row.value end
  return KNOWN[name].default
end

--- The query parameter of what is counted by days or months.
settings.zone_query = { type = "string", format = "zone", maxLength = 100,
  description = "The time zone of days and months; without it the setting time_zone." }

--- The zone of a request with this parameter, as neap.zone has it, and its name. Waits.
function settings.zone(of)
  local name = of.query.zone or settings.get("time_zone")
  return assert(zone.find(name)), name
end

local function show()
  local values, _, tag = read()
  return 200, values, { "etag", tag }
end

local function check(name, value)
  local _, text = KNOWN[name]:check(value)
  if not text then return end
  problem.raise(422, "invalid", ("/%s %s"):format(name, text), { field = "/" .. name })
end

local function update(of)
  local before, stored, tag = read()
  etag.check(of, tag)
  local ops = {}
  for _, name in ipairs(NAMES) do
    local key, row, given = PREFIX .. name, stored[name], of.body[name]
    -- Those that stay are expected to: the ETag is of all of them.
    ops[#ops + 1] = { "expect", "config", key, row and row.text }
    if given == json.null then
      ops[#ops + 1] = row and { "delete", "config", key } or nil
    elseif given ~= nil then
      check(name, given)
      ops[#ops + 1] = { "put", "config", key, json.object { value = given,
        version = (row and row.document.version or 0) + 1, updated = host.wall() } }
    end
  end
  change.configure(of, ops, { action = "update", object = "settings", before = before,
    after = of.body })
  return show()
end

settings.operations = {
  { id = "get_settings", method = "GET", path = "/api/v1/settings", tag = "settings",
    scope = "read", summary = "The settings", has_etag = true, run = show,
    responses = { { 200, "All settings; what is not stored has its default.", described } } },
  { id = "update_settings", method = "PATCH", path = "/api/v1/settings", tag = "settings",
    scope = "write", summary = "Change some settings; null gives one its default back",
    has_etag = true, body = schema.patch(described), run = update,
    responses = { { 200, "All settings, as they are now.", described } } },
}

return settings
