-- The annotations in lua/meta say what there is: each public function, field, getter and method
-- is in them, what is in them exists, and parameters have the names that the code has.
local host = require "neap.host"
local object = require "neap.object"
local setting = require "neap.setting"
local test = require "neap.test"

-- ------------------------------------------------------------------------------------
-- What is written

local function read(path) return assert(host.read(host.home() .. "/" .. path)) end

local function names_in(text)
  local names = {}
  for name in text:gmatch("[%w_.]+") do names[#names + 1] = name end
  return names
end

--- Classes by name: fields (a set), functions (name → parameters).
local function parse(text, file, classes)
  local by_local, class, params, has_words = {}, nil, {}, false
  local number = 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local at = file .. ":" .. number
    local name = line:match("^%-%-%-@class ([%w_.]+)")
    if name then
      class = { fields = {}, functions = {} }
      classes[name] = class
    end
    local field = line:match("^%-%-%-@field ([%w_]+)")
    if field then
      test.ok(class and not class.fields[field], at .. ": a field of a class, once")
      class.fields[field] = true
    end
    local variable = line:match("^local ([%w_]+) = {}$")
    if variable then by_local[variable] = class end
    local param = line:match("^%-%-%-@param ([%w_.]+)")
    if param then params[#params + 1] = param end
    has_words = has_words or line:find("^%-%-%- ") ~= nil
    local owner, method, list = line:match("^function ([%w_]+)[.:]([%w_]+)%((.*)%) end$")
    if owner then
      test.ok(has_words, at .. ": says what it does")
      test.equal(params, names_in(list), at .. ": each parameter has its @param")
      local of = by_local[owner]
      of.functions[method] = params
    end
    if not line:find("^%-%-") then params, has_words = {}, false end
  end
  return classes
end

local classes = {}
for _, name in ipairs { "policy", "objects", "setting", "json", "test" } do
  local file = "lua/meta/neap/" .. name .. ".lua"
  parse(read(file), file, classes)
end

-- ------------------------------------------------------------------------------------
-- What there is

local function sorted(set, without)
  local names = {}
  for name in pairs(set) do
    if not (without and without[name]) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- The names of a function's parameters; "_" is one that it does not use.
local function parameters_of(run)
  local names, info = {}, debug.getinfo(run, "u")
  for index = 1, info.nparams do names[index] = debug.getlocal(run, index) end
  if info.isvararg then names[#names + 1] = "..." end
  return names
end

local function check_parameters(written, found, what)
  local same = #written == #found
  for index, name in ipairs(found) do same = same and (name == "_" or name == written[index]) end
  test.ok(same, ("%s(%s), which the code has as (%s)"):format(what, table.concat(written, ", "),
    table.concat(found, ", ")))
end

--- A method's first parameter is the object; one that does not need it may leave it out.
local function check_methods(class, methods, without)
  test.equal(sorted(class.functions), sorted(methods, without))
  for name, written in pairs(class.functions) do
    local found = parameters_of(methods[name])
    table.remove(found, 1)
    check_parameters(written, found, ":" .. name)
  end
end

local function functions_of(module)
  local functions = {}
  for name, value in pairs(module) do
    if type(value) == "function" then functions[name] = value end
  end
  return functions
end

-- What the library itself needs of a module that policies may require.
local INSIDE = {
  ["neap.policy"] = { is_definition = true },
  ["neap.setting"] = { is_schema = true, compile = true },
}

for module, class in pairs { ["neap.policy"] = "neap.policy_module",
  ["neap.setting"] = "neap.setting" } do
  test("the functions of " .. module, function()
    local functions, written = functions_of(require(module)), classes[class].functions
    test.equal(sorted(written), sorted(functions, INSIDE[module]))
    for name, params in pairs(written) do
      check_parameters(params, parameters_of(functions[name]), name)
    end
  end)
end

test("the functions of neap.json, which are the host's", function()
  local json, hosts = require "neap.json", read "lua/neap/host.lua"
  test.equal(sorted(classes["neap.json"].functions), sorted(functions_of(json)))
  test.equal(sorted(classes["neap.json"].fields), { "null" })
  test.ok(json.null ~= nil)
  for name, params in pairs(classes["neap.json"].functions) do
    local list = hosts:match("\nfunction host%.json_" .. name .. "(%b()) end")
    check_parameters(params, names_in(list), name)
  end
end)

-- "run" and "done" are what a policy itself defines.
local DEFINED = { ["neap.policy"] = { run = true, done = true } }

for name, class in pairs { request = "neap.request", response = "neap.response",
  target = "neap.target", key = "neap.key", policy = "neap.policy", outcome = "neap.outcome",
  ["shared store"] = "neap.shared" } do
  test("what a " .. name .. " has", function()
    local fields, methods = object.members(name)
    test.equal(sorted(classes[class].fields, DEFINED[class]), fields)
    check_methods(classes[class], methods)
  end)
end

test("an object has nothing that its class does not say", function()
  local fields, methods = object.members "target"
  local target = test.world({ policies = {}, targets = { "a/m" } }):target("a/m")
  for _, field in ipairs(fields) do test.ok(pcall(function() return target[field] end), field) end
  for name, method in pairs(methods) do test.equal(target[name], method) end
  test.raises(function() return target.nowhere end, "has no \"nowhere\"")
  test.equal(object.members "nothing", nil)
end)

test("what settings of the kinds outcomes and hours give", function()
  local made = setting.compile {
    outcomes = setting.outcomes { default = { 429 } },
    hours = setting.hours { default = "00:00-24:00" },
  }
  for _, name in ipairs { "outcomes", "hours" } do
    check_methods(classes["neap." .. name], { covers = made[name].covers })
  end
end)

test("what policy.define takes", function()
  local known = read("lua/neap/policy.lua"):match("\nlocal FIELDS = (%b{})")
  local fields = {}
  for name in known:gmatch("([%w_]+) =") do fields[name] = true end
  test.equal(sorted(classes["neap.policy_fields"].fields), sorted(fields))
end)

test("what a request can be narrowed by", function()
  local known, fields = read("lua/neap/request.lua"):match("\nlocal WANTED = (%b{})"), {}
  for name in known:gmatch("([%w_]+) = \"") do fields[name] = true end
  test.equal(sorted(classes["neap.request_changes"].fields), sorted(fields))
end)

--- The names in the table that a function of the library returns or makes.
local function table_in(file, pattern)
  local fields = {}
  local text = assert(read(file):match(pattern), "the table is where it was in " .. file)
  for name in text:gmatch("([%w_]+) = ") do fields[name] = true end
  return fields
end

test("what an attempt has", function()
  test.equal(sorted(classes["neap.attempt"].fields),
    sorted(table_in("lua/neap/request.lua", "function attempts_of%b().-list%[index%] = (%b{})")))
end)

test("what a calendar has", function()
  local seen = test.run { policies = { "mine" }, targets = {}, texts = { mine = [[
    local mine = require("neap.policy").define { summary = "Of a test." }
    function mine:run(request)
      for name in pairs(self:calendar()) do self:note(name) end
      return request:reply("")
    end
    return mine]] } }
  table.sort(seen.notes)
  test.equal(sorted(classes["neap.calendar"].fields), seen.notes)
end)

-- ------------------------------------------------------------------------------------
-- The harness

test("the functions of neap.test", function()
  local written = classes["neap.test"].functions
  local functions = functions_of(test)
  for name, run in pairs(functions_of(require "neap.tap")) do functions[name] = run end
  -- The runner reads the results of tests; finish is for a file that returns them.
  test.equal(sorted(written), sorted(functions, { finish = true }))
  for name, params in pairs(written) do
    check_parameters(params, parameters_of(functions[name]), name)
  end
end)

test("the methods of a world", function()
  local world = test.world { policies = {} }
  check_methods(classes["neap.test_world"], functions_of(getmetatable(world).__index))
end)

test("the fields of a world are those that the harness reads", function()
  local text = read "lua/neap/test.lua" .. read "lua/neap/test/upstream.lua"
    .. read "lua/neap/test/stand_in.lua"
  local read_ones = {}
  for name in text:gmatch("%f[%w_]world%.([%w_]+)") do read_ones[name] = true end
  for name in text:gmatch("%f[%w_]world_now%.([%w_]+)") do read_ones[name] = true end
  read_ones.request = text:find("given%.request") ~= nil
  for name in pairs(classes["neap.test_world_fields"].fields) do test.ok(read_ones[name], name) end
  local documented = text:match("%-%-%-@class neap%.test_world\n(.-)\n\n")
  for name in documented:gmatch("@field ([%w_]+)") do
    test.ok(classes["neap.test_world_fields"].fields[name], name .. " is annotated")
  end
end)

test("the fields of an answer are those that the harness reads", function()
  local text, read_ones = read "lua/neap/test/upstream.lua", {}
  for _, owner in ipairs { "answer", "script" } do
    for name in text:gmatch("%f[%w_]" .. owner .. "%.([%w_]+)") do read_ones[name] = true end
  end
  test.equal(sorted(classes["neap.test_answer"].fields), sorted(read_ones))
end)

test("the fields of a run", function()
  local seen, of_attempt = {}, {}
  for _, given in ipairs {
    { policies = { "priority_failover" }, targets = { "a/m", "b/m" }, upstream = {
      ["a/m"] = { status = 500 }, ["b/m"] = { failure = "reset" } } },
    { policies = { "mine" }, texts = { mine = "error('no')" } },
    { policies = { "mine" }, texts = { mine = [[
      local mine = require("neap.policy").define { summary = "Of a test." }
      function mine:run() error("no") end
      return mine]] } },
  } do
    local is_fine, run = pcall(test.run, given)
    for name in pairs(is_fine and run or {}) do seen[name] = true end
    for _, one in ipairs(is_fine and run.attempts or {}) do
      for name in pairs(one) do of_attempt[name] = true end
    end
  end
  test.equal(sorted(classes["neap.test_run"].fields), sorted(seen))
  test.equal(sorted(classes["neap.test_attempt"].fields), sorted(of_attempt))
end)

-- ------------------------------------------------------------------------------------
-- What users copy

test("luacheck knows the names that the sandbox has, and no other", function()
  local listed = read("policies/.luacheckrc"):match("read_globals = (%b{})")
  local function has(name)
    local chunk = assert(host.load_policy("return " .. name, "x", host.environment(require)))
    return (pcall(chunk))
  end
  local known = {}
  for name in listed:gmatch("\"([%w_]+)\"") do
    known[name] = true
    test.ok(has(name), name)
  end
  for name in pairs(_G) do
    if name:find("^[%a_][%w_]*$") and not known[name] then test.ok(not has(name), name) end
  end
end)

test("the editor's file is JSON, and knows where the annotations are", function()
  local file = assert(require("neap.json").decode(read "policies/.luarc.json"))
  local library = file["workspace.library"]
  for index, path in ipairs { "../lua/meta", "/usr/local/share/neap/lua/meta" } do
    test.equal(library[index], path)
  end
end)

-- ------------------------------------------------------------------------------------
-- The document

test("docs/policies.md names whatever a policy can reach", function()
  local text, missing = read "docs/policies.md", {}
  for class, members in pairs(classes) do
    for _, names in pairs(members) do
      for name in pairs(names) do
        if not text:find("%f[%w_]" .. name .. "%f[^%w_]") then
          missing[#missing + 1] = class .. "." .. name
        end
      end
    end
  end
  table.sort(missing)
  test.equal(missing, {})
end)
