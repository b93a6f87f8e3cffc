-- The script that wrk runs: POSTs one body, and prints what was measured as one line of JSON.
-- luacheck: globals wrk init done
-- The arguments: the file with the body, and the token.

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read "*a"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. arguments[2]
  file:close()
end

function done(summary, latency)
  local errors = summary.errors
  local line = '\n{"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"errors":%d}\n'
  io.write(line:format(
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
