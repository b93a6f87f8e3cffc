-- denied: attempt to write the global "pairs": use local
pairs = nil
