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
  attempt = "neap.attempt", legs = "neap.legs", look = "neap.look", rates = "neap.rates" } do
  test("methods of a " .. kind, function()
    test.equal(written(kind .. ":"), names_of(debug.getregistry()[name].__index))
  end)
end

test("json_read: the values of a document, and nothing for encoding it again", function()
  local document = "{\"b\":1.0,\"a\":[null,true,\"x\",{}],\"b\":2}"
  local value = host.json_read(document)
  test.equal({ value.b, value.a[2], value.a[3] }, { 2, true, "x" })
  test.equal(value.a[1] == host.json_null, true)
  test.equal(host.json_is_array(value.a), true)
  test.equal(host.json_encode(value), "{\"a\":[null,true,\"x\",{}],\"b\":2}")
  local nothing, problem = host.json_read "[1,]"
  test.equal({ nothing, problem }, { nil, "unexpected \"]\" at byte 3" })
end)
