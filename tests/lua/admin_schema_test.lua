-- admin.api.schema: what is right, what is wrong and where, and how it is described.
local json = require "neap.json"
local schema = require "admin.api.schema"
local test = require "neap.tap"

local function fault(self, text)
  local value, message = json.decode(text)
  assert(value ~= nil, message)
  local pointer, problem = schema.check(self, value)
  return pointer and pointer .. ": " .. problem
end

local provider = schema.object({
  name = { type = "string", format = "name", maxLength = 10 },
  weight = { type = "number", minimum = 0, maximum = 1 },
  tries = { type = { "integer", "null" }, minimum = 1 },
  kind = { enum = { "a", "b" } },
  tags = { type = "array", items = { type = "string", minLength = 1 }, maxItems = 2,
    uniqueItems = true },
  inner = schema.object({ deep = { type = "boolean" } }, { "deep" }),
  anything = {},
}, { "name" })

test("takes what is right", function()
  test.equal(fault(provider, [[{"name":"a-b.c","weight":0.5,"tries":null,"kind":"b",
    "tags":["x","y"],"inner":{"deep":true},"anything":[1,{"x":null}]}]]), nil)
  test.equal(fault(provider, '{"name":"a","tries":3}'), nil)
end)

test("counts the characters of long texts, which a single search would not get through", function()
  local long = schema.object { text = { type = "string", minLength = 1, maxLength = 600000 } }
  local function of(text) return fault(long, '{"text":"' .. text .. '"}') end
  test.equal(of(("é"):rep(600000)), nil)
  test.equal(of(("é"):rep(600001)), "/text: must have at most 600000 characters")
end)

test("names the place and what it must be", function()
  local cases = {
    { '[]', ': must be an object, not a list' },
    { '{}', '/name: is missing' },
    { '{"name":5}', '/name: must be a text, not a number' },
    { '{"name":"a b"}', '/name: must be a name of letters, digits, _, - and .' },
    { '{"name":"abcdefghijk"}', '/name: must have at most 10 characters' },
    { '{"name":"a","weight":2}', '/weight: must be at most 1' },
    { '{"name":"a","weight":-1}', '/weight: must be at least 0' },
    { '{"name":"a","tries":1.5}', '/tries: must be a whole number or null, not a number' },
    { '{"name":"a","tries":0}', '/tries: must be at least 1' },
    { '{"name":"a","kind":"c"}', '/kind: must be one of "a", "b"' },
    { '{"name":"a","tags":["x",""]}', '/tags/1: must not be empty' },
    { '{"name":"a","tags":["x","x"]}', '/tags/1: is there twice' },
    { '{"name":"a","tags":["x","y","z"]}', '/tags: must have at most 2 elements' },
    { '{"name":"a","tags":{}}', '/tags: must be a list, not an object' },
    { '{"name":"a","inner":{}}', '/inner/deep: is missing' },
    { '{"name":"a","wieght":1}', '/wieght: is not known here: did you mean weight?' },
  }
  for _, case in ipairs(cases) do test.equal(fault(provider, case[1]), case[2], case[1]) end
end)

test("does not describe what it would not check", function()
  local _, text = pcall(schema.document, schema.object { name = { typ = "string" } }, {})
  test.equal(text, "\"typ\" is no word of a schema")
end)

test("escapes names in a pointer", function()
  local open = { type = "object", additionalProperties = { type = "integer" } }
  test.equal(fault(open, '{"a/b~c":"x"}'), '/a~1b~0c: must be a whole number, not a text')
end)

test("counts characters, not bytes", function()
  test.equal(fault({ type = "string", maxLength = 3, minLength = 3 }, '"äöü"'), nil)
end)

test("takes one of several kinds, and tells of the one that was meant", function()
  local entry = { anyOf = { { type = "string", minLength = 1 },
    schema.object({ name = { type = "string" } }, { "name" }) } }
  test.equal(fault(entry, '"x"'), nil)
  test.equal(fault(entry, '{"name":"x"}'), nil)
  test.equal(fault(entry, '{}'), '/name: is missing')
  test.equal(fault(entry, '""'), ': must not be empty')
end)

test("a patch requires nothing and takes null for what can be taken away", function()
  local patch = schema.patch(provider)
  test.equal(fault(patch, '{}'), nil)
  test.equal(fault(patch, '{"weight":null,"kind":null,"inner":null}'), nil)
  test.equal(fault(patch, '{"inner":{"deep":null}}'), nil)
  test.equal(fault(patch, '{"weight":"x"}'), '/weight: must be a number or null, not a text')
  test.equal(fault(patch, '{"nothing":1}') ~= nil, true)
end)

test("moments", function()
  test.equal(schema.moment("1970-01-01T00:00:00Z"), 0)
  test.equal(schema.moment("1970-01-02T01:00:00+01:00"), 86400)
  test.equal(schema.moment("2026-01-01T00:00:00.5Z"), 1767225600.5)
  test.equal(schema.moment("2024-02-29T00:00:00Z"), 1709164800)
  test.equal(schema.moment("2026-12-31T00:00:00Z"), 1798675200)
  for _, text in ipairs { "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "x",
    "2026-01-01T00:00:00", "2026-01-01T00:00:00+1:00", "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:00-00:01", "2027-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z", "2026-01-01T00:00:00.Z" } do
    test.equal(schema.moment(text), nil, text)
  end
end)

test("values of a query", function()
  test.equal(schema.from_text({ type = "integer" }, "12"), 12)
  test.equal(schema.from_text({ type = "integer" }, "0x10"), nil)
  test.equal(schema.from_text({ type = "boolean" }, "true"), true)
  test.equal(schema.from_text({ type = "boolean" }, "yes"), nil)
  test.equal(schema.from_text({ type = "string" }, "12"), "12")
end)

test("is described as JSON Schema, with named ones once", function()
  local named = schema.named("Thing", schema.object({ a = { type = "integer" } }, { "a" }))
  local components = json.object {}
  local text = json.encode(schema.document(schema.list(named, 5), components))
  test.equal(text, '{"items":{"$ref":"#/components/schemas/Thing"},"maxItems":5,"type":"array"}')
  test.equal(json.encode(components), '{"Thing":{"additionalProperties":false,"properties":'
    .. '{"a":{"type":"integer"}},"required":["a"],"type":"object"}}')
end)
