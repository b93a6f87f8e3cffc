/* What the admin side shows of requests, and a request of an administrator's own. */
import test from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { serve_admin } from "./support/admin.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { root } from "./support/neap.mjs";
import { later, until } from "./support/story.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";
import { chat, open, say } from "./support/client.mjs";

const PLAYGROUND = "/api/v1/playground/chat";

/* Two targets, of which the first always fails. */
async function serve_two(t) {
  const bad = await upstream(t);
  const good = await upstream(t);
  bad.always(error(503, "later"));
  good.always(answer("from the second"));
  const neap = await serve_admin(
    t,
    provider("bad", bad) + provider("good", good) + group("two", ["bad", "good"], { policies: NO_BREAKER }),
  );
  neap.read = await neap.admin.token("read");
  neap.write = await neap.admin.token("write");
  return neap;
}

test("the playground asks what a client would get", async (t) => {
  const neap = await serve_two(t);
  const ask = (body, as = neap.write) => neap.admin.call(PLAYGROUND, { as, body });

  for (const stream of [false, true]) {
    const got = await ask(say("two", { stream }));
    assert.equal(got.status, 200, got.text);
    assert.equal(got.content, "from the second");
    assert.match(got.headers["x-neap-trace"], /bad\/.*503.*good\//);
    assert.equal(got.headers["x-content-type-options"], "nosniff");
    const line = await neap.line(got);
    assert.equal(line.provider, "good");
    assert.match(got.headers["x-neap-record"], /^[0-9a-f-]{36}$/);
  }
  const unknown = await ask(say("nobody"));
  assert.equal(unknown.status, 404);
  assert.equal(unknown.json.error.code, "model_not_found");
  assert.equal((await ask(say("two"), neap.read)).status, 403);

  /* One that leaves in the middle, and a reload, disturb nothing. */
  await neap.reload();
  assert.equal((await ask(say("two"))).content, "from the second");
});

/* README's own lines for the admin side, with the ports of this neap. */
function readme_lines(neap) {
  const text = readFileSync(`${root}/README.md`, "utf8");
  return text
    .split("\n")
    .filter((line) => /^ {4}curl .*8081\/api\//.test(line))
    .map((line) => line.trim().replaceAll("127.0.0.1:8081", `127.0.0.1:${neap.admin.at.port}`));
}

/* A line of shell, running; its output so far is .text. */
function shell(t, line, env) {
  const child = spawn("sh", ["-c", `exec ${line}`], { env: { ...process.env, ...env } });
  const running = { text: "" };
  child.stdout.on("data", (data) => {
    running.text += data;
  });
  running.ended = new Promise((resolve) => child.on("close", resolve));
  later(t, async () => {
    child.kill();
    await running.ended;
  });
  return running;
}

test("the README's curl lines show a page of records, the overview and the live tail", async (t) => {
  const neap = await serve_two(t);
  const env = { ADMIN_TOKEN: neap.read };
  const [page_line, overview_line, tail_line, ...more] = readme_lines(neap);
  assert.ok(page_line && overview_line && tail_line);
  assert.deepEqual(more, []);
  const first = await chat(neap, say("two"));
  const shown = async (line) => {
    const running = shell(t, line, env);
    assert.equal(await running.ended, 0, line);
    return JSON.parse(running.text);
  };
  const page = await until(async () => {
    const { items } = await shown(page_line);
    return items.length === 1 && items;
  }, "the record in README's page");
  assert.equal(page[0].request_id, first.headers["x-request-id"]);
  assert.equal(page[0].provider, "good");
  assert.equal((await shown(overview_line)).requests, 1);

  const tail = shell(t, tail_line, env);
  await until(() => tail.text.startsWith(":"), "the tail to begin");
  const next = await chat(neap, say("two"));
  await until(() => tail.text.includes(next.headers["x-request-id"]), "the request in the tail");
  assert.match(tail.text, /^event: record$/m);
});

const path = (rest) => `/api/v1/records${rest}`;

test("records, statistics, conversations and metrics of the same requests", async (t) => {
  const neap = await serve_two(t);
  const read = (where) => neap.admin.call(where, { as: neap.read });
  const headers = { "x-conversation-id": "talk-1" };
  for (let index = 0; index < 3; index++) await chat(neap, say("two"), headers);
  await chat(neap, say("nobody"));
  const tried = await neap.admin.call(PLAYGROUND, { as: neap.write, body: say("two") });

  let page;
  await until(
    async () => {
      page = (await read(path("?limit=10"))).json;
      return page.items.length === 5;
    },
    () => `five records: ${JSON.stringify(page)}`,
  );
  assert.equal(page.items[0].id, tried.headers["x-neap-record"]);
  assert.equal(page.items[0].origin, "test");

  await t.test("pages and filters", async () => {
    const first = (await read(path("?limit=3"))).json;
    const rest = (await read(path(`?limit=3&cursor=${first.next_cursor}`))).json;
    const ids = [...first.items, ...rest.items].map((item) => item.id);
    assert.deepEqual(
      ids,
      page.items.map((item) => item.id),
    );
    assert.equal((await read(path("?status=4xx"))).json.items.length, 1);
    assert.equal((await read(path("?origin=client&group=two"))).json.items.length, 3);
    assert.equal((await read(path("?provider=bad"))).json.items.length, 4);
    assert.equal((await read(path("?from=2030-01-01T00:00:00Z"))).json.items.length, 0);
    assert.equal((await read(path("?cursor=x"))).status, 400);
  });

  await t.test("one, with its attempts", async () => {
    const one = (await read(path(`/${page.items[0].id}`))).json;
    assert.deepEqual(
      one.attempts.map((attempt) => attempt.provider),
      ["bad", "good"],
    );
    assert.ok("trace" in one && "raw_usage" in one && "error" in one);
    assert.equal((await read(path("/00000000-0000-7000-8000-000000000000"))).status, 404);
  });

  await t.test("exports", async () => {
    const lines = (await read(path("/export?order=oldest"))).text.trim().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).id),
      page.items.map((item) => item.id).reverse(),
    );
    const csv = (await read(path("/export?format=csv"))).text.trimEnd().split("\r\n");
    assert.equal(csv.length, 6);
  });

  await t.test("the numbers are those of the records", async () => {
    const sums = (await read("/api/v1/statistics/overview")).json;
    const tokens = page.items.reduce(
      (sum, item) => sum + (item.usage ? item.usage.in_fresh + item.usage.out_total : 0),
      0,
    );
    assert.equal(sums.requests, 5);
    assert.equal(sums.ok, 4);
    assert.equal(sums.usage.total, tokens);
    const series = (await read("/api/v1/statistics/series?step=hour&zone=Asia/Kolkata")).json;
    assert.equal(
      series.spans.reduce((sum, span) => sum + span.requests, 0),
      5,
    );
    // An answer of a megabyte: 89 days by hours.
    const from = new Date(Date.now() - 89 * 86_400_000).toISOString();
    const long = (await read(`/api/v1/statistics/series?step=hour&from=${from}`)).json;
    assert.ok(long.spans.length > 89 * 24 - 2);
    assert.equal(
      long.spans.reduce((sum, span) => sum + span.requests, 0),
      5,
    );
    const parts = (await read("/api/v1/statistics/breakdown?by=provider")).json;
    assert.equal(parts.values.find((one) => one.value === "good").requests, 4);
    assert.equal(parts.total.requests, 5);
    const metrics = (await read("/metrics")).text;
    assert.match(metrics, /^neap_requests_total\{outcome="ok"\} 4$/m);
    assert.match(metrics, /^neap_provider_requests_total\{provider="good",outcome="ok"\} 4$/m);
    assert.match(metrics, /^neap_journal_up 1$/m);
  });

  await t.test("conversations", async () => {
    const list = (await read("/api/v1/conversations")).json;
    assert.ok(list.items.some((item) => item.id === "talk-1"));
    const one = (await read("/api/v1/conversations/talk-1")).json;
    assert.equal(one.totals.requests, 3);
    assert.equal(one.items.length, 3);
  });

  await t.test("the tail shows a request when it ends", async () => {
    const tail = await open(neap.admin.at, path("/tail"), {
      headers: { authorization: `Bearer ${neap.read}` },
    });
    await until(
      () => tail.text.startsWith(":"),
      () => "the tail to begin",
    );
    const got = await chat(neap, say("two"));
    await until(
      () => tail.text.includes(got.headers["x-request-id"]),
      () => `the record in the tail: ${tail.text}`,
    );
    assert.equal(tail.events.length, 1);
    tail.request.destroy();
  });
});
