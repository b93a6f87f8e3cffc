-- denied: pattern is too complex for this text
("a"):rep(300):match(("a?"):rep(300) .. ("a"):rep(300))
