-- The four basic policies, composed in each of the 24 orders: those that make sense run through
-- the stories of tests/policies/composition.json, the others are refused. The story
-- tests/e2e/composition.test.mjs drives the real host by the same file.
local host = require "neap.host"
local json = require "neap.json"
local test = require "neap.test"

local cases = assert(json.decode(host.read(host.home() .. "/tests/policies/composition.json")))

--- Each order of a list.
local function orders_of(list)
  if not list[1] then return { {} } end
  local orders = {}
  for index, first in ipairs(list) do
    local others = { unpack(list) }
    table.remove(others, index)
    for _, rest in ipairs(orders_of(others)) do
      orders[#orders + 1] = { first, unpack(rest) }
    end
  end
  return orders
end

local function place_of(order, name)
  for index, one in ipairs(order) do
    if one == name then return index end
  end
end

--- What a load has to complain of, sorted.
local function refusals_of(order)
  local texts = {}
  for _, rule in ipairs(cases.rules) do
    if place_of(order, rule.inner) < place_of(order, rule.outer) then
      texts[#texts + 1] = rule.refusal
    end
  end
  table.sort(texts)
  return texts
end

--- A copy that has no marks of JSON: what a user would write in a test.
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, member in pairs(value) do copy[name] = plain(member) end
  return copy
end

local function world_of(order, story, settings)
  local policies, upstream = {}, {}
  for index, name in ipairs(order) do
    policies[index] = { name, plain(settings[name] or cases.policies[name]) }
  end
  for provider, answers in pairs(story.answers) do upstream[provider .. "/m"] = plain(answers) end
  return test.world {
    policies = policies, targets = { { "a/m", priority = 1 }, { "b/m", priority = 2 } },
    keys = plain(cases.providers), upstream = upstream,
  }
end

local function check_answer(run, expected)
  test.equal({ run.status, expected.text and run.text }, { expected.status, expected.text })
end

local names = {}
for name in pairs(cases.policies) do names[#names + 1] = name end
table.sort(names)
local orders, allowed = orders_of(names), {}

for _, order in ipairs(orders) do
  if not refusals_of(order)[1] then allowed[#allowed + 1] = order end
end

test("of 24 orders, those are allowed in which only keyword_retry moves", function()
  test.equal({ #orders, #allowed }, { 24, 4 })
  for _, order in ipairs(allowed) do
    local others = {}
    for _, name in ipairs(order) do
      if name ~= "keyword_retry" then others[#others + 1] = name end
    end
    test.equal(others, { "priority_failover", "balance_weighted", "key_rotation" })
  end
end)

for _, order in ipairs(orders) do
  local refusals = refusals_of(order)
  if refusals[1] then
    test(table.concat(order, ", ") .. ": refused, with each reason", function()
      local message = test.raises(function() world_of(order, cases.stories[1], {}) end)
      local texts = {}
      for line in (tostring(message) .. "\n"):gmatch("(.-)\n") do texts[#texts + 1] = line end
      table.sort(texts)
      test.equal(texts, refusals)
    end)
  end
end

for _, order in ipairs(allowed) do
  local name = table.concat(order, ", ")
  for _, story in ipairs(cases.stories) do
    local expected = order[1] == "keyword_retry" and story.expected_outermost or story.expected
    for _, is_stream in ipairs { false, true } do
      test(("%s: %s%s"):format(name, story.name, is_stream and " (streamed)" or ""), function()
        local world = world_of(order, story, {})
        for _, one in ipairs(expected) do
          local run = world:run { stream = is_stream or nil }
          test.equal({ run.tried, run.keys, run.error }, { plain(one.tried), plain(one.keys), nil })
          check_answer(run, one)
          test.equal(run.headers["retry-after"], one.retry_after)
        end
      end)
    end
  end
  -- Which keys are tried, and so how long the wait is, is then left to chance.
  test(name .. ": the same answers where keys are drawn", function()
    for _, story in ipairs(cases.stories) do
      local world = world_of(order, story, { balance_weighted = {} })
      for _, one in ipairs(order[1] == "keyword_retry" and story.expected_outermost
        or story.expected) do
        check_answer(world:run(), one)
      end
    end
  end)
end
