-- The files of other routers: what they are, and values of the types that they should have.
local old_files = require "admin.test.old_files"
local source = require "admin.import.source"
local test = require "neap.tap"

local function problem_of(run, ...)
  local is_done, raised = pcall(run, ...)
  return not is_done and source.problem(raised) or nil
end

test("a file of variables: comments, quotes, exports, and lists over several lines", function()
  local text = "\239\187\191# a comment\n\nA=1\nB = two words  # behind it\nexport C='x # y'\r\n"
    .. 'D="a\\nb"\nE=["a", "b"]\nF=\'["k1",\n "k2"]\'\nG=\nH="x" # why\n'
  test.equal(source.variables(text), { A = "1", B = "two words", C = "x # y", D = "a\nb",
    E = '["a", "b"]', F = '["k1",\n "k2"]', G = "", H = "x" })
end)

test("what is no file of variables", function()
  for _, text in ipairs { "", "# nothing\n", "a: 1\n", "[x]\nA=1\n", "A=1\nwords\n", "A='open\n",
    '{"A": 1}' } do
    test.equal(source.variables(text), nil, text)
  end
end)

test("values take their type, or say what it should be", function()
  test.equal(source.typed("12", "integer", "x"), 12)
  test.equal(source.typed(1.5, "number!", "x"), 1.5)
  test.equal(source.typed(" 1e3 ", "number", "x"), 1000)
  test.equal(source.typed(7, "text", "x"), "7")
  test.equal({ source.typed(1, "flag", "x"), source.typed("false", "flag", "x"),
    source.typed("T", "flag", "x") }, { true, false, true })
  test.equal(source.typed(nil, "integer", "x"), nil)
  for kind, values in pairs {
    ["integer!"] = { 1.5, "many", "", "0x10", 2 ^ 60, "1;2", "nan", "inf" },
    ["number"] = { "cheap", "1,5", "--1", {}, "1e999" },
    ["flag"] = { 2, "perhaps", "" },
    ["text"] = { "a\0b", {} },
  } do
    for _, value in ipairs(values) do
      test.match(problem_of(source.typed, value, kind, "the place"), "^the place must be ")
    end
  end
  test.equal(problem_of(source.typed, nil, "text!", "the place"), "the place is missing (NULL)")
end)

test("a message has no secret, and a name of bounded size", function()
  test.equal({ source.mask("sk-abcdefghijklmnop"), source.mask("abcdefghijklmnop"),
    source.mask("short") }, { "sk-…mnop", "…mnop", "…" })
  test.equal(source.shown("a\nb"), "a b")
  test.equal(#source.shown(("ä"):rep(100)) <= 44, true)
end)

test("a table without a column that must be there is an error; one without others is none",
  function()
    local given = old_files.given { ["x.db"] = { groups = { { id = 2 }, { id = 1 } } } }
    local file = source.open("x.db", given)
    test.equal(file:read("groups", { id = "integer!", name = "text" }, "id"),
      { { id = 1 }, { id = 2 } })
    test.equal(problem_of(file.read, file, "groups", { name = "text!" }, "id"),
      "x.db: the table groups has no column name")
    test.equal(file:read("absent", { id = "integer!" }, "id"), {})
    test.equal({ file:count("groups"), file:count("absent") }, { 2, 0 })
  end)

return test.finish()
