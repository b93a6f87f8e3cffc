-- The paths of NexusAI Hub: providers with two keys, their models, and what was said.
local host = require "neap.host"
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local store = require "neap.store"
local test = require "neap.tap"

local WRITTEN = [[
provider "own" { dialect = "openai", url = "https://own.test/v1", keys = { "sk-of-the-file-0001" },
  models = { ["m"] = {} } }
token "filed" { secret = "the-token-of-the-file", groups = {} }
token "all" { secret = "may-use-everything-there-is" }
]]

local PERSONAL, OTHER = "personal-key-of-team-a", "personal-key-of-team-b"
local FAR = { name = "Far", server_url = "https://far.test/v1", server_key = "sk-far-away-key-0001",
  personalized_key = PERSONAL, description = "the far one" }

local function with(base, more)
  local result = {}
  for _, set in ipairs { base, more } do
    for name, value in pairs(set) do result[name] = value end
  end
  return result
end

local function call(world, method, path, body, as)
  local got = world:request { path = path, method = method, as = as or "session", body = body }
  test.equal(world.raised, nil)
  return got
end

local function ok(world, method, path, body)
  local got = call(world, method, path, body)
  test.equal(got.status, 200, path .. " " .. got.answer)
  test.equal(world:fault_of(world.routes:find(path)[method], got), nil, path)
  return got.json
end

local function refused(world, status, method, path, body, as)
  local got = call(world, method, path, body, as)
  test.equal(got.status, status, path .. " " .. got.answer)
  test.equal(got.json.detail, got.json.error.message)
  return got.json.error
end

--- The stored token of a secret, and its name.
local function token_of(world, secret)
  local digest = store.digest_text(host.digest(secret))
  for key, text in pairs(world.store.config) do
    local record = json.decode(text)
    if record.digest == digest then return record, key:match("^token/(.+)$") end
  end
end

test("what was shown may be sent back as a whole, and changes nothing", function()
  local world = loaded.new(WRITTEN)
  local path = "/providers/" .. ok(world, "POST", "/providers", FAR).id
  local shown = ok(world, "GET", path)
  local function put()
    local got = call(world, "PUT", path, shown)
    test.equal(got.status, 200, got.answer)
  end
  put()
  test.equal(ok(world, "GET", path), shown)
  test.equal(token_of(world, PERSONAL).providers, { "Far" })
end)

test("a provider is made with its number, its keys masked", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "/providers", FAR).id
  test.equal(ok(world, "GET", "/providers/" .. id), { id = id, name = "Far",
    server_url = "https://far.test/v1", server_key = "sk-…0001", personalized_key = "…am-a",
    description = "the far one" })
  local list = ok(world, "GET", "/providers").providers
  test.equal(#list, 2)
  for _, row in ipairs(list) do
    if row[1] == id then
      test.equal(row, { id, "Far", "https://far.test/v1", "sk-…0001", "…am-a", "the far one" })
    end
  end
  test.equal(token_of(world, PERSONAL).providers, { "Far" })
  for _, text in pairs(world.store.config) do
    test.equal(text:find(PERSONAL, 1, true) or text:find("sk-far", 1, true), nil)
  end
  local gone = refused(world, 404, "GET", "/providers/999")
  test.match(gone.message, "999")
  refused(world, 422, "POST", "/providers", with(FAR, { personalized_key = "short" }))
  refused(world, 422, "POST", "/providers", with(FAR, { server_key = "" }))
  refused(world, 403, "POST", "/providers", FAR, "write")
  local stranger = world:request { path = "/providers" }
  test.equal({ stranger.status, stranger.json.detail },
    { 401, stranger.json.error.message })
end)

