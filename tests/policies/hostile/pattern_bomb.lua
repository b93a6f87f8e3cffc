-- denied: pattern is too complex for this text
("a"):rep(3000):find(("a*"):rep(20) .. "b")
