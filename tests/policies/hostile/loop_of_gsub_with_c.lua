-- stopped
local text = ("(" .. ("a"):rep(60) .. " a*a*b)"):rep(2000)
while true do text:gsub("%((a+) ([^)]+)%)", string.find) end
