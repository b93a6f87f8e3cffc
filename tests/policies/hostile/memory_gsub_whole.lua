-- denied: result is larger than 16 MiB
local s = ("x"):rep(1e4)
s = s:gsub(".*", ("%0"):rep(5000))
