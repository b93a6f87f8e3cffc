-- Objects: what a policy can do with one, and what it cannot.
local host = require "neap.host"
local object = require "neap.object"
local json = require "neap.json"
local test = require "neap.tap"
local usage = require "neap.usage"

local Thing
Thing = object.class("thing of the tests", {
  fields = { "name", "size" },
  getters = {
    double = function(inside) return inside.size * 2 end,
  },
  methods = {
    rename = function(self, name) object.check(Thing, self, "the thing").name = name end,
  },
})
local Other = object.class("other thing of the tests", {})

local function problem_of(run, ...)
  local ok, problem = pcall(run, ...)
  test.equal(ok, false)
  return problem
end

test("fields, getters and methods are read by name", function()
  local inside = { name = "a", size = 2 }
  local thing = object.new(Thing, inside)
  test.equal({ thing.name, thing.size, thing.double }, { "a", 2, 4 })
  thing:rename "b"
  test.equal({ thing.name, inside.name }, { "b", "b" })
  inside.size = nil
  test.equal(thing.size, nil)
  test.equal(tostring(thing), "thing of the tests b")
end)

test("a name that is not there raises where it is read", function()
  local thing = object.new(Thing, { size = 1, hidden = 2 })
  local problem = problem_of(function() return thing.hidden end)
  test.equal(problem:match "object_test.lua:%d+: (.*)", "a thing of the tests has no \"hidden\"")
  problem = problem_of(function() return thing[{}] end)
  test.equal(problem:match "object_test.lua:%d+: (.*)", "a thing of the tests has no \"table\"")
  problem = problem_of(function() thing.size = 3 end)
  test.equal(problem:match "object_test.lua:%d+: (.*)",
    "a thing of the tests cannot be changed (\"size\")")
  test.equal(thing.size, 1)
end)

test("the inside is given for objects of the class alone", function()
  local inside = { size = 1 }
  local thing, other = object.new(Thing, inside), object.new(Other, {})
  test.equal(object.inside(Thing, thing) == inside, true)
  for _, value in ipairs { other, {}, "thing", 1, true, usage.new {}, json.null, print, Thing } do
    test.equal(object.inside(Thing, value), nil)
  end
  test.equal(object.inside(Thing, nil), nil)
  test.equal(getmetatable(thing), false)
end)

test("a method for something else raises where it was called", function()
  local thing = object.new(Thing, { size = 1 })
  local rename = thing.rename
  local problem = problem_of(function() rename("no thing", "b") end)
  test.equal(problem:match "object_test.lua:%d+: (.*)",
    "the thing is a string, not a thing of the tests")
  problem = problem_of(function() rename(object.new(Other, {}), "b") end)
  test.equal(problem:match "object_test.lua:%d+: (.*)",
    "the thing is a userdata, not a thing of the tests")
end)

test("a copied list has the same elements and is another one", function()
  local element = {}
  local list = { "a", element, 3 }
  local copy = host.copy_list(list)
  test.equal({ copy == list, #copy, copy[1], copy[2] == element, copy[3] },
    { false, 3, "a", true, 3 })
  test.equal(#host.copy_list {}, 0)
  copy = host.copy_list { 1, 2, nil, 4 }
  test.equal({ copy[1], copy[2], copy[4] }, { 1, 2 })
end)

test("a fixed object is read like any other", function()
  local fixed = object.class("fixed thing of the tests", {
    fields = { "name" },
    methods = { greet = function(self, whom) return self.name .. " greets " .. whom end },
  })
  local thing = object.fixed(fixed, { name = "a", hidden = 1 })
  test.equal({ thing.name, thing:greet "b", tostring(thing) },
    { "a", "a greets b", "fixed thing of the tests a" })
  local problem = problem_of(function() return thing.hidden end)
  test.equal(problem:match "object_test.lua:%d+: (.*)",
    "a fixed thing of the tests has no \"hidden\"")
  problem = problem_of(function() thing.name = "b" end)
  test.equal(problem:match "object_test.lua:%d+: (.*)",
    "a fixed thing of the tests cannot be changed (\"name\")")
  test.equal({ type(thing), getmetatable(thing) }, { "userdata", false })
end)
