-- denied: result is larger than 16 MiB
local s = ("x"):rep(3, ("y"):rep(1e7))
