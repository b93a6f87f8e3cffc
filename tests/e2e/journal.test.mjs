/* The journal: each request leaves its record, which is found again as it was. */
import test from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { serve_admin } from "./support/admin.mjs";
import { chat, get, open_chat, say, start } from "./support/client.mjs";
import { NO_BREAKER, group, provider, token } from "./support/lua.mjs";
import { start_again } from "./support/neap.mjs";
import { deep, until, within } from "./support/story.mjs";
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

const PRICE = { input: 2, output: 10 }; // USD per million tokens
const TOKEN = "sk-neap-journal-story-0001";
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };

/* Two providers and a pool that tries them in turn; `admin` reads the journal. */
async function pool(t, fields = {}) {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve_admin(
    t,
    [
      provider("a", first, { models: { m: PRICE } }),
      provider("b", second, { models: { m: PRICE } }),
      group("pool", ["a", "b"], { policies: NO_BREAKER }),
      token("story", { secret: TOKEN }),
    ].join(""),
    fields,
  );
  neap.as = await neap.admin.token("read");
  return { first, second, neap };
}

async function read(neap, path) {
  const answer = await neap.admin.call(path, { as: neap.as });
  assert.equal(answer.status, 200, `${path}: ${answer.text}`);
  return answer.json;
}

/* All records that fit, page by page. */
async function records(neap, query = {}) {
  const items = [];
  let cursor;
  do {
    const asked = new URLSearchParams({ limit: 200, ...query, ...(cursor ? { cursor } : {}) });
    const page = await read(neap, `/api/v1/records?${asked}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/* The record of an x-request-id, once it is written, as the page and alone. */
async function record(neap, id) {
  const found = await until(
    async () => (await records(neap, { text: id })).find((one) => one.request_id === id),
    () => `the record of ${id}; the log ends with\n${neap.tail()}`,
  );
  const alone = await read(neap, `/api/v1/records/${found.id}`);
  for (const [name, value] of Object.entries(found))
    assert.deepEqual(alone[name], value, `${name}, alone and on its page`);
  return alone;
}

const record_of = (neap, seen) => record(neap, seen.headers["x-request-id"]);

function assert_has(one, expected) {
  for (const [name, value] of Object.entries(expected)) assert.deepEqual(one[name], value, name);
}

test("records are found again with what the request was", async (t) => {
  const { first, second, neap } = await pool(t);

  await t.test("a whole answer", async () => {
    first.next(answer("hello"));
    const body = say("pool");
    const seen = await chat(neap, body, AUTHORIZED);
    const one = await record_of(neap, seen);
    assert_has(one, {
      token: "story",
      group: "pool",
      endpoint: "chat",
      dialect_in: "openai",
      dialect_out: "openai",
      model: "pool",
      provider: "a",
      target_model: "m",
      client: "127.0.0.1",
      status: 200,
      outcome: "ok",
      origin: "client",
      stream: false,
      cost_micros: 9 * PRICE.input + 2 * PRICE.output,
      bytes_in: Buffer.byteLength(JSON.stringify(body)),
      bytes_out: seen.body.length,
      generation: 1,
      error: null,
    });
    assert.equal(one.conversation, seen.headers["x-conversation-id"]);
    assert.equal(one.usage.in_fresh, 9);
    assert.equal(one.usage.out_total, 2);
    assert.equal(one.usage.estimate, false);
    assert.equal(one.raw_usage.prompt_tokens, 9);
    assert.equal(one.attempts.length, 1);
    assert_has(one.attempts[0], {
      provider: "a",
      model: "m",
      key: one.key,
      status: 200,
      failure: null,
      lost: false,
    });
    assert.ok(one.first_byte_ms <= one.ms && one.attempts[0].ms <= one.ms);
    assert.ok(Math.abs(one.start_us / 1000 - Date.now()) < 60000);
  });

  await t.test("a stream", async () => {
    const seen = await chat(neap, say("pool", { stream: true }), AUTHORIZED);
    const one = await record_of(neap, seen);
    assert_has(one, { outcome: "ok", stream: true, status: 200, provider: "a" });
    assert.equal(one.bytes_out, seen.body.length);
    assert.equal(one.usage.out_total, 2);
    assert.equal(one.trace, null);
  });

  await t.test("a retry, with its trace", async () => {
    first.next(error(500, "ill"));
    for (const is_streamed of [false, true]) {
      if (is_streamed) first.next(error(503, "too many"));
      const seen = await chat(neap, say("pool", { stream: is_streamed }), AUTHORIZED);
      const one = await record_of(neap, seen);
      assert_has(one, { outcome: "ok", provider: "b", status: 200 });
      assert.deepEqual(
        one.attempts.map((attempt) => `${attempt.provider} ${attempt.status}`),
        [`a ${is_streamed ? 503 : 500}`, "b 200"],
      );
      assert.match(one.trace, /attempt 1: a\/m/);
    }
  });

  await t.test("a failure", async () => {
    first.next(error(500, "ill"));
    second.next([END], [END]); // where a kept connection ends like this, libcurl asks again
    const seen = await chat(neap, say("pool"), AUTHORIZED);
    second.forget();
    assert.equal(seen.status, 502);
    const one = await record_of(neap, seen);
    assert_has(one, { outcome: "failed", status: 502, usage: null, cost_micros: null });
    assert.equal(one.attempts[1].status, null);
    assert.ok(one.attempts[1].failure);
    assert.ok(one.error.startsWith(one.attempts[1].failure), one.error);
    assert.match(one.trace, /attempt 2: b\/m/);
  });

  await t.test("a stream that breaks off", async () => {
    first.next(stream(role(), chunk("one"), END));
    const seen = await chat(neap, say("pool", { stream: true }), AUTHORIZED);
    const one = await record_of(neap, seen);
    assert_has(one, { outcome: "truncated", status: 200, stream: true });
    assert.equal(one.usage.estimate, true);
    assert.match(one.trace, /attempt 1: a\/m/);
  });

  await t.test("clients that leave", async () => {
    first.next(stream(role(), chunk("one"), SILENCE));
    const streamed = await open_chat(neap, say("pool", { stream: true }), AUTHORIZED);
    await streamed.has("one");
    streamed.leave();
    assert_has(await record_of(neap, streamed), { outcome: "aborted", status: 499 });

    first.forget();
    first.next([SILENCE]);
    const id = "left-before-its-answer";
    const asked = start(neap, "/v1/chat/completions", {
      body: say("pool"),
      headers: { ...AUTHORIZED, "x-request-id": id },
    });
    await first.call(0);
    asked.leave();
    const one = await record(neap, id);
    assert_has(one, { outcome: "aborted", status: 499, provider: "a" });
    assert.equal(one.attempts[0].status, null);
  });

  await t.test("strangers, and nobody who only watches", async () => {
    const seen = await chat(neap, say("pool"), { authorization: "Bearer sk-of-nobody-000000" });
    assert_has(await record_of(neap, seen), { outcome: "failed", status: 401, token: null });
    const before = (await records(neap)).length;
    for (const path of ["/health", "/readyz", "/healthz"]) await get(neap, path);
    const last = await chat(neap, say("pool"), AUTHORIZED);
    await record_of(neap, last);
    assert.equal((await records(neap)).length, before + 1);
  });

  await t.test("by what they have in common", async () => {
    const all = await records(neap);
    for (const [query, fits] of [
      [{ outcome: "failed" }, (one) => one.outcome === "failed"],
      [{ stream: true }, (one) => one.stream],
      [{ provider: "b" }, (one) => one.attempts.some((attempt) => attempt.provider === "b")],
      [{ status: "4xx" }, (one) => one.status >= 400 && one.status < 500],
      [{ origin: "client" }, () => true],
      [{ origin: "test" }, () => false],
    ]) {
      assert.deepEqual(
        (await records(neap, query)).map((one) => one.id),
        all.filter(fits).map((one) => one.id),
        JSON.stringify(query),
      );
    }
  });

  await t.test("health counts them", async () => {
    const { journal } = (await neap.health()).neap;
    assert.equal(journal.written, (await records(neap)).length);
    assert.equal(journal.dropped, 0);
    assert.equal(journal.error, undefined);
  });
});

/* What each of a mixed run's requests gets, in turn. */
const MIX = [
  (first) => first.next(answer("whole")),
  (first) => first.next(error(500, "ill")),
  (first, second) => {
    first.next(error(500, "ill"));
    second.next(error(503, "ill, too"));
  },
  (first) =>
    first.next(
      reply(200, {
        ...completion("cached"),
        usage: {
          prompt_tokens: 100,
          completion_tokens: 7,
          total_tokens: 107,
          prompt_tokens_details: { cached_tokens: 60 },
        },
      }),
    ),
  (first) => first.next(stream(role(), chunk("one"), END)),
];

const sum = (list, value) => list.reduce((total, one) => total + value(one), 0);

async function mixed_run({ first, second, neap }, count) {
  let begun = 0;
  for (; begun < count; begun++) {
    const step = begun % MIX.length;
    MIX[step](first, second);
    const is_streamed = step === 4 || begun % 7 === 0;
    await chat(neap, say("pool", { stream: is_streamed && step !== 3 }), AUTHORIZED);
  }
}

test("a thousand requests: records, statistics and the log say the same", async (t) => {
  const at = await pool(t);
  const { neap } = at;
  const began = Math.floor(Date.now() / 60000) * 60000;
  await mixed_run(at, 1000);
  await until(
    async () => (await neap.health()).neap.journal.written === 1000,
    "1,000 records to be written",
    20000,
  );
  const all = await records(neap);
  assert.equal(all.length, 1000);
  assert.equal(new Set(all.map((one) => one.id)).size, 1000);

  const lines = new Map(neap.requests().map((line) => [line.id, line]));
  for (const one of all) {
    const line = lines.get(one.request_id);
    assert.ok(line, `a line for ${one.request_id}`);
    assert.equal(line.outcome, one.outcome);
    assert.equal(line.status, one.status);
    assert.equal(line.ms, one.ms);
    assert.equal(line.attempts.length, one.attempts.length);
    assert.equal(line.usage?.completion, one.usage?.out_total);
    assert.equal(Math.round((line.cost ?? 0) * 1e6), one.cost_micros ?? 0);
  }

  const query = new URLSearchParams({ from: new Date(began).toISOString() });
  const stats = await read(neap, `/api/v1/statistics/overview?${query}`);
  assert.equal(stats.requests, 1000);
  for (const outcome of ["ok", "failed", "aborted", "truncated"])
    assert.equal(stats[outcome], all.filter((one) => one.outcome === outcome).length, outcome);
  assert.equal(stats.attempts, sum(all, (one) => one.attempts.length));
  assert.equal(stats.streams, all.filter((one) => one.stream).length);
  assert.equal(stats.cost_micros, sum(all, (one) => one.cost_micros ?? 0));
  assert.equal(stats.bytes_in, sum(all, (one) => one.bytes_in));
  assert.equal(stats.bytes_out, sum(all, (one) => one.bytes_out));
  for (const kind of ["in_fresh", "cache_read", "out_total"])
    assert.equal(
      stats.usage[kind],
      sum(all, (one) => one.usage?.[kind] ?? 0),
      kind,
    );
});

/* 50 ms, and what a disk that others use takes longer for a transaction. */
const LOST_MS = within(deep ? 50 : 300);

test("kill -9 loses at most the last moment, and the rest ties out", async (t) => {
  const at = await pool(t, { is_left: true });
  const { neap } = at;
  const began = new Date(Math.floor(Date.now() / 60000) * 60000).toISOString();
  for (let round = 0; round < 3; round++) {
    const before = neap.requests().length;
    const start = Date.now();
    while (Date.now() - start < LOST_MS * 1.5) await chat(neap, say("pool"), AUTHORIZED);
    const ended = neap.requests().slice(before);
    const killed = Date.now();
    await neap.kill();
    await start_again(neap, neap.options);
    await neap.admin.ready();
    const all = await records(neap);
    const found = new Set(all.map((one) => one.request_id));
    const old = ended.filter((line) => Date.parse(line.time) + line.ms < killed - LOST_MS);
    assert.ok(old.length > 0, "requests that ended long enough before the kill");
    assert.deepEqual(
      old.filter((line) => !found.has(line.id)),
      [],
    );
    const stats = await read(neap, `/api/v1/statistics/overview?from=${began}`);
    assert.equal(stats.requests, all.length, "statistics are written with the records");
  }
});

test("SIGTERM writes what is left", async (t) => {
  const { neap } = await pool(t);
  const ids = [];
  for (let asked = 0; asked < 20; asked++)
    ids.push((await chat(neap, say("pool"), AUTHORIZED)).headers["x-request-id"]);
  assert.equal(await neap.stop(), 0);
  await neap.start();
  await neap.admin.ready();
  const found = new Set((await records(neap)).map((one) => one.request_id));
  assert.deepEqual(
    ids.filter((id) => !found.has(id)),
    [],
  );
});

test("a full disk: requests go on, and records that are dropped are counted", async (t) => {
  const { neap } = await pool(t);
  await chat(neap, say("pool"), AUTHORIZED);
  const limit = (size) => execFileSync("prlimit", [`--pid=${neap.pid}`, `--fsize=${size}:unlimited`]);
  // Files are as large already as they may be: no page can be added.
  limit(4096);
  const from = neap.lines.length;
  const journal = await until(async () => {
    assert.equal((await chat(neap, say("pool"), AUTHORIZED)).status, 200);
    const { journal } = (await neap.health()).neap;
    return journal.dropped > 0 && journal;
  }, "a record that was dropped");
  assert.ok(journal.error, "the reason is shown");
  await neap.says(/records were dropped/, from);

  limit("unlimited");
  const seen = await chat(neap, say("pool"), AUTHORIZED);
  await record_of(neap, seen);
  assert.equal((await neap.health()).neap.journal.error, undefined);
});

test("with journal = false there are no records, and the log's line is as ever", async (t) => {
  const { first, neap } = await pool(t, { first: { journal: "false" } });
  const from = neap.lines.length;
  first.next(answer("hello"));
  assert.equal((await chat(neap, say("pool"), AUTHORIZED)).status, 200);
  await neap.says(/"outcome":"ok"/, from);
  assert.equal((await neap.health()).neap.journal, undefined);
  // What ends neap waits for all records that are to be written.
  await neap.admin.restart();
  assert.deepEqual(await records(neap), []);
});
