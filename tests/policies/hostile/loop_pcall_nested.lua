-- stopped
local function wrap(f) return function() while true do pcall(f) end end end
local f = function() while true do end end
for _ = 1, 50 do f = wrap(f) end
f()
