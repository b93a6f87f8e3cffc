-- denied: overflow
local meta = {}
meta.__index = function(t, k) return t[k .. "x"] .. "" end
local _ = setmetatable({}, meta).x
