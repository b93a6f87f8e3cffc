--- admin.api.compat.niceapi_calls: how often NiceAPI's providers and clients' keys were used, out
--- of the journal.
---
--- Sums are kept by provider and by model, not by both at once: what neither of them tells alone is
--- null, as is everything where nothing is recorded.

local host = require "neap.host"
local journal = require "admin.api.compat.journal"
local json = require "neap.json"

local niceapi_calls = {}

--- How many of its targets are of each provider, and of each model.
local function count_of(list)
  local providers, models = {}, {}
  for _, one in ipairs(list) do
    local provider, model = one.target.provider.name, one.target.model
    providers[provider] = (providers[provider] or 0) + 1
    models[model] = (models[model] or 0) + 1
  end
  return providers, models
end

--- A function that gives the sums of a value, or nil. A breakdown names so many: of those that it
--- does not name each is looked for by itself.
local function by_value(dimension)
  local list, is_whole = journal.breakdown(dimension)
  local sums = {}
  for _, one in ipairs(list) do sums[one.value] = one end
  return function(value)
    return sums[value] or not is_whole and journal.sums_of(dimension, value) or nil
  end
end

--- Adds the calls of providers to their views: attempts, as it counts them, and those whose answer
--- a client got whole. Waits.
---@param list { target: admin.compat.target, view: table }[] all that there are
function niceapi_calls.add_to_providers(list)
  if not host.journal_stats then return end
  local of_provider, of_model = by_value("provider"), by_value("model")
  local in_provider, with_model = count_of(list)
  for _, one in ipairs(list) do
    local provider, model = one.target.provider.name, one.target.model
    local sums, is_known
    if in_provider[provider] == 1 then
      sums, is_known = of_provider(provider), true
    elseif with_model[model] == 1 then
      sums, is_known = of_model(model), true
    end
    if is_known then
      one.view.total_calls = sums and sums.attempts or 0
      one.view.successful_calls = sums and sums.ok or 0
    end
  end
end

--- Adds to the views of clients' keys how often each was used, and when last. Waits.
---@param views table<string, table> by the token's name
function niceapi_calls.add_to_keys(views)
  if not host.journal_stats then return end
  local of_token = by_value("token")
  for name, view in pairs(views) do
    local sums = of_token(name)
    view.call_count = sums and sums.requests or 0
    -- The journal has an index of tokens: this is one look for each.
    local last = view.call_count > 0 and journal.slice({ token = name }, 0, 1,
      { is_any = true })[1]
    view.last_used_at = last and host.time_text(last.start_us / 1e6) or json.null
  end
end

return niceapi_calls
