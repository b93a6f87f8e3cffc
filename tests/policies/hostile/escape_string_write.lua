-- denied: attempt to index
local s = ""
s.upper = nil
