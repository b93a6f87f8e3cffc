-- Keeps requests from some countries on targets that may serve them. The country is in a header
-- that the proxy in front sets; neap believes it, so only that proxy may reach neap.
--
--     policies = { use("country_by_header", { countries = { DE = { "b" } } }) }
local policy  = require "neap.policy"
local setting = require "neap.setting"
local targets = require "policies.lib.targets"

local country_by_header = policy.define {
  summary  = "Chooses targets by the country that a request comes from.",
  orders   = "target",
  settings = {
    header    = setting.text { default = "cf-ipcountry", help = "Its name." },
    countries = setting.map { of = setting.words { min = 1 }, default = {},
      help = "Targets by country; what is not listed has all." },
  },
}

function country_by_header:run(request, next)
  local country, countries = request.headers[self.settings.header:lower()], self.settings.countries
  country = (country or ""):upper()
  local names = countries[country] or countries[country:lower()]
  if not names then return next(request) end
  local allowed = targets.split(request.targets, names)
  if not allowed[1] then return request:refuse(503, "there is no target for " .. country) end
  self:note("from %s", country)
  return next(request:with { targets = allowed })
end

return country_by_header
