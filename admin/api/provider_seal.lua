--- admin.api.provider_seal: seals what an older neap has stored of providers in clear, once the
--- admin side has begun. What somebody changes at that moment is sealed by his own write.

local host = require "neap.host"
local json = require "neap.json"
local provider_secrets = require "neap.provider_secrets"
local rows = require "admin.api.rows"

local provider_seal = {}

local function seal(row)
  local stored = json.decode(row.text)
  local ok, problem = pcall(function()
    if type(stored) ~= "table" or not provider_secrets.is_clear(stored) then return end
    rows.write(rows.seal { { "expect", "config", row.key, row.text },
      { "put", "config", row.key, row.document } })
    host.log("info", "admin", row.key .. ": its headers and proxies are sealed from now on")
  end)
  if ok then return end
  host.log("error", "admin", ("%s: it could not be sealed: %s"):format(row.key,
    type(problem) == "table" and problem.message or tostring(problem)))
end

--- All of them. Waits.
function provider_seal.run()
  for _, row in ipairs(rows.all("config", "provider/")) do seal(row) end
end

return provider_seal
