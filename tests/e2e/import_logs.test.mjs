/* `neap import` and the logs of other routers: their calls are records with the origin "import",
 * and what the admin side and the old systems' own paths say of them is what the old database adds
 * up to. */
import test from "node:test";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { until } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";
import {
  database,
  import_files,
  new_api,
  nexusai,
  nexusai_stats,
  niceapi,
  old_file,
  one_api,
  siliconflow,
} from "./support/old_router.mjs";

const HOUR = 3600, DAY = 86400;
const NOW = Math.floor(Date.now() / 1000);
const bearer = (secret) => ({ authorization: `Bearer ${secret}` });

/* Times as SQLAlchemy writes them, of a clock so many hours ahead. */
const written = (seconds, hours = 8) =>
  new Date((seconds + hours * HOUR) * 1000).toISOString().replace("T", " ").replace("Z", "000");

async function empty(t, config = "") {
  const neap = await serve_admin(t, config, { first: { private_upstreams: "true" } });
  const as = await neap.admin.token("read", "write", "keys");
  const call = async (path, options = {}) => {
    const got = await neap.admin.call(path, { as, ...options });
    assert.ok(got.status < 300, `${path}: ${got.status} ${got.text}`);
    return got.json;
  };
  return { neap, call };
}

async function imported(t, neap, files, args = []) {
  const before = await neap.generation();
  const ended = await import_files(t, neap, files, { args });
  assert.equal(ended.code, 0, ended.text);
  if (/was asked to load/.test(ended.stdout))
    await until(
      async () => (await neap.generation()) > before,
      () => `a generation after ${before}; ${ended.text}\nthe log ends with\n${neap.tail()}`,
    );
  return ended.stdout;
}

/* One row of a query on the old database. */
function ask(file, sql) {
  const old = new DatabaseSync(file, { readOnly: true });
  const row = { ...old.prepare(sql).get() };
  old.close();
  return row;
}

/* All records with the origin, the newest first. */
async function records(call, query = "origin=import") {
  const items = [];
  let cursor = "";
  do {
    const page = await call(`/api/v1/records?limit=100&${query}${cursor && `&cursor=${cursor}`}`);
    items.push(...page.items);
    cursor = page.next_cursor ? encodeURIComponent(page.next_cursor) : "";
  } while (cursor);
  return items;
}

const sum = (list, of) => list.reduce((all, one) => all + (of(one) ?? 0), 0);

/* What the records of one origin say is what the statistics of all time say. */
async function overview(call) {
  const { sums, ...rest } = await call("/api/v1/statistics/overview?from=2020-01-01T00:00:00Z");
  return sums ?? rest;
}

async function assert_sums(call, wanted) {
  const all = await overview(call);
  assert.deepEqual(
    { calls: all.requests, tokens_in: all.usage.in_fresh, tokens_out: all.usage.out_total,
      cost: all.cost_micros },
    wanted,
  );
}

/* -- NiceAPI ------------------------------------------------------------------------------ */

function nice_rows(up, calls) {
  const provider = (id, name, api_key, model) => ({ id, name, api_key, model, is_active: 1,
    api_endpoint: `${up.url}/chat/completions`, type: "per_token" });
  return {
    api_providers: [provider(3, "Cheap", "sk-nice-provider-00001", "small"),
      provider(5, "Good", "sk-nice-provider-00002", "large")],
    groups: [{ id: 11, name: "fast" }, { id: 12, name: "best" }],
    provider_group_association: [{ provider_id: 3, group_id: 11, priority: 1 },
      { provider_id: 5, group_id: 11, priority: 2 }, { provider_id: 5, group_id: 12, priority: 1 }],
    api_keys: [{ id: 21, key: "sk-a-client-of-niceapi-0001", is_active: 1, name: "Anna" }],
    api_key_group_association: [{ api_key_id: 21, group_id: 11 }, { api_key_id: 21, group_id: 12 }],
    call_logs: calls,
  };
}

