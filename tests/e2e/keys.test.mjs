/* key_rotation: turns, rests, disabled keys. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";

const KEYS = ["sk-key-one-000001", "sk-key-two-000002", "sk-key-three-0003"];
const three = { keys: KEYS.map((secret, index) => ({ secret, id: `k${index + 1}` })) };

/* Answers by key: { secret: script }; others get what a good provider says. */
const by_key = (scripts) => (call) => {
  const script = scripts[call.key] ?? answer("ok");
  return typeof script === "function" ? script(call) : script;
};
const keys_of = (up) => up.calls.map((call) => call.key);

async function pool(t, fields = three, first = {}, more = {}) {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up, fields) + group("pool", ["a"], more), { first });
  return { up, neap, ask: () => chat(neap, say("pool")) };
}

test("keys take turns, over all workers", async (t) => {
  const { up, ask } = await pool(t, three, { workers: 2 });
  for (let round = 0; round < 9; round++) assert.equal((await ask()).status, 200);
  const seen = keys_of(up);
  for (const key of KEYS)
    assert.equal(seen.filter((each) => each === key).length, 3, `each key three times: ${seen}`);
  for (let at = 0; at + 3 <= 9; at++) {
    assert.equal(
      new Set(seen.slice(at, at + 3)).size,
      3,
      `three neighbours are three keys: ${seen}`,
    );
  }
});

test("429 with retry-after rests that key and only that; the next one answers", async (t) => {
  const { up, neap, ask } = await pool(t);
  up.always(by_key({ [KEYS[1]]: error(429, "slow down", { "retry-after": "600" }) }));
  for (let round = 0; round < 9; round++) {
    const seen = await ask();
    assert.equal(seen.status, 200, seen.text);
  }
  assert.equal(
    keys_of(up).filter((key) => key === KEYS[1]).length,
    1,
    "the resting key was asked once",
  );
  const line = await until(
    () => neap.requests().find((each) => each.attempts.length === 2),
    "the log line of the request that took two keys",
  );
  assert.equal(line.attempts[0].status, 429);
  assert.match(line.attempts[0].key, /k2/);
  assert.doesNotMatch(line.key, /k2/);
});

test("a rest ends after retry-after", async (t) => {
  const { up, ask } = await pool(t, { keys: [{ secret: KEYS[0], id: "k1" }] });
  up.next(error(429, "slow down", { "retry-after": "1" }));
  const rested_at = performance.now();
  assert.equal((await ask()).status, 429);
  let seen;
  do seen = await ask();
  while (seen.status === 429 && performance.now() - rested_at < 10000);
  assert.equal(seen.status, 200, seen.text);
  const took = performance.now() - rested_at;
  assert.ok(took > 900, `the key rested for ${took} ms`);
  assert.equal(up.calls.length, 2, "it was not asked while it rested");
});

test("401 disables the key; the request goes on with the next", async (t) => {
  const { up, neap, ask } = await pool(t);
  up.always(by_key({ [KEYS[0]]: error(401, "invalid key") }));
  for (let round = 0; round < 9; round++) assert.equal((await ask()).status, 200);
  assert.equal(keys_of(up).filter((key) => key === KEYS[0]).length, 1);
  assert.ok(!neap.text().includes(KEYS[0]), "the log names it by its id only");
});

test("5xx says nothing about a key", async (t) => {
  const { up, ask } = await pool(t, { keys: [{ secret: KEYS[0], id: "k1" }] });
  up.next(error(500, "ill"), error(503, "ill"));
  assert.equal((await ask()).status, 500);
  assert.equal((await ask()).status, 503);
  assert.equal((await ask()).status, 200);
});

test("the client's own mistakes say nothing about a key", async (t) => {
  const { up, ask } = await pool(t, { keys: [{ secret: KEYS[0], id: "k1" }] });
  up.next(error(400, "bad"), error(413, "big"), error(422, "no"));
  for (const status of [400, 413, 422]) assert.equal((await ask()).status, status);
  assert.equal((await ask()).status, 200);
  assert.equal(up.calls.length, 4);
});

test("all keys resting: 429 with the smallest wait, and no provider is asked", async (t) => {
  const { up, ask } = await pool(t, three, {}, {
    policies: ["priority_failover", use("key_rotation", { tries: 3 })],
  });
  up.always(
    by_key({
      [KEYS[0]]: error(429, "slow down", { "retry-after": "600" }),
      [KEYS[1]]: error(429, "slow down", { "retry-after": "300" }),
      [KEYS[2]]: error(429, "slow down", { "retry-after": "900" }),
    }),
  );
  assert.equal((await ask()).status, 429);
  const calls = up.calls.length;
  assert.equal(calls, 3, "the first request tried all three");
  const seen = await ask();
  assert.equal(seen.status, 429, seen.text);
  assert.equal(up.calls.length, calls);
  const wait = Number(seen.headers["retry-after"]);
  assert.ok(wait > 280 && wait <= 300, `retry-after is ${seen.headers["retry-after"]}`);
  assert.equal(seen.headers["x-should-retry"], "false");
  assert.equal(seen.json.error.type, "rate_limit_error");
});

test("tries limits how many keys one request uses", async (t) => {
  const up = await upstream(t);
  up.always(error(429, "slow down", { "retry-after": "60" }));
  const neap = await serve(
    t,
    provider("a", up, three) +
      `group "pool" { policies = { "priority_failover", use("key_rotation", { tries = 2 }) }, targets = { { "a", "m" } } }\n`,
  );
  assert.equal((await chat(neap, say("pool"))).status, 429);
  assert.equal(up.calls.length, 2);
});

test("a resting key outlives a reload", async (t) => {
  const { up, neap, ask } = await pool(t);
  up.always(by_key({ [KEYS[1]]: error(429, "slow down", { "retry-after": "600" }) }));
  for (let round = 0; round < 3; round++) await ask();
  await neap.reload();
  for (let round = 0; round < 6; round++) assert.equal((await ask()).status, 200);
  assert.equal(keys_of(up).filter((key) => key === KEYS[1]).length, 1);
});
