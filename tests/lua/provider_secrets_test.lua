-- neap.provider_secrets: closed and opened again, a provider is what it was.
local json = require "neap.json"
local secrets = require "neap.provider_secrets"
local test = require "neap.tap"

local function seal(field, secret) return field .. "|" .. secret end

local function unseal(field, sealed)
  if sealed:sub(1, #field + 1) ~= field .. "|" then return nil, "it is of another place" end
  return sealed:sub(#field + 2)
end

local function provider()
  return json.decode [[{"url":"https://a.example","headers":{"X-Own":"secret-1","X-Two":"secret-2"},
    "proxy":["socks5://127.0.0.1:1","http://user:secret-3@127.0.0.1:2"]}]]
end

test("no secret is left in what is stored, and all are there when it is opened", function()
  local given = provider()
  local closed = secrets.close(given, seal)
  test.equal(json.encode(given), json.encode(provider()), "what was given stays")
  closed.sealed, given = nil, closed.sealed
  test.ok(not json.encode(closed):find "secret%-", json.encode(closed))
  test.equal(closed.proxy[1], "socks5://127.0.0.1:1", "without a password, in clear")
  closed.sealed = given
  local opened = assert(secrets.open(closed, unseal))
  test.equal(opened, provider())
  test.equal(opened.sealed, nil)
end)

test("without secrets nothing is sealed; what is in clear is taken as it is", function()
  local plain = json.decode [[{"url":"https://a.example","proxy":["socks5://127.0.0.1:1"]}]]
  test.equal(secrets.close(plain, seal), plain)
  test.equal(secrets.open(plain, unseal), plain)
  test.equal(secrets.open(provider(), unseal), provider())
end)

test("what does not open is named; closed again, nothing of it is lost", function()
  local closed = secrets.close(provider(), seal)
  closed.sealed["proxy/2"] = "elsewhere|secret"
  local opened, why = secrets.open(closed, unseal)
  test.equal(opened, nil)
  test.equal(why, "proxy/2: it is of another place")
  test.equal(secrets.close(closed, seal), closed)
end)
