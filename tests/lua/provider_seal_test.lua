-- Providers that an older neap has stored in clear are sealed when the admin side begins.
local admin_world = require "admin.test.world"
local host = require "neap.host"
local json = require "neap.json"
local provider_seal = require "admin.api.provider_seal"
local provider_secrets = require "neap.provider_secrets"
local test = require "neap.tap"

local PROXY = "http://me:pass@proxy.test:1"

local function old_row()
  return { dialect = "openai", url = "https://a.test/v1", version = 3,
    headers = { ["x-own"] = "topsecret" }, proxy = { "http://plain.test:2", PROXY } }
end

test("rows in clear are sealed, once, and else stay", function()
  local of = admin_world.new().store.config
  local bare = json.encode { dialect = "openai", url = "https://b.test/v1" }
  local others = { ["provider/bare"] = bare, ["provider/broken"] = "{",
    ["provider/odd"] = "{\"headers\":5}", ["group/g"] = "{}" }
  of["provider/old"] = json.encode(old_row())
  for key, text in pairs(others) do of[key] = text end
  provider_seal.run()
  local row = json.decode(of["provider/old"])
  test.equal({ row.headers["x-own"], row.proxy[1], row.proxy[2], row.version },
    { "(hidden)", "http://plain.test:2", "(hidden)", 3 })
  local opened = provider_secrets.open(row, function(field, sealed)
    return host.unseal("config/provider/old", field, sealed)
  end)
  test.equal(opened, old_row())
  for key, text in pairs(others) do test.equal(of[key], text) end
  local text = of["provider/old"]
  provider_seal.run()
  test.equal(of["provider/old"], text)
end)

test("what cannot be sealed stays as it is", function()
  local of = admin_world.new().store.config
  local text = json.encode(old_row())
  of["provider/old"] = text
  local seal = host.seal
  host.seal = function() return nil, "no key" end
  provider_seal.run()
  host.seal = seal
  test.equal(of["provider/old"], text)
end)
