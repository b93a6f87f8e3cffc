-- denied: malformed pattern (missing ']')
("a"):find("[a")
