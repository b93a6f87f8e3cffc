-- denied: unknown global "confg"
local x = confg.name
