-- No new globals anywhere. What a policy sees is the sandbox and nothing else.
std = "luajit"
max_line_length = 100
self = false -- a method that does not use self is still a method
-- Scripts that are wrong on purpose.
exclude_files = { "tests/policies/hostile" }

local sandbox = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "select",
  "setmetatable", "tonumber", "tostring", "type", "unpack", "require",
  "string", "table", "math", "bit",
}

files["policies"] = { std = { read_globals = sandbox } }
files["policies/**/*_test.lua"] = { std = "luajit" }

-- The words of router.lua.
files["**/router.lua.example"] = {
  std = { read_globals = { "provider", "group", "token", "env", "file", "use" },
    globals = { "listen", "admin", "storage", "policies", "workers", "drain_timeout", "watch",
      "cors", "tls", "spool", "private_upstreams", "log" } },
}

-- Signatures without bodies.
files["lua/neap/host.lua"] = { unused_args = false }

-- wrk calls these by name.
files["tests/bench/wrk.lua"] = {
  globals = { "wrk", "init", "request", "response", "done", "setup", "delay" },
}
