/* A wall clock that jumps while neap runs: timers do not notice, streams go on, and records
 * stay in the order in which they ended. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, open_chat, say } from "./support/client.mjs";
import { can_fail, clock } from "./support/faults.mjs";
import { group, provider } from "./support/lua.mjs";
import { latch, patience, until, within } from "./support/story.mjs";
import { DONE, SILENCE, chunk, finish, role, stream, upstream } from "./support/upstream.mjs";

const JUMPS = ["+1h", "-1h", "+1y", "+0", "-1y", "+0"];
const EVER = "from=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z";
const IDLE_SECONDS = patience(2);

async function serve_on(t, wall) {
  const up = await upstream(t);
  const timeouts = { first_byte: 20, first_event: 20, idle: 20, total: 40 };
  const neap = await serve_admin(
    t,
    [
      provider("a", up, { timeouts }),
      provider("b", up, { timeouts: { ...timeouts, idle: IDLE_SECONDS } }),
      group("pool", ["a"]),
      group("idle", ["b"]),
    ].join(""),
    { env: wall.env, first: { workers: "2" } },
  );
  neap.as = await neap.admin.token("read");
  neap.read = async (path) => {
    const seen = await neap.admin.call(path, { as: neap.as });
    assert.equal(seen.status, 200, `${path}: ${seen.text}`);
    return seen.json;
  };
  /* Those of all time, in the order of the journal. */
  neap.records = async () =>
    (await neap.read(`/api/v1/records?order=oldest&limit=200&${EVER}`)).items;
  neap.asked = [];
  /* Waits for its record, so that the order is known. */
  neap.note = async (seen) => {
    neap.asked.push(seen.headers["x-request-id"]);
    await until(
      async () => (await neap.records()).length === neap.asked.length,
      () => `record ${neap.asked.length}; the log ends with\n${neap.tail()}`,
    );
  };
  return { up, neap };
}

async function ask(neap) {
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 200, seen.text);
  await neap.note(seen);
}

/* A stream that has begun before the jump and ends after it. */
async function ask_over(neap, up, jump) {
  const go = latch();
  up.next(stream(role(), chunk("before"), go, chunk(" after"), finish(), DONE));
  const streamed = await open_chat(neap, say("pool", { stream: true }));
  await streamed.has("before");
  jump();
  await ask(neap);
  go.release();
  await streamed.whole();
  assert.ok(streamed.is_complete && streamed.text.includes(" after"));
  assert.ok(streamed.events.includes("[DONE]"));
  await neap.note(streamed);
}

async function check(neap) {
  const records = await neap.records();
  assert.deepEqual(
    records.map((one) => one.request_id),
    neap.asked,
    "in the order in which they ended",
  );
  assert.equal(new Set(records.map((one) => one.id)).size, records.length);
  for (const one of records) {
    assert.ok(one.ms < within(10000), `a request of ${one.ms} ms`);
    const alone = await neap.read(`/api/v1/records/${one.id}`);
    assert.equal(alone.request_id, one.request_id);
  }
  const sums = await neap.read(`/api/v1/statistics/overview?${EVER}`);
  assert.equal(sums.requests, records.length);
  assert.equal(sums.ok, records.filter((one) => one.outcome === "ok").length);
}

test("a clock that jumps", { skip: !can_fail }, async (t) => {
  const wall = clock(t);
  const { up, neap } = await serve_on(t, wall);
  await ask(neap);
  for (const offset of JUMPS) {
    await ask_over(neap, up, () => wall.set(offset));
    await ask(neap);
  }
  await check(neap);

  await t.test("a stream that stalls is ended in time, wherever the clock goes", async () => {
    up.next(stream(role(), chunk("before"), SILENCE));
    const began = performance.now();
    const streamed = await open_chat(neap, say("idle", { stream: true }));
    await streamed.has("before");
    wall.set("-1h");
    await streamed.whole();
    const ms = performance.now() - began;
    assert.ok(ms > IDLE_SECONDS * 900 && ms < IDLE_SECONDS * 1000 + within(2000), `${ms} ms`);
    await neap.note(streamed);
  });

  await t.test("neap starts again with a clock that is behind", async () => {
    await neap.stop();
    wall.set("-1y");
    await neap.start();
    await neap.admin.ready();
    await ask(neap);
    wall.set("+0");
    await ask(neap);
    await check(neap);
  });
});

test("a clock that leaps ahead removes nothing", { skip: !can_fail }, async (t) => {
  const wall = clock(t);
  const { neap } = await serve_on(t, wall);
  const write = await neap.admin.token("write");
  const retention = async () =>
    (await neap.read("/api/v1/jobs")).items.find((job) => job.name === "retention");
  /* Has what is too old removed, and tells what came of it. */
  async function run_retention() {
    const path = "/api/v1/jobs/retention/run";
    const { runs } = await retention();
    const seen = await neap.admin.call(path, { method: "POST", as: write });
    assert.ok([202, 409].includes(seen.status), seen.text);
    return until(
      async () => {
        const job = await retention();
        return job.runs > runs && !job.running && job.last;
      },
      () => "the job to end",
    );
  }
  await ask(neap);
  assert.match((await run_retention()).text, /^0 records, 0 bodies removed$/);
  wall.set("+1y");
  assert.match((await run_retention()).text, /^the clock went ahead by more than a day/);
  await ask(neap);
  assert.equal((await neap.records()).length, 2);
  wall.set("+0");
  assert.match((await run_retention()).text, /^0 records, 0 bodies removed$/);
  assert.equal((await neap.records()).length, 2);
});
