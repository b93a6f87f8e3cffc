--- The cases, in blocks whose samples are interleaved, and the figures that neap must reach.
---
--- Ratios are only ever taken between samples of one round of one block: the machine drifts
--- by more than what is measured from one minute to the next.
local cases = {}

local ALL = { "nginx", "nginx_log", "haproxy", "nginx_lua", "neap" }
local STREAMED = { "nginx", "haproxy", "neap" }

local function json(name, size, connections, extra)
  local case = {
    name = name, measure = "json", kind = "plain", size = size, connections = connections,
    targets = ALL,
  }
  for key, value in pairs(extra or {}) do case[key] = value end
  return case
end

local function sse(name, streams, interval_ms, kind)
  return {
    name = name, measure = "sse", kind = kind or "plain",
    streams = streams, interval_ms = interval_ms,
    targets = kind == "tls" and STREAMED or { "direct", "nginx", "haproxy", "neap" },
  }
end

local function with_streams(count, targets)
  local extra = { streams = count, interval_ms = 2000, targets = targets }
  return json("json_1k_streams" .. count, 1024, 8, extra)
end

cases.RECORDS, cases.RECORDS_QUICK = 10000000, 1000000 -- in the journal of neap_large

local LARGE = { "neap_large" }

local function queries(kind)
  return { name = "journal_" .. kind, measure = "queries", kind = "plain", queries = kind,
    targets = LARGE }
end

--- What records cost: 1 KB as ever, and streams of 20 events, which take 20 ms at least.
local function journal_cost(targets)
  return {
    json("journal_1k_c32", 1024, 32, { targets = targets }),
    json("journal_stream_c32", 1024, 32, { targets = targets, events = 20 }),
  }
end

local JOURNAL_RATE = { name = "journal_rate", measure = "fill", rate = 20000,
  targets = { "journal" } }
local START_LARGE = { name = "start_large", measure = "start", kind = "plain", targets = LARGE }

--- The same requests with and without somebody who asks the admin API all the time. On all cores,
--- since what answers there is threads of their own.
local BESIDE_QUERIES = {
  json("large_1k_c1", 1024, 1, { targets = LARGE, on_all_cores = true }),
  json("large_1k_c1_queries", 1024, 1, { targets = LARGE, on_all_cores = true, queries = "all" }),
}

local KB100, MB = 100 * 1024, 1024 * 1024
local ESCAPED, TLS = { escaped = true }, { kind = "tls", targets = STREAMED }
local WITH_DIRECT = { "direct", "nginx", "nginx_log", "haproxy", "nginx_lua", "neap" }

cases.full = {
  { { name = "start", measure = "start", kind = "plain", targets = ALL } },
  { json("json_1k_c1", 1024, 1, { targets = WITH_DIRECT }) },
  {
    json("json_1k_c8", 1024, 8, { targets = STREAMED }),
    with_streams(1000, STREAMED),
    with_streams(4000, STREAMED),
  },
  { json("json_1k_c32", 1024, 32), json("json_1k_escaped_c32", 1024, 32, ESCAPED) },
  { json("json_100k_c1", KB100, 1) },
  { json("json_100k_c32", KB100, 32), json("json_100k_escaped_c32", KB100, 32, ESCAPED) },
  { json("json_1m_c1", MB, 1) },
  { json("json_1m_c32", MB, 32), json("json_1m_escaped_c32", MB, 32, ESCAPED) },
  { json("tls_1k_c32", 1024, 32, TLS), json("tls_100k_c32", KB100, 32, TLS) },
  { json("tls_connect_c8", 1024, 8, { kind = "close", targets = STREAMED }) },
  { sse("sse_1000x20", 1000, 50), sse("sse_tls_1000x20", 1000, 50, "tls") },
  { sse("sse_9000x2", 9000, 500) },
  journal_cost { "nginx", "neap_off", "neap" },
  { JOURNAL_RATE },
  { START_LARGE },
  {
    queries "time", queries "token", queries "group", queries "provider", queries "model",
    queries "outcome", queries "text", queries "nowhere", queries "statistics",
  },
  BESIDE_QUERIES,
}

cases.quick = {
  {
    json("json_1k_c8", 1024, 8, { targets = { "nginx", "neap" } }),
    with_streams(1000, { "nginx", "neap" }),
  },
  { json("json_1k_c32", 1024, 32) },
  { json("json_100k_c32", KB100, 32, { targets = { "nginx", "nginx_lua", "neap" } }) },
  { journal_cost({ "neap_off", "neap" })[1] },
  { JOURNAL_RATE },
  { START_LARGE },
  { queries "token", queries "statistics" },
}

local function against(what, case, other, limit, field)
  return {
    what = what, limit = limit, unit = "x",
    left = { case, "neap", field or "cpu_us" }, right = { case, other, field or "cpu_us" },
    by = "ratio",
  }
end

local function against_itself(streams, limit)
  return {
    what = ("1 KB while %d streams are open, against none"):format(streams),
    limit = limit, unit = "x", by = "ratio",
    left = { "json_1k_streams" .. streams, "neap", "cpu_us" },
    right = { "json_1k_c8", "neap", "cpu_us" },
  }
