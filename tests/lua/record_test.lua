-- What is left of a request: what outlives its generation.
local test = require "neap.test" -- its memory stands in for the host's
local catalog = require "neap.catalog"
local record = require "neap.record"

local function known_with(targets)
  return test.world { policies = {}, targets = targets }.catalog
end

local function packed(known)
  local attempts = {}
  for index, target in ipairs(known.groups.group.targets) do
    attempts[index] = { target = target, status = 200, started = 7, seconds = 0.5 }
  end
  return record.pack { group = "group", model = "group", attempts = attempts, start = 3 }
end

test("a record that comes back has its attempts, with the targets of the new catalog", function()
  local text = packed(known_with { "a/m", "b/m" })
  local known = known_with { "b/m", "c/m" }
  local self = record.unpack(text, known)
  local gone, here = self.attempts[1], self.attempts[2]
  test.equal({ gone.target_name, gone.target }, { "a/m", nil })
  test.equal(here.target, known.groups.group.targets[1])
  test.equal({ here.status, here.started, here.seconds }, { 200, 7, 0.5 })
end)

test("so has one of a group that is gone", function()
  local text = packed(known_with { "a/m" })
  local known = catalog.new { providers = {}, groups = {}, tokens = {} }
  known.default_chain = { instances = {} }
  local self = record.unpack(text, known)
  test.equal({ self.attempts[1].target, self.attempts[1].status }, { nil, 200 })
end)

return test.finish()