test("providers share a personalized key, and it goes with the last of them", function()
  local world = loaded.new(WRITTEN)
  local first = ok(world, "POST", "/providers", FAR).id
  local second = ok(world, "POST", "/providers", with(FAR, { name = "硅基",
    server_url = "https://near.test" })).id
  test.equal(token_of(world, PERSONAL).providers, { "Far", "near.test" })
  ok(world, "PUT", "/providers/" .. second, with(FAR, { name = "Near", server_key = "sk-…0001",
    server_url = "https://near.test", personalized_key = OTHER, description = "" }))
  test.equal(token_of(world, PERSONAL).providers, { "Far" })
  test.equal(token_of(world, OTHER).providers, { "near.test" })
  local shown = ok(world, "GET", "/providers/" .. second)
  test.equal({ shown.name, shown.personalized_key, shown.description }, { "Near", "…am-b", "" })
  ok(world, "DELETE", "/providers/" .. first)
  test.equal(token_of(world, PERSONAL), nil)
  test.equal(world.store.config["provider/Far"], nil)
  local again = ok(world, "POST", "/providers", FAR).id
  test.equal(again, first, "the number stays with the name")
  refused(world, 404, "DELETE", "/providers/12345")
end)

test("keys that come back as they are shown stay, others take the scope for it", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "/providers", FAR).id
  local path = "/providers/" .. id
  local function keys()
    local list = {}
    for _, text in pairs(world.store.keys) do list[#list + 1] = json.decode(text).last4 end
    return list
  end
  local same = with(FAR, { server_key = "sk-…0001", personalized_key = "…am-a", name = "F" })
  test.equal(call(world, "PUT", path, same, "write").status, 200)
  test.equal({ keys(), token_of(world, PERSONAL).providers }, { { "0001" }, { "Far" } })
  local changed = with(same, { server_key = "sk-far-away-key-0002" })
  refused(world, 403, "PUT", path, changed, "write")
  refused(world, 403, "PUT", path, with(same, { server_url = "https://evil.test" }), "write")
  test.equal(call(world, "PUT", path, changed, "write keys").status, 200)
  test.equal(keys(), { "0002" })
  for _, row in ipairs(ok(world, "GET", "/providers").providers) do
    if row[2] == "own" then refused(world, 409, "PUT", "/providers/" .. row[1], FAR) end
  end
end)

test("a key that is somebody's token already is that token", function()
  local world = loaded.new(WRITTEN)
  local group = call(world, "POST", "/api/v1/groups", { name = "g",
    targets = json.array { { provider = "own", model = "m" } } })
  test.equal(group.status, 201, group.answer)
  local made = call(world, "POST", "/api/v1/tokens", { name = "native",
    groups = json.array { "g" } }).json.secret
  -- A secret of this world is shorter than what a person may think up; it is known already.
  local id = ok(world, "POST", "/providers", with(FAR, { personalized_key = made })).id
  test.equal(token_of(world, made), with(token_of(world, made), { groups = { "g" },
    providers = { "Far" } }))
  ok(world, "DELETE", "/providers/" .. id)
  test.equal(token_of(world, made).groups, { "g" })
  ok(world, "POST", "/providers", with(FAR, { personalized_key = "may-use-everything-there-is" }))
  refused(world, 409, "POST", "/providers", with(FAR, {
    personalized_key = "the-token-of-the-file" }))
end)

test("a provider that somebody's token may use alone is not taken from it", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "/providers", FAR).id
  local made = call(world, "POST", "/api/v1/tokens", { name = "alone",
    providers = json.array { "Far" } })
  test.equal(made.status, 201, made.answer)
  test.match(refused(world, 409, "DELETE", "/providers/" .. id).message, "alone")
  test.equal(token_of(world, PERSONAL).providers, { "Far" })
end)

