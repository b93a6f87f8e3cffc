-- denied: result is larger than 16 MiB
local s = ("x"):rep(9e6)
string.format("%s%s", s, s)
