-- passes
assert(getmetatable("") == false)
assert(not pcall(setmetatable, "", {}))
string.rep = nil
assert(("x"):rep(2) == "xx")
