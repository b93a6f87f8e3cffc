-- Puts the keys of a provider into an order by what is left on them, so that they run out together.
local policy  = require "neap.policy"
local setting = require "neap.setting"
local rank    = require "policies.lib.rank"

local balanced = policy.define {
  summary  = "Draws the keys in proportion to their balances, or takes the highest first.",
  orders   = "key",
  settings = {
    strategy = setting.choice { values = { "weighted", "highest" }, default = "weighted",
      help = "weighted: drawn by balance over uses in flight; highest: sorted by balance." },
    floor    = setting.number { default = 0,
      help = "A key whose balance is this or less is left out." },
  },
}

-- A balance that nobody knows is above every floor.
local function is_above(balance, floor) return not balance or balance > floor end

-- The keys that have more than the floor left, their balances by key, and the mean of these, for
-- which a balance is taken that nobody knows.
local function above_floor(keys, floor)
  local left, balances, sum, count = {}, {}, 0, 0
  for _, key in ipairs(keys) do
    local balance = key.balance
    if is_above(balance, floor) then left[#left + 1] = key end
    if balance and balance > floor then
      balances[key], sum, count = balance, sum + balance, count + 1
    end
  end
  return left, balances, count > 0 and sum / count or 1
end

function balanced:run(request, next)
  local all, floor = request.keys, self.settings.floor
  if not all[1] then return next(request) end
  -- One alone has its place.
  if not all[2] and is_above(all[1].balance, floor) then return next(request) end
  local keys, balances, mean = above_floor(all, floor)
  if not keys[1] then
    self:note("all %d keys are at their floor", #all)
    return request:refuse(503, "no key of the provider has enough left")
  end
  local is_sorted = self.settings.strategy == "highest"
  return next(request:with { keys = rank.by(keys, function(key)
    local balance = balances[key] or mean
    return is_sorted and -balance or rank.lot(balance / (key.in_flight + 1), self:random())
  end) })
end

return balanced
