-- Statistics: which sums a request asks the journal for, and where days begin.
local admin_world = require "admin.test.world"
local json = require "neap.json"
local test = require "neap.tap"
local time_steps = require "admin.api.time_steps"
local zone = require "neap.zone"
local fake_journal = require "admin.test.journal"

local START = 1767225600 -- 2026-01-01, the world's beginning
local DAY = 86400

local function get(world, path)
  return world:request { path = "/api/v1/statistics/" .. path, as = "read" }
end

local function at(text) return assert(require("admin.api.schema").moment(text)) end

test("the overview of a span, of all or of one", function()
  local world = admin_world.new()
  world.journal.stats.overview = fake_journal.sums { from = 1, ["until"] = 2, requests = 7 }
  test.equal(get(world, "overview").json.requests, 7)
  get(world, "overview?from=2025-12-01T00:00:00Z&until=2025-12-02T00:00:00Z&group=chat")
  test.equal(world.journal.asked, {
    { from = START + 60 - DAY, before = START + 60 },
    { from = at "2025-12-01T00:00:00Z", before = at "2025-12-02T00:00:00Z",
      dimension = "group", value = "chat" },
  })
  local got = get(world, "overview?group=a&model=b")
  test.equal(got.status .. got.json.error.code, "400invalid_query")
  test.equal(get(world, "overview?from=2030-01-01T00:00:00Z").status, 200, "of the future")
end)

test("a series has the edges of its zone", function()
  local world = admin_world.new()
  local got = get(world, "series?step=day&zone=Europe/Berlin&from=2026-03-27T23:00:00Z"
    .. "&until=2026-03-31T10:00:00Z&key=main")
  test.equal(got.json, { step = "day", zone = "Europe/Berlin", spans = {} })
  local spec = world.journal.asked[1]
  test.equal(spec.dimension .. spec.value, "keymain")
  -- The clocks are put forward on the 29th: it has 23 hours.
  test.equal(spec.edges, { at "2026-03-27T23:00:00Z", at "2026-03-28T23:00:00Z",
    at "2026-03-29T22:00:00Z", at "2026-03-30T22:00:00Z", at "2026-03-31T10:00:00Z" })
  get(world, "series?step=hour&zone=%2B05:30")
  local edges = world.journal.asked[2].edges
  test.equal(edges[1] % 3600, 1800)
  test.equal(edges[#edges], START + 60)
  test.equal(#edges >= 24 and #edges <= 26, true)
  for _, step in ipairs { "minute", "day", "month" } do
    test.equal(get(world, "series?step=" .. step).status, 200)
  end
  test.equal(get(world, "series?step=minute&from=2025-01-01T00:00:00Z").status, 400)
  test.equal(get(world, "series?zone=Mars").status, 400)
end)

test("without a zone it is the setting's", function()
  local world = admin_world.new()
  world.store.config["setting/time_zone"] = '{"value":"Asia/Shanghai","version":1}'
  test.equal(get(world, "series?step=day").json.zone, "Asia/Shanghai")
  test.equal((world.journal.asked[1].edges[1] + 8 * 3600) % DAY, 0)
end)

test("months, years and odd offsets", function()
  local utc, berlin = zone.find "UTC", zone.find "Europe/Berlin"
  test.equal(time_steps.edges(utc, "month", at "2025-11-15T00:00:00Z", at "2026-02-01T00:00:00Z",
    10), { at "2025-11-15T00:00:00Z", at "2025-12-01T00:00:00Z", at "2026-01-01T00:00:00Z",
    at "2026-02-01T00:00:00Z" })
  test.equal(time_steps.after(berlin, "month", at "2026-10-10T00:00:00Z"),
    at "2026-10-31T23:00:00Z")
  test.equal(time_steps.after(berlin, "day", at "2026-10-24T22:00:00Z"),
    at "2026-10-25T23:00:00Z", "a day of 25 hours")
  test.equal(time_steps.after(zone.find "+05:45", "day", at "2026-01-01T00:00:00Z"),
    at "2026-01-01T18:15:00Z")
  test.equal(time_steps.edges(utc, "minute", 0, 6000, 50), nil)
end)

test("a breakdown, and what the journal refuses", function()
  local world = admin_world.new()
  world.journal.stats.breakdown.values[1] = fake_journal.sums { value = "gpt" }
  local got = get(world, "breakdown?by=provider&order=cost&top=5")
  test.equal(got.json.values[1].value, "gpt")
  test.equal(got.json.other, json.null)
  local spec = world.journal.asked[1]
  test.equal(("%s %s %d"):format(spec.by, spec.order, spec.top), "provider cost 5")
  test.equal(get(world, "breakdown?by=client").status, 400)
  get(world, "breakdown?by=model&token=app&from=2025-12-01T00:00:00Z")
  spec = world.journal.asked[2]
  test.equal(("%s %s %s"):format(spec.by, spec.dimension, spec.value), "model token app")
  got = get(world, "breakdown?by=model&token=app&from=2025-01-01T00:00:00Z")
  test.equal(got.status .. got.json.error.field, "400from")
  test.match(got.json.error.message, "records are kept for 90 days")
  test.equal(get(world, "breakdown?by=token&token=app&from=2025-01-01T00:00:00Z").status, 200)
  test.equal(get(world, "breakdown?by=model&from=2025-01-01T00:00:00Z").status, 200)
  test.equal(get(world, "breakdown?by=model&token=app&group=g").status, 400)
  test.equal(get(world, "breakdown?top=1001").status, 400)
  world.journal.problem = "invalid"
  got = get(world, "overview")
  test.equal(got.status .. got.json.error.message, "400by the test")
end)
