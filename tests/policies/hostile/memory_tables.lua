-- denied: not enough memory
local s, t = ("x"):rep(1e5), {}
while true do t[#t + 1] = s .. #t end
