#!/usr/bin/env luajit
--- Asks the admin API one question after the other over one connection and says how long the
--- answers took.
---
---     tests/bench/queries.lua PORT TOKEN SECONDS PATH...
---
--- The paths take turns until the seconds are over, each at least once where there are up to
--- ten. One line of JSON: count, errors, p50_us, p95_us, p99_us of the time to the whole answer.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/?.lua;" .. package.path

local http = require "http"
local process = require "process"

local LEAST = 10

local port, headers = tonumber(arg[1]), ("Authorization: Bearer %s\r\n"):format(arg[2])
local limit = process.now() + tonumber(arg[3])
local connection = assert(http.open(port), "nobody listens")
local times, errors = {}, 0

repeat
  local path = arg[4 + #times % (#arg - 3)]
  local began = process.now()
  local status, why, body = connection:ask("GET", path, headers)
  times[#times + 1] = (process.now() - began) * 1e6
  if status ~= 200 then
    errors = errors + 1
    io.stderr:write(path, ": ", tostring(status), " ", body or why, "\n")
    connection:close()
    connection = assert(http.open(port), "nobody listens any more")
  end
until process.now() > limit and #times >= math.min(#arg - 3, LEAST)

table.sort(times)
local function share(of) return times[math.max(1, math.ceil(#times * of))] end
print(('{"count":%d,"errors":%d,"p50_us":%d,"p95_us":%d,"p99_us":%d}')
  :format(#times, errors, share(0.5), share(0.95), share(0.99)))
