--- admin.api.metrics: GET /metrics, for Prometheus: what the journal's sums and the process's
--- figures say.
---
--- Labels are names of the configuration (providers, groups), outcomes and kinds: never a token, a
--- key or a request, and at most so many of each.

local host = require "neap.host"
local journal = require "admin.api.journal"
local json = require "neap.json"
local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local states = require "admin.api.states"

local VALUES_MAX = 200   -- providers, and groups; what is beyond is one sum
local QUANTILE_SPAN = 300 -- seconds that quantiles are of
local OUTCOMES = { "ok", "failed", "aborted", "truncated" }

-- ------------------------------------------------------------------------------------
-- The text

local Text = {}
Text.__index = Text

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

--- Begins a family; its samples follow.
function Text:family(name, kind, help)
  self.name = name
  self:add(("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind))
end

function Text:add(text) self[#self + 1] = text end

--- labels: { name, value, … }. Nothing is written of a value that is not known.
function Text:sample(value, labels, suffix)
  if value == nil or value == json.null then return end
  local parts = {}
  for index = 1, #(labels or {}), 2 do
    parts[#parts + 1] = ('%s="%s"'):format(labels[index],
      (labels[index + 1]:gsub('[\\"\n]', ESCAPES)))
  end
  local number = value % 1 == 0 and ("%.0f"):format(value) or ("%.9g"):format(value)
  self:add(("%s%s%s %s\n"):format(self.name, suffix or "",
    parts[1] and "{" .. table.concat(parts, ",") .. "}" or "", number))
end

function Text:one(name, kind, help, value)
  if value == nil then return end
  self:family(name, kind, help)
  self:sample(value)
end

-- ------------------------------------------------------------------------------------
-- Out of the journal

local function read(spec)
  spec.from, spec.before = spec.from or 0, math.floor(host.wall() / 60) * 60 + 60
  return json.decode(journal.stats(spec))
end

local function add_requests(text, total)
  text:family("neap_requests_total", "counter", "Requests by what became of them.")
  for _, outcome in ipairs(OUTCOMES) do text:sample(total[outcome], { "outcome", outcome }) end
  text:one("neap_attempts_total", "counter", "Attempts at providers.", total.attempts)
  text:one("neap_attempts_failed_total", "counter",
    "Attempts that failed or were answered with an error.", total.attempts_failed)
  text:one("neap_failovers_total", "counter", "Attempts behind the first of their request.",
    total.retries)
  text:one("neap_cost_usd_total", "counter", "What requests cost, in USD, as far as is known.",
    total.cost_micros / 1e6)
end

--- Calls fn with each value of a breakdown and its label; "" stands for none, "other" for all that
--- are too many.
local function each_value(breakdown, fn)
  for _, one in ipairs(breakdown.values) do
    fn(one, one.value == json.null and "" or one.value)
  end
  if breakdown.other ~= json.null then fn(breakdown.other, "other") end
end

local function add_values(text, label, breakdown)
  text:family(("neap_%s_requests_total"):format(label), "counter",
    ("Requests by %s and what became of them."):format(label))
  each_value(breakdown, function(one, name)
    for _, outcome in ipairs(OUTCOMES) do
      text:sample(one[outcome], { label, name, "outcome", outcome })
    end
  end)
  text:family(("neap_%s_cost_usd_total"):format(label), "counter",
    ("What requests cost, in USD, by %s."):format(label))
  each_value(breakdown, function(one, name)
    text:sample(one.cost_micros / 1e6, { label, name })
  end)
end

local function add_tokens(text, breakdown)
  text:family("gen_ai_client_token_usage_total", "counter",
    "Tokens by provider; input is all that was sent, cached or not.")
  each_value(breakdown, function(one, name)
    local usage = one.usage
    local labels = { "gen_ai_provider_name", name, "gen_ai_token_type", "input" }
    text:sample(usage.total - usage.out_total, labels)
    labels[4] = "output"
    text:sample(usage.out_total, labels)
  end)
  text:family("neap_tokens_total", "counter", "Tokens by provider and kind.")
  each_value(breakdown, function(one, name)
    for _, kind in ipairs { "in_fresh", "cache_read", "cache_write_5m", "cache_write_1h",
      "in_audio", "out_total" } do
      text:sample(one.usage[kind], { "provider", name, "kind", kind })
    end
  end)
end

local QUANTILES = { { "p50", "0.5" }, { "p95", "0.95" }, { "p99", "0.99" } }

local function add_times(text, name, help, times, count)
  text:family(name, "summary", help)
  for _, quantile in ipairs(QUANTILES) do
    local ms = times[quantile[1]]
    text:sample(ms ~= json.null and ms / 1000 or nil, { "quantile", quantile[2] })
  end
  text:sample(count, nil, "_count")
end

local function add_statistics(text)
  local total = read {}
  local recent = read { from = math.floor(host.wall() / 60) * 60 + 60 - QUANTILE_SPAN }
  local providers = read { by = "provider", top = VALUES_MAX }
  add_requests(text, total)
  add_values(text, "provider", providers)
  add_values(text, "group", read { by = "group", top = VALUES_MAX })
  add_tokens(text, providers)
  add_times(text, "gen_ai_client_operation_duration_seconds",
    "Duration of requests; quantiles of the last five minutes.", recent.ms, total.requests)
  add_times(text, "gen_ai_client_operation_time_to_first_chunk_seconds",
    "Until the first event; quantiles of the last five minutes.", recent.first_event_ms)
end

local function add_journal(text)
  local figures = host.journal_figures()
  text:one("neap_journal_up", "gauge", "Whether there is a journal and its last write succeeded.",
    figures and not figures.error and 1 or 0)
  if not figures then return end
  text:one("neap_journal_records_written_total", "counter", "Records written since the start.",
    figures.written)
  text:one("neap_journal_records_dropped_total", "counter",
    "Records that found no room or no disk.", figures.dropped)
  text:one("neap_journal_records_removed_total", "counter", "Records removed by age or size.",
    figures.removed)
  text:one("neap_journal_queue_bytes", "gauge", "What waits in the fullest queue.",
    figures.waiting_bytes)
  text:one("neap_journal_queue_size_bytes", "gauge", "What a queue holds.", figures.ring_bytes)
  text:one("neap_journal_disk_bytes", "gauge", "The journal on disk.", figures.bytes)
end

-- ------------------------------------------------------------------------------------
-- Out of the process

local FIGURES = {
  { "generation", "neap_generation", "gauge", "The generation in force." },
  { "uptime", "neap_uptime_seconds", "gauge", "Since the process began." },
  { "reloads", "neap_reloads_total", "counter", "Loads that came into force." },
  { "reload_errors", "neap_reload_errors_total", "counter", "Loads that were refused." },
  { "connections", "neap_connections_open", "gauge", "Connections of clients." },
  { "requests", "neap_requests_open", "gauge", "Requests in flight." },
  { "attempts", "neap_attempts_open", "gauge", "Attempts in flight." },
  { "log_dropped", "neap_log_lines_dropped_total", "counter", "Log lines without room." },
  { "late", "neap_lua_late_total", "counter", "Times that Lua held a worker up." },
  { "done_skipped", "neap_done_skipped_total", "counter",
    "Policies' done that a reload took away." },
}

--- What neap itself took: the rest of a request's time is its client's and its providers'.
local function add_overhead(text, figures)
  if not figures.overhead_count then return end
  text:one("neap_overhead_answers_total", "counter",
    "Answers for which a provider was asked.", figures.overhead_count)
  text:family("neap_overhead_seconds_total", "counter", "What neap itself took for them up to "
    .. "their heads: until it first waited for a provider, and after that.")
  text:sample(figures.overhead_routing, { "phase", "routing" })
  text:sample(figures.overhead - figures.overhead_routing, { "phase", "answer" })
end

local function add_process(text)
  local figures = host.figures()
  for _, one in ipairs(FIGURES) do text:one(one[2], one[3], one[4], figures[one[1]]) end
  add_overhead(text, figures)
  text:one("neap_policies_set_aside", "gauge", "Policies that failed too often.",
    states.policies_set_aside())
end

local function add_states(text)
  local list = states.by_provider()
  for _, what in ipairs { "keys", "targets" } do
    text:family("neap_" .. what, "gauge", what:gsub("^%l", string.upper) .. " by state.")
    for index = 1, math.min(#list, VALUES_MAX) do
      for _, state in ipairs(states.NAMES) do
        text:sample(list[index][what][state], { "provider", list[index].provider, "state", state })
      end
    end
  end
end

local function show()
  local text = setmetatable({}, Text)
  add_process(text)
  add_states(text)
  add_journal(text)
  -- A journal that cannot be read takes its own numbers away, and no others.
  local is_read, raised = pcall(add_statistics, text)
  if not is_read and not problem.of(raised) then error(raised, 0) end
  return 200, reply.raw("text/plain; version=0.0.4; charset=utf-8", table.concat(text))
end

return {
  { id = "get_metrics", method = "GET", path = "/metrics", tag = "health", scope = "read",
    summary = "Figures for Prometheus", run = show,
    responses = { { 200, "The text format.", { type = "string" }, "text/plain" } } },
}
