-- stopped
local function again() return pcall(again) end
local function spin() pcall(spin) return spin() end
spin()
