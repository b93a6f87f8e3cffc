-- stopped
local text = ("a"):rep(3000)
while true do pcall(text.find, text, ("a*"):rep(20) .. "b") end
