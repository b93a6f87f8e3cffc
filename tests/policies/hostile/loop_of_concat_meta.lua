-- stopped
local meta = {}
meta.__concat = function(a, b) return a .. b end
local a = setmetatable({}, meta)
while true do pcall(function() return a .. a end) end