/* Of the last week, failures and calls without a provider among them. */
function nice_calls(count, first = 1) {
  const calls = [];
  for (let id = first; id < first + count; id++) {
    const is_success = id % 7 === 0 ? 0 : 1;
    const ends = written(NOW - 120 - (first + count - id) * 1500);
    calls.push({ id, provider_id: id % 3 ? 3 : 5, api_key_id: id % 4 ? 21 : null,
      request_timestamp: ends, response_timestamp: ends, is_success,
      status_code: is_success ? 200 : 429, response_time_ms: 100 + id,
      error_message: is_success ? null : `the provider said no ${id}`,
      prompt_tokens: is_success ? 10 * id : null, completion_tokens: is_success ? id : null,
      total_tokens: is_success ? 11 * id : null, cost: is_success ? id / 1e5 : null });
  }
  return calls;
}

const NICE_SUMS = `SELECT count(*) AS calls, sum(is_success) AS ok, sum(prompt_tokens) AS tokens_in,
  sum(completion_tokens) AS tokens_out, sum(total_tokens) AS tokens,
  cast(round(sum(cost) * 1e6) AS integer) AS cost FROM call_logs`;

test("NiceAPI: its calls are records, and its dashboard adds up to what it did", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up, nice_calls(300)));
  const said = await imported(t, neap, [file]);
  assert.match(said, /300 rows of call_logs, as records with the origin import/);
  const { ok, tokens, ...old } = ask(file, NICE_SUMS);

  await assert_sums(call, old);
  const list = await records(call);
  assert.equal(list.length, old.calls);
  assert.deepEqual([sum(list, (one) => one.usage?.in_fresh),
    sum(list, (one) => one.usage?.out_total), sum(list, (one) => one.cost_micros)],
    [old.tokens_in, old.tokens_out, old.cost]);
  const newest = list[0], last = ask(file, "SELECT max(id) AS id FROM call_logs");
  assert.equal(newest.ms, 100 + last.id);
  assert.deepEqual([newest.provider !== null, newest.target_model, newest.group, newest.token],
    [true, "large", null, null], "of a provider in two groups, and no key");
  const second = list[1];
  assert.deepEqual([second.target_model, second.group, second.token], ["small", "fast", "Anna"]);
  assert.match(second.key, /^imported-/);
  assert.equal((second.start_us / 1e6 + second.ms / 1e3).toFixed(1),
    (NOW - 120 - 2 * 1500).toFixed(1), "Taipei's time");
  const failed = await records(call, "origin=import&outcome=failed&status=429");
  assert.equal(failed.length, old.calls - ok);
  assert.equal((await records(call, "origin=client")).length, 0);
  assert.equal((await records(call, "token=Anna")).length,
    ask(file, "SELECT count(*) AS n FROM call_logs WHERE api_key_id = 21").n);

  const charts = await call("/api/dashboard/stats?zone=Asia/Taipei");
  assert.equal(charts.summary.total_calls, old.calls);
  assert.equal(charts.summary.total_tokens, tokens);
  assert.equal(charts.summary.total_cost, Math.round(old.cost / 100) / 1e4);
  assert.equal(charts.summary.success_rate, Math.round((ok / old.calls) * 1000) / 10);
  assert.deepEqual(charts.model_distribution.sort((a, b) => a.name < b.name ? -1 : 1),
    [["large", 5], ["small", 3]].map(([name, id]) => ({ name,
      value: ask(file, `SELECT count(*) AS n FROM call_logs WHERE provider_id = ${id}`).n })));
  for (const [index, date] of charts.daily_calls.dates.entries())
    assert.equal(charts.daily_calls.values[index], ask(file,
      `SELECT count(*) AS n FROM call_logs WHERE date(request_timestamp) = '${date}'`).n, date);

  const logs = await call("/api/logs/?limit=10&filter_success=false");
  assert.equal(logs.total, old.calls - ok);
  assert.deepEqual(logs.items.map((one) => [one.status_code, one.error_message, one.provider_id]),
    [294, 287, 280, 273, 266, 259, 252, 245, 238, 231].map((id) =>
      [429, `the provider said no ${id}`, id % 3 ? 3 : 5]));
  assert.equal((await call(`/api/logs/${logs.items[0].id}`)).error_message,
    "the provider said no 294");
  const keys = await call("/api/keys/");
  assert.equal(keys[0].call_count, 225);
});

