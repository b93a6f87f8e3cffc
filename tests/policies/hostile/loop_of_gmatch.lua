-- stopped
local text = ("a"):rep(1e5)
while true do for _ in text:gmatch("b") do end end
