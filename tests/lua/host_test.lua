-- The signatures of lua/neap/host.lua are those that the host has.
local host = require "neap.host"
local test = require "neap.tap"

local text = host.read(host.home() .. "/lua/neap/host.lua")

local function names_of(functions)
  local names = {}
  for name, value in pairs(functions) do
    if type(value) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function written(pattern)
  local names = {}
  for name in text:gmatch("\nfunction " .. pattern .. "([%w_]+)%(") do names[#names + 1] = name end
  table.sort(names)
  return names
end

test("functions of the module", function()
  test.equal(written "host%.", names_of(host))
end)

for kind, name in pairs { health = "neap.health", request = "neap.request",
  attempt = "neap.attempt", legs = "neap.legs" } do
  test("methods of a " .. kind, function()
    test.equal(written(kind .. ":"), names_of(debug.getregistry()[name].__index))
  end)
end