test("the same again adds nothing, what came since is added, and neap goes on", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const calls = nice_calls(120);
  const file = niceapi(old_file(neap, "first.db"), nice_rows(up, calls.slice(0, 100)));
  const dry = await import_files(t, neap, ["--dry-run", file]);
  assert.match(dry.stdout, /100 rows of call_logs, as records/);
  assert.equal((await overview(call)).requests, 0, "a dry run writes nothing");
  const without = await imported(t, neap, [file], ["--no-logs"]);
  assert.match(without, /rows of call_logs: 100: left out by --no-logs/);
  assert.equal((await overview(call)).requests, 0);

  const as = bearer("sk-a-client-of-niceapi-0001");
  assert.equal((await chat(neap, say("fast"), as)).status, 200);
  await imported(t, neap, [file]);
  assert.equal((await chat(neap, say("fast"), as)).status, 200);
  const again = await imported(t, neap, [file]);
  assert.match(again, /there already:\n[^]*100 rows of call_logs, of an earlier import/);
  assert.doesNotMatch(again, /as records/);
  await until(async () => (await overview(call)).requests === 102, () => "102 requests");

  const grown = niceapi(old_file(neap, "second.db"), nice_rows(up, calls));
  const more = await imported(t, neap, [grown]);
  assert.match(more, /20 rows of call_logs, as records/);
  assert.match(more, /100 rows of call_logs/);
  const all = await overview(call);
  assert.equal(all.requests, 122);
  assert.equal((await records(call)).length, 120);
  assert.equal((await records(call, "origin=client")).length, 2);
  await neap.admin.restart();
  assert.equal((await overview(call)).requests, 122);
});

test("what is older than records become is in the sums alone, once", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const calls = nice_calls(40);
  for (const one of calls.slice(0, 25))
    one.request_timestamp = written(NOW - 400 * DAY + one.id * 7000);
  calls[30].request_timestamp = "never";
  calls[35].request_timestamp = written(NOW + DAY);
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up, calls));
  const said = await imported(t, neap, [file]);
  assert.match(said, /38 rows of call_logs, as records/);
  assert.match(said, /25 rows of call_logs are older than records become/);
  assert.match(said, /without a time: 1/);
  assert.match(said, /of the last minute, or of the future: 1/);
  assert.equal((await records(call)).length, 13);
  assert.equal((await overview(call)).requests, 38);
  const again = await imported(t, neap, [file]);
  assert.match(again, /39 rows of call_logs, of an earlier import/);
  assert.doesNotMatch(again, /as records/);
  assert.equal((await overview(call)).requests, 38);
});

/* -- NexusAI Hub -------------------------------------------------------------------------- */