end

--- What neap adds to the time without any proxy. The load client speaks no TLS, so what
--- comes over TLS is compared with `direct_case`, the same load in plain.
local function added(what, case, field, limit, scale, unit, direct_case)
  return {
    what = what, limit = limit, unit = unit, scale = scale, by = "difference",
    left = { case, "neap", field }, right = { direct_case or case, "direct", field },
  }
end

local function plain(what, case, field, limit, scale, unit)
  return {
    what = what, limit = limit, unit = unit, scale = scale,
    left = { case, "neap", field }, by = "value",
  }
end

local function of_large(what, case, field, limit, scale, unit)
  local wanted = plain(what, case, field, limit, scale, unit)
  wanted.left[2] = "neap_large"
  return wanted
end

local function page(what, kind)
  return of_large("large journal: " .. what, "journal_" .. kind, "p95_us", 50, 1e-3, "ms")
end

--- 1 KB beside questions to the admin API against 1 KB without them.
local function beside_queries(what, field, limit)
  return {
    what = what, limit = limit, unit = "x", by = "ratio",
    left = { "large_1k_c1_queries", "neap_large", field },
    right = { "large_1k_c1", "neap_large", field },
  }
end

local function of_journal(what, field, limit, unit)
  return { what = what, limit = limit, unit = unit, scale = 1, by = "value",
    left = { "journal_rate", "journal", field } }
end

--- What is wanted of neap: a value, or a ratio or difference of paired samples, at most `limit`.
cases.wanted = {
  against("1 KB, nginx with log", "json_1k_c32", "nginx_log", 2.0),
  against("1 KB, haproxy", "json_1k_c32", "haproxy", 2.1),
  against("1 KB, nginx with Lua", "json_1k_c32", "nginx_lua", 1.05),
  against("100 KB, nginx with Lua", "json_100k_c32", "nginx_lua", 0.15),
  against("1 MB, nginx with Lua", "json_1m_c32", "nginx_lua", 0.08),
  against("TLS 1 KB, nginx", "tls_1k_c32", "nginx", 1.9),
  against("TLS 100 KB, nginx", "tls_100k_c32", "nginx", 1.15),
  plain("a new TLS connection", "tls_connect_c8", "cpu_us", 2, 1e-3, "ms"),
  against_itself(1000, 1.25),
  against_itself(4000, 1.25),
  against("SSE 1,000 x 20/s per event, nginx", "sse_1000x20", "nginx", 1.2),
  against("SSE 9,000 x 2/s per event, nginx", "sse_9000x2", "nginx", 1.2),
  against("SSE over TLS per event, nginx", "sse_tls_1000x20", "nginx", 1.2),
  added("SSE 1,000 x 20/s, added p99", "sse_1000x20", "p99_us", 1, 1e-3, "ms"),
  added("SSE 9,000 x 2/s, added p99", "sse_9000x2", "p99_us", 1, 1e-3, "ms"),
  added("SSE over TLS, added p99", "sse_tls_1000x20", "p99_us", 1, 1e-3, "ms", "sse_1000x20"),
  against("memory per stream, nginx", "sse_9000x2", "nginx", 1.2, "kib_per_stream"),
  against("memory per stream over TLS, nginx", "sse_tls_1000x20", "nginx", 1.6, "kib_per_stream"),
  added("added latency, one connection, p50", "json_1k_c1", "p50_us", 40, 1, "us"),
  added("added latency, one connection, p99", "json_1k_c1", "p99_us", 120, 1, "us"),
  plain("start to first answer", "start", "p50_us", 100, 1e-3, "ms"),
  plain("idle memory", "start", "rss_mb", 30, 1, "MiB"),
  against("1 KB, without a journal", "journal_1k_c32", "neap_off", 1.15),
  against("a stream of 20 events, without a journal", "journal_stream_c32", "neap_off", 1.15),
  of_journal("dropped at 20,000 records a second", "errors", 0, ""),
  of_journal("CPU for a record: on the worker", "push_us", 0.5, "us"),
  of_journal("CPU for a record: the writer", "cpu_us", 6, "us"),
  of_large("large journal: start to first answer", "start_large", "p50_us", 200, 1e-3, "ms"),
  page("page by time, p95", "time"),
  page("page by token, p95", "token"),
  page("page by group, p95", "group"),
  page("page by provider, p95", "provider"),
  page("page by model, p95", "model"),
  page("page by outcome, p95", "outcome"),
  page("90 days of statistics, p95", "statistics"),
  -- What is in no index is looked for in steps, for two seconds; then a cursor goes on.
  of_large("large journal: page by text, p95", "journal_text", "p95_us", 2.1, 1e-6, "s"),
  of_large("large journal: text that is nowhere, p95", "journal_nowhere", "p95_us", 2.1, 1e-6, "s"),
  beside_queries("1 KB beside queries, against none: p50", "p50_us", 1.1),
  beside_queries("1 KB beside queries, against none: p99", "p99_us", 1.25),
}

return cases
