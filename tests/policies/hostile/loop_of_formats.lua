-- stopped
local text = ("a"):rep(1e6)
while true do string.format("%q%s", text, text) end
