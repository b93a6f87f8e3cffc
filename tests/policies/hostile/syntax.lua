-- refused
local x = = 1
