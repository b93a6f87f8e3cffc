-- denied: too many results to unpack
unpack({}, 1, 1e8)