test("models are added, moved with their number and groups, and removed", function()
  local world = loaded.new(WRITTEN)
  local far = ok(world, "POST", "/providers", FAR).id
  local near = ok(world, "POST", "/providers", with(FAR, { name = "Near",
    server_url = "https://near.test" })).id
  local body = { provider_id = far, model_name = "big", description = "the big one" }
  local id = ok(world, "POST", "/provider_models", body).id
  test.equal(ok(world, "GET", ("/providers/%d/models"):format(far)).models,
    { { id, far, "big", "the big one" } })
  test.equal(ok(world, "GET", "/provider_models/" .. id), { id = id, provider_id = far,
    model_name = "big", description = "the big one" })
  test.equal(refused(world, 400, "POST", "/provider_models", body).field, "/model_name")
  refused(world, 404, "POST", "/provider_models", with(body, { provider_id = 999 }))
  call(world, "POST", "/api/v1/groups", { name = "fast",
    targets = json.array { { provider = "Far", model = "big" } } })
  ok(world, "PUT", "/provider_models/" .. id, { provider_id = near, model_name = "bigger" })
  test.equal(ok(world, "GET", "/provider_models/" .. id), { id = id, provider_id = near,
    model_name = "bigger", description = "" })
  local target = json.decode(world.store.config["group/fast"]).targets[1]
  test.equal({ target.provider, target.model }, { "Near", "bigger" })
  test.equal(ok(world, "GET", ("/providers/%d/models"):format(far)).models, {})
  test.equal(ok(world, "GET", "/providers/999/models").models, {})
  ok(world, "PUT", "/provider_models/" .. id, { provider_id = near, model_name = "bigger",
    description = "again" })
  test.equal(ok(world, "GET", "/provider_models/" .. id).description, "again")
  ok(world, "DELETE", "/provider_models/" .. id)
  refused(world, 404, "GET", "/provider_models/" .. id)
  test.equal(json.decode(world.store.config["group/fast"]).targets, {})
  test.equal(json.decode(world.store.config["provider/Near"]).models, {})
end)

test("statistics are sums of the journal, and a conversation tells what was said", function()
  local world = loaded.new(WRITTEN)
  local first = loaded.record("id-1", { conversation = "c" })
  local second = loaded.record("id-2", { conversation = "c", stream = true })
  local asked = loaded.journal { page = function(filter)
    if filter.conversation then return filter.conversation == "c" and { second, first } or {} end
    return { second, first, loaded.record("id-3", { conversation = "d",
      model = 'x","conversation":"y' }) }
  end, stats = function() return loaded.sums(3, 330, 120) end, bodies = {
    ["id-1 request"] = '{"messages":[{"role":"system","content":"be kind"},'
      .. '{"role":"user","content":[{"type":"text","text":"hello"},{"type":"image_url"}]}]}',
    ["id-1 response"] = '{"choices":[{"message":{"role":"assistant","content":"hi"}}]}',
    ["id-2 response"] = 'data: {"choices":[{"delta":{"content":"a}"}}]}\n\n'
      .. 'data: {"choices":[{"delta":{"content":"b"}}]}\r\n\ndata: [DONE]\n\n',
  } }
  test.equal(ok(world, "GET", "/stats/total"), { total_conversations = 2, total_rounds = 3,
    prompt_tokens = 330, completion_tokens = 120, total_tokens = 450 })
  local got = ok(world, "GET", "/stats/conversation/c")
  test.equal(asked.pages[#asked.pages].conversation, "c")
  test.equal({ got.conversation_id, got.rounds, got.prompt_tokens, got.completion_tokens,
    got.total_tokens }, { "c", 2, 220, 80, 300 })
  local said = {}
  for index, one in ipairs(got.messages) do
    said[index] = ("%s %s %d"):format(one.role, one.content, one.tokens_count)
  end
  test.equal(said, { "user hello 110", "assistant hi 40", "user  110", "assistant a}b 40" })
  test.equal(ok(world, "GET", "/stats/conversation/none"), { conversation_id = "none", rounds = 0,
    prompt_tokens = 0, completion_tokens = 0, total_tokens = 0, messages = {} })
end)

test("conversations are counted in pages of any length", function()
  local world, list = loaded.new(WRITTEN), {}
  for number = 1, 1000 do
    list[number] = loaded.record("id-" .. number, { conversation = "c" .. number % 300,
      model = ("m"):rep(1000) })
  end
  loaded.journal { page = function() return list end,
    stats = function() return loaded.sums(0, 0, 0) end }
  test.equal(ok(world, "GET", "/stats/total").total_conversations, 300)
end)