test("NexusAI Hub: rounds of its conversations, and its totals", async (t) => {
  const { neap, call } = await empty(t);
  const config = nexusai(old_file(neap, "config.db"), {
    service_providers: [{ id: 4, name: "One", server_url: "https://one.test",
      server_key: "sk-nexus-server-0001", personalized_key: "client-one-000000000001" }],
    provider_models: [{ id: 7, provider_id: 4, model_name: "org/model-a" }],
  });
  const rows = [];
  const stat = (at, talk, is_prompt, tokens_count, provider_id = 4) =>
    rows.push({ timestamp: new Date((NOW - at) * 1000).toISOString().slice(0, -1), tokens_count,
      conversation_id: talk, provider_id, model_name: "org/model-a", is_prompt });
  for (let talk = 0; talk < 150; talk++) {
    stat(90000 - talk * 60, `talk-${talk}`, 1, 100 + talk);
    if (talk > 0) stat(90000 - talk * 60 + 1, `talk-${talk - 1}`, 0, 7 * talk);
  }
  stat(70000, "talk-149", 0, 3);
  stat(60000, "long", 1, 11);
  stat(59998, "long", 0, 12);
  stat(50000, "long", 1, 13); // streamed: without a completion
  stat(40000, "long", 1, 14);
  stat(39990, "long", 0, 15);
  stat(30000, "lonely", 0, 16);
  const stats = nexusai_stats(old_file(neap, "stats.db"), { chat_stats: rows,
    chat_messages: [{ content: "hello", role: "assistant", conversation_id: "long" }] });
  const said = await imported(t, neap, [config, stats]);
  assert.match(said, /154 rounds of chat_stats, as records/);
  assert.match(said, /rows of chat_messages: 1/);

  const total = ask(stats, `SELECT count(DISTINCT conversation_id) AS total_conversations,
    sum(tokens_count) FILTER (WHERE is_prompt) AS prompt_tokens,
    sum(tokens_count) FILTER (WHERE NOT is_prompt) AS completion_tokens,
    sum(tokens_count) AS total_tokens FROM chat_stats`);
  assert.deepEqual(await call("/stats/total"), { ...total, total_rounds: 154 });
  const long = await call("/stats/conversation/long");
  assert.deepEqual([long.rounds, long.prompt_tokens, long.completion_tokens, long.total_tokens],
    [3, 38, 27, 65]);
  assert.deepEqual(long.messages.map((one) => [one.role, one.tokens_count]),
    [["user", 11], ["assistant", 12], ["user", 13], ["assistant", 0], ["user", 14],
      ["assistant", 15]]);
  const list = await records(call, "conversation=long");
  assert.deepEqual(list.map((one) => [one.provider, one.model, one.ms, one.usage.estimate]),
    [["One", "org/model-a", 10000, true], ["One", "org/model-a", 0, true],
      ["One", "org/model-a", 2000, true]]);
  const by = await call(
    "/api/v1/statistics/breakdown?by=provider&from=2020-01-01T00:00:00Z");
  assert.deepEqual(by.values.map((one) => [one.value, one.requests, one.usage.total]),
    [["One", 154, total.total_tokens]]);

  // Its second file alone finds the providers of the first import.
  rows.push({ ...rows.at(-1), conversation_id: "late" });
  const later = nexusai_stats(old_file(neap, "later.db"), { chat_stats: rows });
  assert.match(await imported(t, neap, [later]), /1 round of chat_stats, as records/);
  assert.equal((await records(call, "conversation=late"))[0].provider, "One");
});

/* -- SiliconFlow API Proxy ---------------------------------------------------------------- */

test("SiliconFlow API Proxy: its log, overview and charts", async (t) => {
  const { neap, call } = await empty(t);
  const keys = ["sk-silicon-pool-000001", "sk-silicon-pool-000002"];
  const logs = [];
  for (let id = 1; id <= 230; id++)
    logs.push({ used_key: keys[id % 3 ? 0 : 1], model: id % 4 ? "Qwen/Qwen3-8B" : "deepseek",
      call_time: NOW - 100 - (230 - id) * 997.25, input_tokens: 3 * id, output_tokens: id,
      total_tokens: 4 * id });
  logs.push({ used_key: "sk-is-there-no-more-01", model: "deepseek", call_time: NOW - 90,
    input_tokens: 1, output_tokens: 2, total_tokens: 3 });
  const pool = siliconflow(old_file(neap, "pool.db"), {
    api_keys: keys.map((key) => ({ key, add_time: 1760000000, balance: 5, usage_count: 1,
      enabled: 1 })), logs });
  const said = await imported(t, neap, [pool]);
  assert.match(said, /231 rows of logs, as records/);

  const old = ask(pool, `SELECT count(*) AS calls, sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out, 0 AS cost FROM logs`);
  await assert_sums(call, old);
  const seen = await call("/api/stats/overview");
  assert.deepEqual([seen.total_calls, seen.total_tokens],
    [old.calls, old.tokens_in + old.tokens_out]);
  const first = await call("/logs?page=1");
  assert.equal(first.total, old.calls);
  const line = (one) => [one.api_key, one.model, one.call_time, one.input_tokens,
    one.output_tokens, one.total_tokens];
  const shown = (one) => [keys.includes(one.used_key) ? `sk-…${one.used_key.slice(-4)}` : "",
    one.model, one.call_time, one.input_tokens, one.output_tokens, one.total_tokens];
  assert.deepEqual(first.logs.map(line), logs.slice(-10).reverse().map(shown));
  const found = await call("/logs?page=2&model=DEEP");
  assert.equal(found.total, ask(pool, "SELECT count(*) AS n FROM logs WHERE model = 'deepseek'").n);
  assert.ok(found.logs.every((one) => one.model === "deepseek"));
  const month = await call("/api/stats/monthly?zone=UTC");
  for (const [index, label] of month.labels.entries()) {
    const day = ask(pool, `SELECT count(*) AS n, coalesce(sum(input_tokens), 0) AS tokens FROM logs
      WHERE date(call_time, 'unixepoch') = strftime('%Y-%m-', 'now') || printf('%02d', ${label})`);
    assert.deepEqual([month.calls[index], month.input_tokens[index]], [day.n, day.tokens], label);
  }
  const group = await records(call, "group=deepseek");
  assert.equal(group.length, found.total);
});

