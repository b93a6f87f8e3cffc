-- denied: invalid value (nil) at index
table.concat({}, "", 1, 2e9)
