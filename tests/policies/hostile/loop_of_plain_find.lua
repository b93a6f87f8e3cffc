-- stopped
local text = ("a"):rep(8e6)
while true do text:find("b", 1, true) end
