-- stopped
local t = { 1 }
while true do
  for k, v in pairs(t) do t[k] = v end
end
