-- No new globals anywhere.
std = "luajit"
max_line_length = 100
self = false -- a method that does not use self is still a method
-- Scripts that are wrong on purpose; and policies, which have a file of their own
-- (policies/.luacheckrc), the one that users copy.
exclude_files = { "tests/policies/hostile", "policies" }

-- The words of router.lua.
files["**/router.lua.example"] = {
  std = { read_globals = { "provider", "group", "token", "env", "file", "use" },
    globals = { "listen", "admin", "storage", "policies", "workers", "drain_timeout", "watch",
      "journal", "cors", "tls", "spool", "private_upstreams", "log" } },
}

-- Signatures without bodies.
files["lua/neap/host*.lua"] = { unused_args = false }
files["lua/meta"] = { unused_args = false, ignore = { "241", "431", "432" } }

-- wrk calls these by name.
files["tests/bench/wrk.lua"] = {
  globals = { "wrk", "init", "request", "response", "done", "setup", "delay" },
}
