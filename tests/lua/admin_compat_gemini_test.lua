-- The list of keys as gemini-balance has it: masked, but for an admin's token and for who enters
-- the password again.
local host = require "neap.host"
local loaded = require "admin.test.loaded"
local test = require "neap.tap"

local WRITTEN = [[
provider "a" { dialect = "openai", url = "https://a.test/v1",
  keys = { "sk-gemini-key-number-0001", "sk-gemini-key-number-0002" } }
provider "b" { dialect = "openai", url = "https://b.test/v1", keys = { "short-one" } }
]]

local function list(world, path, as, headers)
  local got = world:request { path = path, as = as, headers = headers }
  test.equal(world.raised, nil)
  test.equal(world:fault_of(world.routes:find(path).GET, got), nil, path)
  return got
end

test("keys are listed by whether they work, by their ends", function()
  local world = loaded.new(WRITTEN)
  host.health("key\0a\0" .. host.digest("sk-gemini-key-number-0002")):disable("refused", 600)
  for _, path in ipairs { "/v1/keys/list", "/hf/v1/keys/list" } do
    local got = list(world, path, "read")
    test.equal(got.json, { status = "success", total = 3, data = {
      valid_keys = { "sk-…0001", "…" }, invalid_keys = { "sk-…0002" } } })
    got = list(world, path)
    test.equal({ got.status, got.json.detail }, { 401, got.json.error.message })
  end
end)

test("whole they are for an admin's token that is for keys, and it is noted", function()
  local world = loaded.new(WRITTEN)
  test.match(list(world, "/v1/keys/list", "read write").answer, "sk%-…0001")
  test.match(list(world, "/v1/keys/list", "session").answer, "sk%-…0001")
  test.equal(list(world, "/v1/keys/list", "read keys").json.data.valid_keys,
    { "sk-gemini-key-number-0001", "sk-gemini-key-number-0002", "short-one" })
  local audit = world:request { path = "/api/v1/audit", as = "session" }
  test.equal({ audit.json.items[1].action, audit.json.items[1].object }, { "export", "keys" })
end)

test("and for a person with the password", function()
  local world = loaded.new(WRITTEN)
  local password = { ["X-Neap-Password"] = "the password" }
  test.equal(list(world, "/v1/keys/list", "read write keys", password).status, 403)
  test.equal(list(world, "/v1/keys/list", "session", { ["X-Neap-Password"] = "wrong" }).status, 403)
  local got = list(world, "/v1/keys/list", "session", password)
  test.equal(#got.json.data.valid_keys + #got.json.data.invalid_keys, 3)
  test.match(got.answer, "sk%-gemini%-key%-number%-0001")
  local audit = world:request { path = "/api/v1/audit", as = "session" }
  test.equal({ audit.json.items[1].action, audit.json.items[1].object }, { "export", "keys" })
end)
