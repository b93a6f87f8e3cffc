-- denied: position out of bounds
table.insert({ 1 }, -1e9, 0)
