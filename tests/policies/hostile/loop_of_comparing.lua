-- stopped
local a, b = ("a"):rep(8e6) .. "a", ("a"):rep(8e6) .. "b"
while true do local _ = a < b end
