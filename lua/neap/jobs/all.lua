--- neap.jobs.all: the jobs of a generation, for its admin worker to start.

local balance_refresh = require "neap.jobs.balance_refresh"
local job = require "neap.job"
local key_probe = require "neap.jobs.key_probe"
local recost = require "neap.jobs.recost"
local retention = require "neap.jobs.retention"

local all = {}

---@class neap.jobs_options
---@field refresh_every (fun(): number?)? the setting that goes before what providers say; 0: off
---@field limit integer? keys of a provider asked about at once

--- One for each provider whose balances can be asked for, then those for all.
---@param known table the catalog
---@param options neap.jobs_options?
---@return neap.jobs # not started yet
function all.jobs(known, options)
  options = options or {}
  local jobs = job.new()
  for _, provider in ipairs(known.provider_list) do
    local spec = provider.is_on and balance_refresh.job(provider,
      { every = options.refresh_every, limit = options.limit })
    if spec then jobs:add(spec) end
  end
  jobs:add(key_probe.job(function() return known.provider_list end, { limit = options.limit }))
  jobs:add(retention.job())
  jobs:add(recost.job(known))
  return jobs
end

return all
