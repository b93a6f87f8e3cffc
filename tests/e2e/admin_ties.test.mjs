/* All numbers that the admin side gives, its own and those on other systems' paths, are those of
 * the journal's records, to the unit: after a mixed run with a kill -9 in its middle. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, open_chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider, token } from "./support/lua.mjs";
import { start_again } from "./support/neap.mjs";
import { deep, patience, until } from "./support/story.mjs";
import {
  END,
  SILENCE,
  answer,
  chunk,
  completion,
  error,
  reply,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

const COUNT = deep ? 10000 : 1000;
const WIDTH = 8; // clients at once
const PRICE = { input: 2, output: 10, cached: 0.5 }; // USD per million tokens
const CLIENT = "sk-neap-client-of-ties-0001";
const KINDS = [
  "in_fresh",
  "cache_read",
  "cache_write_5m",
  "cache_write_1h",
  "in_audio",
  "out_total",
];

const CACHED = {
  ...completion("cached"),
  usage: {
    prompt_tokens: 100,
    completion_tokens: 7,
    total_tokens: 107,
    prompt_tokens_details: { cached_tokens: 60 },
  },
};

/* What the first provider does with a request that says so; the second only fails where both do. */
const FIRST = {
  whole: answer("whole"),
  streamed: answer("in some words"),
  retried: error(500, "ill"),
  failed: error(503, "ill"),
  refused: error(400, "no such thing"),
  cached: reply(200, CACHED),
  truncated: stream(role(), chunk("one"), END),
  aborted: stream(role(), chunk("one"), SILENCE),
};
const WAYS = Object.keys(FIRST);
const STREAMED = ["streamed", "truncated", "aborted"];

const way_of = (call) => call.json.messages[0].content;
const play = (script, call) => (typeof script === "function" ? script(call) : script);

async function ask(neap, index) {
  const way = WAYS[index % WAYS.length];
  const body = say("pool", {
    messages: [{ role: "user", content: way }],
    stream: STREAMED.includes(way),
  });
  const headers = { "x-conversation-id": `talk-${index % 10}` };
  if (index % 50 === 49)
    return chat(neap, body, { ...headers, authorization: "Bearer sk-nobody-0" });
  Object.assign(headers, { authorization: `Bearer ${CLIENT}` });
  if (way !== "aborted") return chat(neap, body, headers);
  const seen = await open_chat(neap, body, headers);
  await seen.has("one");
  seen.leave();
}

/* Requests number from to till, WIDTH at once. With kill_at, neap is killed when that many have
 * been asked; those that it takes with it do not count. */
async function mixed_run(neap, from, till, kill_at = Infinity) {
  let next = from,
    killed;
  const client = async () => {
    while (next < till && !killed) {
      await ask(neap, next++).catch((failure) => {
        if (!killed) throw failure;
      });
      if (next >= kill_at) await (killed ??= neap.kill());
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, client));
}

const sum = (list, value) => list.reduce((total, one) => total + value(one), 0);
const tokens_of = (one) => sum(KINDS, (kind) => one.usage?.[kind] ?? 0);
const in_of = (one) => tokens_of(one) - (one.usage?.out_total ?? 0);

const has_failed = (attempt) => attempt.failure !== null || attempt.status >= 400;

/* What a list of records comes to, in the words of the statistics. */
function sums_of(list) {
  const sums = { requests: list.length };
  for (const outcome of ["ok", "failed", "aborted", "truncated"])
    sums[outcome] = list.filter((one) => one.outcome === outcome).length;
  return Object.assign(sums, {
    streams: list.filter((one) => one.stream).length,
    attempts: sum(list, (one) => one.attempts.length),
    attempts_failed: sum(list, (one) => one.attempts.filter(has_failed).length),
    priced: list.filter((one) => one.cost_micros !== null).length,
    cost_micros: sum(list, (one) => one.cost_micros ?? 0),
    bytes_in: sum(list, (one) => one.bytes_in),
    bytes_out: sum(list, (one) => one.bytes_out),
  });
}

