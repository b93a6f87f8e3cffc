-- stopped
local t = {}
for i = 1, 10000 do t[i] = "0123456789" end
while true do table.concat(t, ",") end