/* -- one-api, new-api --------------------------------------------------------------------- */

function api_rows(up, log) {
  const token = (id, name) => ({ id, name, user_id: 1, unlimited_quota: 1,
    key: `${name}${"0".repeat(48 - name.length)}` });
  const logs = [];
  for (let id = 1; id <= 90; id++)
    logs.push({ id, user_id: 1, type: id % 9 ? 2 : 1, created_at: NOW - 100 - (90 - id) * 500,
      token_name: id % 2 ? "left" : "right", model_name: id % 5 ? "gpt-a" : "alias",
      quota: id * 3, prompt_tokens: id * 2, completion_tokens: id, channel_id: id % 6 ? 1 : 77,
      is_stream: id % 4 === 0 ? 1 : 0, ...log(id) });
  return {
    channels: [{ id: 1, name: "low", key: "sk-channel-low-00001", type: 1, base_url: up.root,
      models: "gpt-a,alias", model_mapping: '{"alias": "real-name"}' }],
    users: [{ id: 1, username: "root" }],
    tokens: [token(1, "left"), token(2, "right")],
    options: [],
    logs,
  };
}

for (const [name, make, log] of [
  ["one-api", one_api, (id) => ({ elapsed_time: id * 10 })],
  ["new-api", new_api, (id) => ({ use_time: id, token_id: id % 2 ? 1 : 2, group: "default" })],
])
  test(`${name}: calls with their tokens and what they cost`, async (t) => {
    const up = await upstream(t);
    const { neap, call } = await empty(t);
    const file = make(old_file(neap, "one-api.db"), api_rows(up, log));
    const said = await imported(t, neap, [file]);
    assert.match(said, /80 rows of logs, as records/);
    assert.match(said, /rows of logs that are no calls: 10/);
    await assert_sums(call, ask(file, `SELECT count(*) AS calls, sum(prompt_tokens) AS tokens_in,
      sum(completion_tokens) AS tokens_out, sum(quota) * 2 AS cost FROM logs WHERE type = 2`));
    const [newest] = await records(call, "token=right");
    assert.deepEqual([newest.provider, newest.model, newest.target_model, newest.group, newest.ms,
      newest.stream], ["low", "gpt-a", "gpt-a", "gpt-a", name === "one-api" ? 880 : 88000, true]);
    const [mapped] = await records(call, "model=alias&provider=low");
    assert.equal(mapped.target_model, "real-name");
    assert.equal((await records(call, "token=left")).length,
      ask(file, "SELECT count(*) AS n FROM logs WHERE type = 2 AND token_name = 'left'").n);
    assert.doesNotMatch(await imported(t, neap, [file]), /as records/);
  });

test("a log without the columns that it should have is told, and the rest is carried", async (t) => {
  const { neap, call } = await empty(t);
  const file = database(old_file(neap, "pool.db"), {
    api_keys: { columns: "key TEXT PRIMARY KEY, balance REAL, usage_count INTEGER",
      rows: [{ key: "sk-silicon-pool-000001", balance: 1, usage_count: 0 }] },
    logs: { columns: "id INTEGER PRIMARY KEY, model TEXT", rows: [{ model: "m" }] },
  });
  const said = await imported(t, neap, [file]);
  assert.match(said, /rows of logs: 1: they have no time/);
  assert.equal((await overview(call)).requests, 0);
});
