-- stopped
while true do end
