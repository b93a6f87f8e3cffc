--- One sample: a target freshly started, measured in one case, and ended.
---
--- Every sample has a process of its own. Otherwise connections that are older than the open
--- streams would hide what those streams cost, and the memory of one case would be counted in
--- the next.
local json = require "cjson"
local large = require "large"
local process = require "process"
local targets = require "targets"

local sample = {}

local LOAD_CORE, PROXY_CORE = 0, process.processors() > 1 and 1 or 0
local START_TIMEOUT, OPEN_TIMEOUT, WARM_UP, QUIET = 10, 65, 0.3, 0.5

local PLAIN = "The quick brown fox jumps over the lazy dog; five dozen jugs in my box. "
local ESCAPED = [[\"Caf\u00e9\"\t\\path\\to\\it\n\/\u4e2d\u6587\r\n]]

--- Writes the body of a case, of exactly its size, and returns the path.
local function body_file(build, case, model)
  local form = case.escaped and "escaped" or case.events and "stream" or "plain"
  local path = ("%s/body_%d_%s_%s.json"):format(build.folder, case.size, form, model)
  local stream = case.events
    and ('"stream":true,"user":"interval-1","max_tokens":%d,'):format(case.events) or ""
  local head = ('{"model":"%s",%s"messages":[{"role":"user","content":"'):format(model, stream)
  local tail = '"}]}'
  local unit = case.escaped and ESCAPED or PLAIN
  local room = case.size - #head - #tail
  local text = unit:rep(math.floor(room / #unit))
  local file = assert(io.open(path, "w"))
  file:write(head, text, ("a"):rep(room - #text), tail)
  file:close()
  return path
end

local PROBE = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
  .. "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
  .. "Connection: close\r\nContent-Length: %d\r\n\r\n%s"

local function probe(target, case)
  local model, port = target:model(case.kind), target:port(case.kind)
  local body = ('{"model":"%s","messages":[{"role":"user","content":"hello"}]}'):format(model)
  local answer = process.ask(port, PROBE:format(port, targets.token, #body, body))
  return answer and answer:find "^HTTP/1.1 200", answer
end

--- Starts a target and waits for its first answer. Returns the process and the seconds taken.
local function start(target, case)
  for _, path in ipairs(target.logs or {}) do os.remove(path) end
  os.remove(target.log)
  local began = process.now()
  local running = process.start {
    argv = target.argv, environment = target.environment,
    core = not case.on_all_cores and PROXY_CORE or nil, log = target.log, quiet = true,
  }
  local answer
  repeat
    local is_up
    is_up, answer = probe(target, case)
    if is_up then return running, process.now() - began end
    process.sleep(0.0005)
  until process.now() - began > START_TIMEOUT or not running:is_running()
  running:stop()
  local last = answer and ": " .. answer:match "^[^\r]*" or ""
  return nil, ("%s did not answer, see %s%s"):format(target.name, target.log, last)
end

local function wrk(build, target, case, seconds)
  return process.start {
    argv = {
      "wrk", "-t", "1", "-c", tostring(case.connections), "-d", tostring(seconds),
      "--timeout", "10s", "-s", build.scripts .. "/wrk.lua",
      ("http://127.0.0.1:%d/v1/chat/completions"):format(target:port(case.kind)),
      "--", body_file(build, case, target:model(case.kind)), targets.token,
    },
    core = LOAD_CORE,
    log = build.folder .. "/wrk.log",
  }
end

local function open_streams(build, target, case)
  local load = process.start {
    argv = {
      build.folder .. "/sse_load", tostring(target:port(case.kind, true)),
      tostring(case.streams), tostring(case.interval_ms), target:model(case.kind), targets.token,
    },
    core = LOAD_CORE,
    log = build.folder .. "/sse_load.log",
  }
  local line = load:line(OPEN_TIMEOUT)
  return load, line and json.decode(line) or { streams = 0, failed = case.streams }
end

--- Who asks would be on another machine: it must not keep the load or the upstream from their
--- core.
local function ask(build, target, kind, seconds)
  local argv = {
    "nice", "-n", "19", build.scripts .. "/queries.lua", tostring(target.admin_port),
    target.admin_token, tostring(seconds),
  }
  for _, path in ipairs(large.paths(kind)) do argv[#argv + 1] = path end
  return process.start { argv = argv, core = LOAD_CORE, log = build.folder .. "/queries.log" }
end

local function window(load, seconds)
  load:tell "measure"
  process.sleep(seconds)
  load:tell "stop"
  local line = load:line(5)
  return line and json.decode(line)
end

local function cpu(running)
  return running and running:cpu_seconds() or 0
end

--- JSON requests: CPU per request, net of what the open streams cost by themselves.
local function measure_json(build, target, case, running, seconds)
  local load, quiet_cpu = nil, 0
  local asking = case.queries and ask(build, target, case.queries, 3600)
  if case.streams then
    load = open_streams(build, target, case)
    local before, began = cpu(running), process.now()
    process.sleep(QUIET)
    quiet_cpu = (cpu(running) - before) / (process.now() - began)
  end
  local warm = wrk(build, target, case, 10)
  process.sleep(WARM_UP)
  warm:interrupt()

  local before, began = cpu(running), process.now()
  local loader = wrk(build, target, case, seconds)
  local line = loader:all(seconds + 20):match "(%b{})%s*$"
  local used = cpu(running) - before - quiet_cpu * (process.now() - began)
  loader:stop()
  if asking then asking:stop() end
  local streams = load and window(load, 0.1)
  if load then load:stop() end
  local result = line and json.decode(line)
  if not result or result.requests == 0 then
    return nil, target.name .. ": wrk measured nothing"
  end
  local lost = case.streams and case.streams - (streams and streams.streams or 0) or 0

  return {
    rps = result.requests / result.seconds,
    cpu_us = running and used / result.requests * 1e6,
    p50_us = result.p50_us,
    p99_us = result.p99_us,
    rss_mb = running and running:resident_kib() / 1024,
    errors = result.errors + lost,
    streams = streams and streams.streams or nil,
  }
end

--- Streams: CPU per event, latency of each event, and memory per open stream.
local function measure_sse(build, target, case, running, seconds)
  local empty_kib = running and running:resident_kib() or 0
  local load, opened = open_streams(build, target, case)
  process.sleep(WARM_UP)
  local before = cpu(running)
  local result = window(load, seconds)
  local used = cpu(running) - before
  local full_kib = running and running:resident_kib() or 0
  load:stop()
  if not result or result.chunks == 0 then
    return nil, ("%s: no events, %d streams opened"):format(target.name, opened.streams)
  end
  return {
    rps = result.chunks / result.seconds,
    cpu_us = running and used / result.chunks * 1e6,
    p50_us = result.p50_us,
    p99_us = result.p99_us,
    rss_mb = running and full_kib / 1024,
    errors = case.streams - result.streams,
    streams = result.streams,
    kib_per_stream = running and (full_kib - empty_kib) / math.max(result.streams, 1),
  }
end

--- From the start of the program to its first answer, and what it holds when nothing happens.
local function measure_start(took, running)
  process.sleep(0.2)
  return { p50_us = took * 1e6, rss_mb = running:resident_kib() / 1024, errors = 0 }
end

--- Questions to the admin API, one after the other.
local function measure_queries(build, target, case, _, seconds)
  local asking = ask(build, target, case.queries, seconds)
  local line = asking:line(seconds + 60)
  asking:stop()
  local result = line and json.decode(line)
  if not result then return nil, target.name .. ": no answers, see queries.log" end
  return {
    rps = result.count / seconds, p50_us = result.p50_us, p95_us = result.p95_us,
    p99_us = result.p99_us, errors = result.errors,
  }
end

--- Records through the journal's own code, at a rate: what they cost, and how many were dropped.
local function measure_fill(build, _, case, _, seconds)
  local folder = build.folder .. "/journal_rate"
  os.execute(("rm -rf '%s'"):format(folder))
  local filling = process.start {
    argv = { build.folder .. "/journal_fill", folder, tostring(case.rate * seconds),
      tostring(case.rate) },
    core = PROXY_CORE, log = build.folder .. "/journal_rate.log",
  }
  local line = filling:line(seconds + 60)
  filling:stop()
  local result = line and json.decode(line)
  if not result then return nil, "journal_fill said nothing, see journal_rate.log" end
  return {
    rps = result.rps, cpu_us = result.writer_us, push_us = result.push_us,
    errors = result.dropped,
  }
end

local MEASURES = {
  start = function(_, _, _, running, _, took) return measure_start(took, running) end,
  json = measure_json, sse = measure_sse, queries = measure_queries, fill = measure_fill,
}

--- Measures a target in a case. Returns the figures, or nil and a reason.
---@param build { folder: string, scripts: string }
function sample.take(build, target, case, seconds)
  local running, took
  if not target.is_direct then
    running, took = start(target, case)
    if not running then return nil, took end
  end
  local measure = MEASURES[case.measure]
  local figures, why = measure(build, target, case, running, seconds, took)
  if running then running:stop() end
  return figures, why
end

return sample
