-- What 95 % of some times stay below: an estimate in a policy's shared values.
--
-- By stochastic approximation (Robbins and Monro, 1951): one number, the logarithm of the
-- estimate, which each longer time raises by 0.95 of a step and each shorter one lowers by 0.05.
-- One number can be added to atomically, and of a time it need only be known on which side it
-- lies: what was broken off after it had taken longer counts as well as what came to its end.
local quantile = {}

local QUANTILE    = 0.95
local STEP        = 0.1   -- a time moves the estimate by less than a tenth
local SECONDS_MIN = 0.001 -- a logarithm needs more than nothing

-- The estimate in seconds, or nil, and how many times it has seen.
function quantile.get(shared, name)
  local known = shared:get(name)
  return known and math.exp(known), shared:get("times " .. name) or 0
end

-- Takes in a time. is_broken_off: it would have become longer; it counts if it is longer already.
function quantile.learn(shared, name, seconds, is_broken_off)
  local known = shared:get(name)
  local is_longer = known and seconds > math.exp(known)
  if is_broken_off and not is_longer then return end
  shared:add("times " .. name, 1)
  if known then
    shared:add(name, STEP * (is_longer and QUANTILE or QUANTILE - 1))
  else
    shared:swap(name, nil, math.log(math.max(seconds, SECONDS_MIN)))
  end
end

return quantile
