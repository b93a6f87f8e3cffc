-- stopped
local text = ("a"):rep(8e6)
local upper = text:upper()
while true do upper = text:upper() end
