-- passes
assert((""):rep(1e15) == "" and ("x"):rep(-1e15) == "")
