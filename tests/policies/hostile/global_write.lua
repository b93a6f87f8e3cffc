-- denied: attempt to write the global "counter": use local
counter = 1
