-- denied: result is larger than 16 MiB
local s = ("x"):rep(1e9)
