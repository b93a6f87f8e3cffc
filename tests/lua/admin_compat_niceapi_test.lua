-- The paths of NiceAPI: providers, groups, keys, keywords and settings by numbers, in its shapes.
local host = require "neap.host"
local ids = require "admin.api.compat.ids"
local json = require "neap.json"
local loaded = require "admin.test.loaded"
local test = require "neap.tap"

local WRITTEN = [[
provider "own" { dialect = "openai", url = "https://own.test/v1", keys = { "sk-of-the-file-0001" },
  models = { ["m"] = { input = 1, output = 2 } } }
group "filed" { targets = { { "own", "m" } } }
]]

local FAR = { name = "Far", api_endpoint = "https://far.test/v1/chat/completions",
  api_key = "sk-far-away-key-0001", model = "big", price_per_million_tokens = 3,
  type = "per_token", is_active = true }

local function with(base, more)
  local result = {}
  for _, set in ipairs { base, more } do
    for name, value in pairs(set) do result[name] = value end
  end
  return result
end

local function call(world, method, path, body, as)
  local got = world:request { path = "/api/" .. path, method = method, as = as or "session",
    body = body }
  test.equal(world.raised, nil)
  return got
end

local function ok(world, method, path, body)
  local got = call(world, method, path, body)
  test.equal(got.status, 200, path .. " " .. got.answer)
  return got.json
end

local function stored(world, key) return json.decode(world.store.config[key]) end

