-- stopped
local s = ("x"):gsub("x", function() while true do end end)