function assert_sums(got, list, what) {
  const expected = sums_of(list);
  for (const name of Object.keys(expected))
    if (name in got) assert.equal(got[name], expected[name], `${what}: ${name}`);
  assert.equal(got.requests, list.length, what);
  for (const kind of KINDS)
    assert.equal(
      got.usage[kind],
      sum(list, (one) => one.usage?.[kind] ?? 0),
      `${what}: ${kind}`,
    );
  assert.equal(got.usage.total, sum(list, tokens_of), `${what}: tokens`);
}

async function serve_mixed(t) {
  const first = await upstream(t),
    second = await upstream(t);
  first.always((call) => play(FIRST[way_of(call)], call));
  second.always((call) => (way_of(call) === "failed" ? error(503, "ill, too") : answer("b")(call)));
  const neap = await serve_admin(
    t,
    [
      provider("a", first, { models: { m: PRICE } }),
      provider("b", second, { models: { m: PRICE } }),
      group("pool", ["a", "b"], { policies: NO_BREAKER }),
      token("story", { secret: CLIENT }),
    ].join(""),
    { is_left: true, first: { workers: "2" } },
  );
  neap.as = await neap.admin.token("read");
  return neap;
}

test(
  `${COUNT} mixed requests with a kill in the middle: every number is the journal's`,
  {
    timeout: patience(150000),
  },
  async (t) => {
    const neap = await serve_mixed(t);
    const read = async (path) => {
      const got = await neap.admin.call(path, { as: neap.as });
      assert.equal(got.status, 200, `${path}: ${got.text}`);
      return got;
    };
    const json = async (path) => (await read(path)).json;

    await mixed_run(neap, 0, COUNT, COUNT / 2);
    const before = neap.requests().length;
    await start_again(neap, neap.options);
    await neap.admin.ready();
    await mixed_run(neap, COUNT / 2, COUNT);
    await neap.settled();
    await until(
      async () => (await neap.health()).neap.journal.written === neap.requests().length - before,
      "all records to be written",
    );

    const all = (await read("/api/v1/records/export")).text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const lines = neap.requests().map((line) => line.id);
    const found = new Set(all.map((one) => one.request_id));
    assert.equal(found.size, all.length, "no record is there twice");
    assert.ok(
      lines.slice(0, before).some((id) => found.has(id)),
      "records of before the kill",
    );
    assert.deepEqual(
      lines.slice(before).filter((id) => !found.has(id)),
      [],
      "all records of after it",
    );
    for (const outcome of ["ok", "failed", "aborted", "truncated"])
      assert.ok(
        all.some((one) => one.outcome === outcome),
        outcome,
      );
    const year = "from=2026-01-01T00:00:00Z";

    await t.test("records, page by page", async () => {
      const ids = [];
      let cursor = "";
      do {
        const page = await json(`/api/v1/records?limit=200${cursor}`);
        ids.push(...page.items.map((one) => one.id));
        cursor = page.next_cursor && `&cursor=${page.next_cursor}`;
      } while (cursor);
      assert.deepEqual(
        ids,
        all.map((one) => one.id),
      );
    });

    await t.test("overview, series and breakdowns", async () => {
      assert_sums(await json(`/api/v1/statistics/overview?${year}`), all, "overview");
      for (const step of ["hour", "day", "month"]) {
        const { spans } = await json(`/api/v1/statistics/series?step=${step}`);
        for (const name of ["requests", "ok", "failed", "cost_micros"])
          assert.equal(
            sum(spans, (one) => one[name]),
            sums_of(all)[name],
            `${step}: ${name}`,
          );
      }
      for (const by of ["provider", "group", "token", "endpoint", "key"]) {
        const { values, total } = await json(`/api/v1/statistics/breakdown?by=${by}&${year}`);
        assert_sums(total, all, `by ${by}`);
        for (const one of values) {
          const own = all.filter((record) => (record[by] ?? "") === (one.value ?? ""));
          // A provider's and a key's attempts are those at it, whoever answered in the end.
          const tries = all.flatMap((record) =>
            record.attempts.filter((each) => each[by] === one.value),
          );
          const { attempts, attempts_failed, ...rest } = one;
          const at = by === "provider" || by === "key" ? tries : own.flatMap((each) => each.attempts);
          assert.deepEqual([attempts, attempts_failed], [at.length, at.filter(has_failed).length]);
          assert_sums(rest, own, `${by} ${one.value}`);
        }
        assert.equal(
          sum(values, (one) => one.requests),
          all.length,
          by,
        );
      }
    });

    await t.test("conversations", async () => {
      for (let index = 0; index < 10; index++) {
        const one = await json(`/api/v1/conversations/talk-${index}`);
        const own = all.filter((record) => record.conversation === one.id);
        assert_sums(one.totals, own, one.id);
      }
    });

    await t.test("metrics", async () => {
      const { text } = await read("/metrics");
      const value = (line) => {
        const found = text.split("\n").find((one) => one.startsWith(`${line} `));
        assert.ok(found, line);
        return Number(found.split(" ").at(-1));
      };
      const sums = sums_of(all);
      for (const outcome of ["ok", "failed", "aborted", "truncated"])
        assert.equal(value(`neap_requests_total{outcome="${outcome}"}`), sums[outcome], outcome);
      assert.equal(value("neap_attempts_total"), sums.attempts);
      assert.equal(Math.round(value("neap_cost_usd_total") * 1e6), sums.cost_micros);
      for (const kind of KINDS) {
        const of_a = all.filter((one) => one.provider === "a");
        assert.equal(
          value(`neap_tokens_total{provider="a",kind="${kind}"}`),
          sum(of_a, (one) => one.usage?.[kind] ?? 0),
          kind,
        );
      }
    });

    await t.test("the paths of SiliconFlow API Proxy", async () => {
      const overview = await json("/api/stats/overview");
      assert.equal(overview.total_calls, all.length);
      assert.equal(overview.total_tokens, sum(all, tokens_of));
      for (const span of ["daily", "monthly"]) {
        const charts = await json(`/api/stats/${span}`);
        const total = (name) => sum(charts[name], (one) => one);
        assert.equal(total("calls"), all.length, span);
        assert.equal(total("input_tokens"), sum(all, in_of), span);
        assert.equal(
          total("output_tokens"),
          sum(all, (one) => one.usage?.out_total ?? 0),
          span,
        );
        assert.equal(total("model_tokens"), sum(all, tokens_of), span);
      }
      const logs = await json("/logs");
      assert.equal(logs.total, all.length);
      assert.deepEqual(
        logs.logs.map((one) => [one.total_tokens, one.input_tokens]),
        all.slice(0, logs.logs.length).map((one) => [tokens_of(one), in_of(one)]),
      );
    });

    await t.test("the paths of NiceAPI", async () => {
      const sums = sums_of(all);
      const { summary, daily_calls, model_distribution } = await json("/api/dashboard/stats");
      assert.equal(summary.total_calls, all.length);
      assert.equal(summary.total_tokens, sum(all, tokens_of));
      assert.equal(Math.round(summary.total_cost * 1e4), Math.round(sums.cost_micros / 100));
      assert.equal(
        sum(daily_calls.values, (one) => one),
        all.length,
      );
      assert.equal(
        sum(model_distribution, (one) => one.value),
        all.filter((one) => one.model).length, // a stranger's is not looked at
      );
      for (const [filter, fits] of [
        ["", () => true],
        ["&filter_success=true", (one) => one.outcome === "ok"],
        ["&filter_success=false", (one) => one.outcome !== "ok"],
      ]) {
        const logs = await json(`/api/logs/?limit=50${filter}`);
        const own = all.filter(fits);
        assert.equal(logs.total, own.length, filter);
        assert.deepEqual(
          logs.items.map((one) => [one.id, one.total_tokens, one.status_code]),
          own.slice(0, 50).map((one) => [one.id, tokens_of(one), one.status]),
        );
      }
    });

    await neap.stop();
  },
);
