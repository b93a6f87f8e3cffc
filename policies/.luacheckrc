-- For luacheck: what a policy sees is the sandbox, and nothing else. Copy this file beside your
-- own policies.
std = { read_globals = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "select",
  "setmetatable", "tonumber", "tostring", "type", "unpack", "require",
  "string", "table", "math", "bit",
} }
max_line_length = 100
self = false -- a method that does not use self is still a method

-- Tests run outside of the sandbox.
files["**/*_test.lua"] = { std = "luajit" }
