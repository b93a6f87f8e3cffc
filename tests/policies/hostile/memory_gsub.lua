-- denied: result is larger than 16 MiB
local s = ("x"):rep(1e5):gsub("x", ("y"):rep(1e5))
