-- denied: pattern is too complex for this text
("a"):rep(3000):match((".-"):rep(20) .. "b")
