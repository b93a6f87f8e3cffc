-- stopped
local object = setmetatable({}, { __tostring = function() while true do end end })
while true do pcall(error, object) end
