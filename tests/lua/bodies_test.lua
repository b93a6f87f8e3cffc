-- Whose bodies are kept: by token before group, all, of failures, or a share.
local test = require "neap.tap"
local bodies = require "neap.bodies"
local config = require "neap.config"

local KNOWN = { body_size = 1000 }

--- What the host was told of a request of this token and group, and of this id.
local function asked(token, group, uuid)
  local told = {}
  local handle = {}
  function handle.uuid() return uuid or "0190-000000" end
  function handle.keep_bodies(_, size, failures_only) told[#told + 1] = { size, failures_only } end
  local of = { token = token, group = group, handle = handle }
  bodies.of_token(of, KNOWN)
  local of_token = #told
  bodies.of_group(of, KNOWN)
  test.equal(#told <= 1, true)
  return told[1], of_token == 1
end

test("a token's word goes before its group's", function()
  test.equal(asked({}, {}), nil)
  test.equal(asked(nil, { bodies = false }), nil)
  test.equal(asked(nil, { bodies = true }), { 1000, false })
  test.equal(asked({}, { bodies = "failures" }), { 1000, true })
  test.equal(asked({ bodies = false }, { bodies = true }), nil)
  local told, is_of_token = asked({ bodies = "failures" }, { bodies = true })
  test.equal({ told, is_of_token }, { { 1000, true }, true })
end)

test("a share is drawn by the request's id", function()
  test.equal(asked(nil, { bodies = 0.5 }, "a-7fffff"), { 1000, false })
  test.equal(asked(nil, { bodies = 0.5 }, "a-800000"), nil)
  test.equal(asked(nil, { bodies = 1 }, "a-ffffff"), { 1000, false })
  test.equal(asked({ bodies = 0.01 }, { bodies = true }, "a-800000"), nil)
  local kept = 0
  for index = 1, 4000 do
    local uuid = ("x%06x"):format(index * 7919 * 523 % 2 ^ 24)
    if asked(nil, { bodies = 0.25 }, uuid) then kept = kept + 1 end
  end
  test.equal(kept > 850 and kept < 1150, true, kept)
end)

local function load(text)
  return config.load { text = text, path = "/x/router.lua", getenv = function() end,
    read = function() return nil, "no" end }
end

local PARTS = [[
provider "a" { dialect = "openai", url = "http://127.0.0.1:1/v1", keys = { "sk-of-the-provider" },
  headers = { ["x-extra"] = "Basic of-a-header" } }
group "g" { targets = { { "a", "m" } }, bodies = %s }
token "t" { secret = "sk-neap-of-the-token-1", bodies = %s }
]]

test("the secrets that may stand in bodies are known where some are kept", function()
  test.equal(bodies.secrets(assert(load(PARTS:format("false", "nil")))), nil)
  for _, words in ipairs { { "true", "nil" }, { "nil", "0.5" } } do
    local list = assert(bodies.secrets(assert(load(PARTS:format(unpack(words))))))
    table.sort(list)
    test.equal(list, { "Basic of-a-header", "of-a-header", "sk-neap-of-the-token-1",
      "sk-of-the-provider" })
  end
end)

test("what a token cannot say is refused with the place", function()
  for _, word in ipairs { "\"all\"", "0", "1.5", "-1", "{}" } do
    local made, errors = load(PARTS:format("true", word))
    test.equal(made, nil, word)
    test.match(config.format(errors)[1],
      "router.lua:4: .*bodies must be true, false, \"failures\" or a share")
  end
  test.equal(load(PARTS:format("false", "\"failures\"")).tokens[1].bodies, "failures")
end)