test("a provider is one model at one address with one key", function()
  local world = loaded.new(WRITTEN)
  local far = ok(world, "POST", "providers/", FAR)
  test.equal({ far.name, far.api_endpoint, far.model, far.api_key, far.is_active },
    { "Far", "https://far.test/v1/chat/completions", "big", "sk-…0001", true })
  test.equal({ far.price_per_million_tokens, far.input_price_per_million_tokens,
    far.output_price_per_million_tokens, far.type }, { 3, 3, 3, "per_token" })
  -- The same address and key is the same provider of neap's, another key is another one.
  ok(world, "POST", "providers/", with(FAR, { model = "small" }))
  ok(world, "POST", "providers/", with(FAR, { api_key = "sk-far-away-key-0002" }))
  test.equal(stored(world, "provider/far.test").models.small ~= nil, true)
  test.equal(stored(world, "provider/far.test-2").models, { big = { input = 3, output = 3 } })
  local answer = call(world, "POST", "providers/", FAR)
  test.equal(answer.status, 409)
  test.equal(answer.json.detail, answer.json.error.message)
  local list = ok(world, "GET", "providers/?skip=1&limit=2")
  test.equal({ list.total, #list.items, list.items[1].id }, { 4, 2, 2 })
  test.equal(ok(world, "GET", "providers/?name_filter=FAR").total, 3)
  test.equal(ok(world, "GET", "providers/" .. far.id), with(far, { total_calls = json.null,
    successful_calls = json.null }), "with others of its model and of its provider")
  for _, text in pairs(world.store.config) do
    test.equal(text:find("sk-far", 1, true), nil, "a key stands in the configuration")
  end
end)

test("addresses are completed as its form did, or taken as they are", function()
  local world = loaded.new("")
  local function endpoint(given)
    return ok(world, "POST", "providers/", with(FAR, { api_endpoint = given })).api_endpoint
  end
  test.equal(endpoint("https://a.test"), "https://a.test/v1/chat/completions")
  test.equal(endpoint("https://b.test/v1"), "https://b.test/v1/chat/completions")
  test.equal(endpoint("https://c.test/v4/chat/completions"), "https://c.test/v4/chat/completions")
  test.equal(endpoint("https://d.test/own/path"), "https://d.test/own/path")
end)

test("a provider is changed, switched off at once, moved and removed", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "providers/", FAR).id
  local group = ok(world, "POST", "groups/", { name = "fast" })
  ok(world, "POST", ("groups/%d/providers/%d"):format(group.id, id), { priority = 2 })
  local path = "providers/" .. id
  test.equal(ok(world, "PATCH", path, { is_active = false }).is_active, false)
  test.equal(stored(world, "group/fast").targets, {}, "nothing reaches it")
  test.equal(stored(world, "provider/far.test").models, {})
  local seen = ok(world, "GET", "groups/").items[1].providers
  test.equal({ #seen, seen[1].id, seen[1].priority, seen[1].is_active }, { 1, id, 2, false })
  ok(world, "PATCH", path, { name = "Still off" })
  test.equal({ ok(world, "GET", path).name, ok(world, "GET", path).is_active },
    { "Still off", false })
  ok(world, "POST", ("groups/%d/providers/%d"):format(group.id, id), { priority = 2 })
  test.equal(ok(world, "PATCH", path, { is_active = true }).is_active, true)
  test.equal(stored(world, "group/fast").targets,
    { { provider = "far.test", model = "big", priority = 2 } })
  local got = ok(world, "PATCH", path, { input_price_per_million_tokens = 1,
    output_price_per_million_tokens = 4, name = "Other" })
  test.equal({ got.name, got.price_per_million_tokens, got.output_price_per_million_tokens },
    { "Other", json.null, 4 })
  got = ok(world, "PATCH", path, { type = "per_call", price_per_million_tokens = 0.5 })
  test.equal({ got.type, got.price_per_million_tokens }, { "per_call", 0.5 })
  got = ok(world, "PATCH", path, { api_endpoint = "https://near.test/v1", api_key = "sk-…0001",
    model = "bigger" })
  test.equal({ got.id, got.api_endpoint, got.model },
    { id, "https://near.test/v1/chat/completions", "bigger" })
  test.equal(stored(world, "group/fast").targets,
    { { provider = "near.test", model = "bigger", priority = 2 } })
  test.equal(world.store.config["provider/far.test"], nil)
  ok(world, "DELETE", path)
  test.equal(stored(world, "group/fast").targets, {})
  test.equal(next(world.store.keys), nil)
  test.equal(call(world, "GET", path).status, 404)
  test.equal(ok(world, "POST", "providers/", with(FAR, { model = "new" })).id > id, true,
    "a number is never given again")
  local list = ok(world, "GET", "providers/?name_filter=m").items
  test.equal({ #list, list[1].model }, { 1, "m" })
  test.equal(call(world, "PATCH", "providers/" .. list[1].id, { name = "x" }).status, 409)
end)

test("what was shown may be sent back as a whole, and changes nothing", function()
  local world = loaded.new(WRITTEN)
  ok(world, "POST", "providers/", with(FAR, { api_endpoint = "https://root.test" }))
  local shown = ok(world, "POST", "providers/", with(FAR, {
    api_endpoint = "https://root.test/own/path" }))
  local group = ok(world, "POST", "groups/", { name = "fast" })
  local before = world.store.config["provider/root.test"]
  for _, one in ipairs(ok(world, "GET", "providers/").items) do
    if one.model == "big" then
      test.equal(ok(world, "PATCH", "providers/" .. one.id, one), one)
    end
  end
  test.equal(stored(world, "provider/root.test").url, json.decode(before).url)
  test.equal(world.store.config["provider/root.test-3"], nil, "it has moved")
  ok(world, "POST", ("groups/%d/providers/%d"):format(group.id, shown.id), { priority = 2 })
  local members = ok(world, "GET", "groups/").items[1].providers
  test.equal(ok(world, "PUT", ("groups/%d/providers"):format(group.id), members).providers, members)
end)

test("one that is paid by the call says so without a price, too", function()
  local world = loaded.new(WRITTEN)
  local got = ok(world, "POST", "providers/", with(FAR, { type = "per_call",
    price_per_million_tokens = json.null }))
  test.equal({ got.type, got.price_per_million_tokens }, { "per_call", 0 })
end)

test("a key is removed wherever it is", function()
  local world = loaded.new(WRITTEN)
  ok(world, "POST", "providers/", FAR)
  ok(world, "POST", "providers/", with(FAR, { model = "small" }))
  local got = ok(world, "DELETE", "providers/quick-remove/" .. FAR.api_key)
  test.equal(got.count, 2)
  test.equal(ok(world, "GET", "providers/").total, 1)
  test.equal(next(world.store.keys), nil)
  test.equal(call(world, "DELETE", "providers/quick-remove/sk-nobody-has").status, 404)
end)

test("whoever may not handle keys adds and removes none", function()
  local world = loaded.new("")
  test.equal(call(world, "POST", "providers/", FAR, "write").status, 403)
  test.equal(call(world, "POST", "providers/", FAR, "keys").status, 403)
  test.equal(call(world, "POST", "providers/", FAR, "write keys").status, 200)
  local path = "providers/quick-remove/" .. FAR.api_key
  test.equal(call(world, "DELETE", path, nil, "keys").status, 403)
  test.equal(call(world, "DELETE", path, nil, "write").status, 403)
  test.equal(call(world, "DELETE", path, nil, "write keys").status, 200)
end)

test("groups have providers at priorities", function()
  local world = loaded.new(WRITTEN)
  local a = ok(world, "POST", "providers/", FAR).id
  local b = ok(world, "POST", "providers/", with(FAR, { model = "small" })).id
  local group = ok(world, "POST", "groups/", { name = "fast" })
  test.equal({ group.name, group.providers }, { "fast", {} })
  test.equal(call(world, "POST", "groups/", { name = "fast" }).status, 400)
  local path = "groups/" .. group.id .. "/providers"
  test.equal(ok(world, "POST", path .. "/" .. a).providers[1].priority, 1)
  local got = ok(world, "PUT", path, json.array { { id = a, priority = 5, selected = true },
    { id = b, selected = true }, { id = 1, priority = 1, selected = false } })
  test.equal({ got.providers[1].id, got.providers[1].priority, got.providers[2].id,
    got.providers[2].priority }, { a, 5, b, 99 })
  test.equal(#ok(world, "DELETE", path .. "/" .. a).providers, 1)
  test.equal(call(world, "DELETE", path .. "/" .. a).status, 404)
  local list = ok(world, "GET", "groups/")
  test.equal({ list.total, list.items[1].name, list.items[2].name }, { 2, "fast", "filed" })
  test.equal(call(world, "POST", "groups/" .. list.items[2].id .. "/providers/" .. a).status, 409)
  ok(world, "DELETE", "groups/" .. group.id)
  test.equal(ok(world, "GET", "groups/").total, 1)
end)

test("a client's key is shown once, belongs to groups, and never opens all of them", function()
  local world = loaded.new(WRITTEN)
  local one, two = ok(world, "POST", "groups/", { name = "one" }).id,
    ok(world, "POST", "groups/", { name = "two" }).id
  test.equal(call(world, "POST", "keys/", { name = "app", group_ids = json.array {} }).status, 422)
  local made = ok(world, "POST", "keys/", { name = "app", is_active = true,
    group_ids = json.array { one } })
  test.match(made.key, "^neap%-test")
  test.equal(made.groups, { { id = one, name = "one" } })
  local list = ok(world, "GET", "keys/")
  test.equal(#list, 1)
  test.equal(list[1].key == made.key, false)
  test.equal({ list[1].id, list[1].name, list[1].is_active }, { made.id, "app", true })
  test.equal(call(world, "DELETE", "groups/" .. one).status, 409)
  local path = "keys/" .. made.id
  test.equal(#ok(world, "PATCH", path, { group_ids = json.array { one, two } }).groups, 2)
  ok(world, "DELETE", "groups/" .. one)
  test.equal(stored(world, "token/app").groups, { "two" })
  test.equal(call(world, "PATCH", path, { group_ids = json.array {} }).status, 422)
  local got = ok(world, "PATCH", path, { is_active = false, name = "the app" })
  test.equal({ got.is_active, got.name }, { false, "the app" })
  test.equal(stored(world, "token/app").off, true)
  ok(world, "DELETE", path)
  test.equal(#ok(world, "GET", "keys/"), 0)
end)

test("names that are longer than a key of the store have numbers, too", function()
  local world = loaded.new(WRITTEN)
  local one, other = ("𝄞"):rep(200), ("𝄞"):rep(199) .. "!"
  local id = ok(world, "POST", "providers/", with(FAR, { model = one })).id
  test.equal(ok(world, "POST", "providers/", with(FAR, { model = other })).id ~= id, true)
  test.equal(ok(world, "GET", "providers/" .. id).model, one)
  local short = ok(world, "PATCH", "providers/" .. id, { model = "short" })
  test.equal({ short.id, short.model }, { id, "short" })
  test.equal(ok(world, "GET", "providers/?name_filter=short").items[1].id, id)
  test.equal(call(world, "POST", "groups/", { name = one }).json.error.field, "/name")
  local group = ok(world, "POST", "groups/", { name = "g" }).id
  test.equal(ok(world, "POST", "keys/", { name = one, group_ids = json.array { group } }).name, one)
end)

test("thousands of names get their numbers in several transactions", function()
  loaded.new(WRITTEN)
  local names, write, most, count = {}, host.store_write, 0, 0
  for number = 1, 2500 do names[number] = "name " .. number end
  host.store_write = function(ops)
    most, count = math.max(most, #ops), count + 1
    return write(ops)
  end
  local known = ids.of("target", names)
  host.store_write = write
  test.equal({ known["name 1"].id, known["name 1001"].id, known["name 2500"].id },
    { 1, 1001, 2500 })
  test.equal({ most < 10000, count }, { true, 3 })
end)

test("keywords and settings are neap's own", function()
  local world = loaded.new(WRITTEN)
  local made = ok(world, "POST", "keywords/", { keyword = "quota", description = "spent" })
  test.equal({ made.keyword, made.description, made.is_active }, { "quota", "spent", true })
  test.equal(call(world, "POST", "keywords/", { keyword = "QUOTA" }).status, 400)
  test.equal(ok(world, "PATCH", "keywords/" .. made.id, { is_active = false }).is_active, false)
  for _, wrong in ipairs { 5, true, json.object {}, "" } do
    local refused = call(world, "PATCH", "keywords/" .. made.id, { keyword = wrong })
    test.equal(refused.json.error.field, "/keyword")
  end
  test.equal(#ok(world, "GET", "keywords/"), 1)
  local other = ok(world, "POST", "keywords/", { keyword = "other words" })
  ok(world, "DELETE", "keywords/" .. made.id)
  test.equal(call(world, "DELETE", "keywords/" .. made.id).status, 404)
  test.equal(call(world, "PATCH", "keywords/" .. made.id, { is_active = true }).status, 404)
  test.equal(#ok(world, "GET", "keywords/"), 1)
  ok(world, "DELETE", "keywords/" .. other.id)
  test.equal(#ok(world, "GET", "keywords/"), 0)

  local key = "failover_threshold_period_minutes"
  test.equal(ok(world, "GET", "settings/" .. key), { key = key, value = "5" })
  test.equal(ok(world, "POST", "settings/", { key = key, value = "10" }).value, "10")
  test.equal(stored(world, "setting/failure_window").value, 600)
  test.equal(ok(world, "GET", "settings/failover_threshold_count").value, "2")
  test.equal(call(world, "GET", "settings/other").status, 404)
  test.equal(call(world, "POST", "settings/", { key = key, value = "many" }).status, 422)
end)

test("a group's list without a priority puts a provider behind", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "providers/", FAR).id
  local group = ok(world, "POST", "groups/", { name = "fast" }).id
  local got = ok(world, "PUT", ("groups/%d/providers"):format(group), json.array {
    json.object { id = id, priority = json.null } })
  test.equal(got.providers[1].priority, 99)
end)

test("a provider that a token names alone is not removed from under it", function()
  local world = loaded.new(WRITTEN)
  local id = ok(world, "POST", "providers/", FAR).id
  local token = world:request { path = "/api/v1/tokens", as = "session", body = { name = "alone",
    providers = json.array { "far.test" } } }
  test.equal(token.status, 201, token.answer)
  test.equal(call(world, "DELETE", "providers/" .. id).status, 409)
  test.equal(stored(world, "token/alone").providers, { "far.test" })
end)

test("calls, last uses and hits are the journal's and the keywords' own", function()
  local world = loaded.new(WRITTEN)
  local group = ok(world, "POST", "groups/", { name = "fast" }).id
  local used = ok(world, "POST", "keys/", { name = "app", group_ids = json.array { group } })
  ok(world, "POST", "keys/", { name = "idle", group_ids = json.array { group } })
  local asked = loaded.journal {
    page = function() return { loaded.record("id-1", { token = "app" }) } end,
    stats = function(spec)
      local sums = loaded.sums(5, 0, 0, { attempts = 7, ok = 4,
        value = spec.by == "token" and "app" or "own" })
      return json.object { values = json.array { sums } }
    end,
  }
  local one = ok(world, "GET", "providers/").items[1]
  test.equal({ one.model, one.total_calls, one.successful_calls }, { "m", 7, 4 })
  for _, listed in ipairs(ok(world, "GET", "groups/").items) do
    if listed.name == "filed" then test.equal(listed.providers[1].total_calls, 7) end
  end
  local by_name = {}
  for _, key in ipairs(ok(world, "GET", "keys/")) do by_name[key.name] = key end
  test.equal({ by_name.app.id, by_name.app.call_count, by_name.app.last_used_at },
    { used.id, 5, "2026-01-01T00:00:00.000Z" })
  test.equal({ by_name.idle.call_count, by_name.idle.last_used_at }, { 0, json.null })
  test.equal({ #asked.pages, asked.pages[1].token }, { 1, "app" }, "one look, where there is use")
  ok(world, "POST", "providers/", FAR)
  ok(world, "POST", "providers/", with(FAR, { model = "m" }))
  local totals = {}
  for _, view in ipairs(ok(world, "GET", "providers/").items) do
    totals[view.api_endpoint .. " " .. view.model] = view.total_calls
  end
  test.equal(totals, { ["https://own.test/v1/chat/completions m"] = 7,
    ["https://far.test/v1/chat/completions big"] = 0,
    ["https://far.test/v1/chat/completions m"] = json.null },
    "neither its provider nor its model is its own alone")

  ok(world, "POST", "keywords/", { keyword = "sorry" })
  test.equal(ok(world, "GET", "keywords/")[1].last_triggered, json.null)
  host.shared_set("keyword_retry\0group\0filed\0last_triggered sorry", "2026-01-01T00:00:00Z")
  test.equal(ok(world, "GET", "keywords/")[1].last_triggered, "2026-01-01T00:00:00Z")
end)

test("keys are read once for all of them, and each that was used has its calls", function()
  local world, scans = loaded.new(WRITTEN), 0
  local group = ok(world, "POST", "groups/", { name = "fast" }).id
  for number = 1, 30 do
    ok(world, "POST", "keys/", { name = "app" .. number, group_ids = json.array { group } })
  end
  loaded.journal {
    page = function(filter) return { loaded.record("id-1", { token = filter.token }) } end,
    stats = function(spec)
      local sums = loaded.sums(5, 0, 0, { value = "app1" })
      if spec.by then return json.object { values = json.array { sums }, other = sums } end
      return loaded.sums(spec.value == "app30" and 3 or 0, 0, 0)
    end,
  }
  local scan = host.store_scan
  host.store_scan = function(...)
    scans = scans + 1
    return scan(...)
  end
  local list = ok(world, "GET", "keys/")
  host.store_scan = scan
  test.equal({ list[1].call_count, list[2].call_count, list[30].call_count }, { 5, 0, 3 },
    "also of those that are too many for a breakdown")
  test.equal(#list[7].groups, 1)
  test.equal(scans < 10, true, scans .. " readings")
end)
