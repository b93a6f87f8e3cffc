-- stopped
local text, kept = ("a"):rep(8e6), {}
while true do kept[1] = text .. "b" end
