--- neap.tap: assertions for tests in Lua.
---
---     local test = require "neap.tap"
---
---     test("adds", function()
---       test.equal(1 + 1, 2)
---     end)
---
---     return test.finish()
---
--- A test ends at its first failed assertion; the others of the file still run. Nothing is
--- printed here: the runner writes `test.results` as TAP.

local tap = { results = {} }

---@class neap.tap_result
---@field name string
---@field ok boolean
---@field message string? why it failed, with file and line

local MAX_DEPTH = 32

local function is_equal(a, b, depth)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or depth > MAX_DEPTH then return false end
  for key, value in pairs(a) do
    if not is_equal(value, b[key], depth + 1) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function by_name(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
  return type(a) < type(b)
end

local function show(value, depth)
  if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")) end
  if type(value) ~= "table" then return tostring(value) end
  if depth > 6 then return "{ … }" end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, by_name)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:match("^[%a_][%w_]*$")
      or ("[%s]"):format(show(key, depth + 1))
    local text = show(value[key], depth + 1)
    parts[#parts + 1] = key == #parts + 1 and text or ("%s = %s"):format(name, text)
  end
  return #parts == 0 and "{}" or ("{ %s }"):format(table.concat(parts, ", "))
end

local function fail(what, text)
  error(what and ("%s: %s"):format(what, text) or text, 3)
end

--- Tables are equal if their members are.
---@param what string? what is compared
function tap.equal(got, want, what)
  if is_equal(got, want, 0) then return end
  fail(what, ("got %s, want %s"):format(show(got, 0), show(want, 0)))
end

---@param value any
---@param what string?
function tap.ok(value, what)
  if not value then fail(what, ("got %s"):format(tostring(value))) end
end

--- The text holds the Lua pattern.
---@param text any
---@param pattern string
---@param what string?
function tap.match(text, pattern, what)
  if type(text) == "string" and text:find(pattern) then return end
  fail(what, ("got %s, want %q"):format(show(text, 0), pattern))
end

--- The function raises, and its message holds the Lua pattern.
---@param run function
---@param pattern string?
---@return any message what it raised
function tap.raises(run, pattern)
  local is_done, message = pcall(run)
  if is_done then fail(nil, "it raised nothing") end
  if pattern and not tostring(message):find(pattern) then
    fail(nil, ("it raised %s, want %q"):format(show(tostring(message), 0), pattern))
  end
  return message
end

--- What a file of tests returns at its end.
---@return neap.tap_result[] results of all tests so far
function tap.finish()
  return tap.results
end

return setmetatable(tap, {
  __call = function(_, name, run)
    local is_done, message = pcall(run)
    tap.results[#tap.results + 1] = {
      name = name, ok = is_done, message = not is_done and tostring(message) or nil,
    }
  end,
})
