-- stopped
repeat until false
