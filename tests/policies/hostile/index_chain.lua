-- denied: loop
local t = {}
for _ = 1, 1000 do t = setmetatable({}, { __index = t }) end
local _ = t.x
