local test = require "neap.test"

local rank = test.lib "rank"

test("by: the smallest first, and equals as they were", function()
  local given = { "ccc", "a", "bb", "b" }
  test.equal(rank.by(given, function(text) return #text end), { "a", "b", "bb", "ccc" })
  test.equal(given, { "ccc", "a", "bb", "b" })
  test.equal(rank.by({}, tonumber), {})
end)

test("lot: a heavier one is drawn sooner, none without weight", function()
  test.ok(rank.lot(2, 0.5) < rank.lot(1, 0.5))
  test.equal(rank.lot(1, 0), 0)
  test.equal(rank.lot(0, 0), math.huge)
  test.ok(rank.lot(1e-9, 0.999999) < math.huge)
end)

return test.finish()
