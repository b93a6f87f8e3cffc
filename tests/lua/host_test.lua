-- The signatures of lua/neap/host*.lua are those that the host has.
local host = require "neap.host"
local test = require "neap.tap"

local text = ""
for _, file in ipairs { "host", "host_storage", "host_request" } do
  text = text .. host.read(("%s/lua/neap/%s.lua"):format(host.home(), file))
end

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
  attempt = "neap.attempt", legs = "neap.legs", look = "neap.look" } do
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

test("usage and its cost: of other handles and other questions there is none", function()
  local function raised(call, ...) return not pcall(call, ...) end
  local look = host.look { { take = "raw", "usage" } }
  local used = host.usage(1, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, false)
  test.equal(raised(look.usage, look, "{\"usage\":{}}"), true)
  test.equal({ raised(host.cost, used, used), raised(host.cost, look, used) }, { true, true })
  test.equal({ raised(host.rates, {}), raised(host.rates, { rows = {} }) }, { true, true })
  local row = { above = -1, micros = { 1, 0, 0, 0, 0, 3, 0, 0 },
    rest = { 5e5, 0, 0, 0, 0, 0, 0, 0 } }
  local rates = host.rates { call = 7, image = 0, ms = 0, rows = { row } }
  test.equal(host.cost(rates, used), 1 + 2 * 3 + 1, "half a micro is one")
  test.equal(raised(host.cost, rates, { in_fresh = 1 }), true)
  row.rest[1] = nil
  test.equal(raised(host.rates, { call = 0, image = 0, ms = 0, rows = { row } }), true)
end)
