-- denied: result is larger than 16 MiB
local t, s = {}, ("x"):rep(1e6)
for i = 1, 100 do t[i] = s end
table.concat(t)
