-- denied: not enough memory
local t = {}
for i = 1, 100 do t[i] = ("x"):rep(4e6) .. i end
