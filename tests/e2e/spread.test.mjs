/* What the policies count in common: turns of keys, limits and conversations, over all workers. */
import http from "node:http";
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open, open_chat, say } from "./support/client.mjs";
import { group, provider, token, use } from "./support/lua.mjs";
import { is_sanitized, serve } from "./support/neap.mjs";
import { deep, later, latch, until } from "./support/story.mjs";
import { DONE, answer, chunk, error, finish, role, stream, upstream } from "./support/upstream.mjs";

const WORKERS = { workers: 4 };
const REQUESTS = is_sanitized && !deep ? 2000 : 10000;
const KEYS = ["sk-key-one-000001", "sk-key-two-000002", "sk-key-three-0003"];
const three = { keys: KEYS.map((secret, index) => ({ secret, id: `k${index + 1}` })) };
const count_of = (list, wanted) => list.filter((each) => each === wanted).length;

/* Asks count times over kept connections; gives the statuses. Connections are renewed now and
 * then, so that every worker has some. */
async function ask_often(neap, count, body, width = 16) {
  const statuses = [];
  const client = async () => {
    while (statuses.length + width <= count) {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (let turn = 0; turn < 25 && statuses.length + width <= count; turn++) {
        const seen = await open(neap, "/v1/chat/completions", { agent, body });
        statuses.push((await seen.whole()).status);
      }
      agent.destroy();
    }
  };
  await Promise.all(Array.from({ length: width }, client));
  while (statuses.length < count) statuses.push((await chat(neap, body)).status);
  return statuses;
}

test(`${REQUESTS} successes over 4 workers: each key has its third, within 1 %`, async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up, three) + group("pool", ["a"]), { first: WORKERS });
  const statuses = await ask_often(neap, REQUESTS, say("pool"));
  assert.equal(count_of(statuses, 200), REQUESTS);
  const even = REQUESTS / KEYS.length;
  for (const key of KEYS) {
    const uses = count_of(
      up.calls.map((call) => call.key),
      key,
    );
    assert.ok(Math.abs(uses - even) <= even / 100, `${key} was used ${uses} times of ${REQUESTS}`);
  }
});

test("a storm of 429 on one key never disables it", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up, three) + group("pool", ["a"]), { first: WORKERS });
  const storm = error(429, "slow down", { "retry-after-ms": "20" });
  up.always((call) => (call.key === KEYS[0] ? storm : answer("ok")(call)));
  const storms = () =>
    count_of(
      up.calls.map((call) => call.key),
      KEYS[0],
    );
  let asked = 0;
  while (storms() < 30 && asked < 20000) {
    const statuses = await ask_often(neap, 200, say("pool"));
    assert.equal(count_of(statuses, 200), 200, "the other keys answer meanwhile");
    asked += 200;
  }
  assert.ok(storms() >= 30, `the key was limited ${storms()} times only`);

  up.forget();
  up.always(answer("ok"));
  await until(
    async () => {
      assert.equal((await chat(neap, say("pool"))).status, 200);
      return storms() > 0;
    },
    () => "the key to be used again",
  );
});

/* Limits of a day: a minute could end in the middle of a story. */
const limited = (settings) => ({
  policies: [use("rate_limit", settings), "priority_failover", "key_rotation"],
});

test("a limit holds exactly, over 4 workers", async (t) => {
  const up = await upstream(t);
  const config = provider("a", up) + group("pool", ["a"], limited({ requests_per_day: 100 }));
  const neap = await serve(t, config, { first: WORKERS });
  const statuses = await ask_often(neap, 160, say("pool"));
  assert.deepEqual([count_of(statuses, 200), count_of(statuses, 429)], [100, 60]);
  assert.equal(up.calls.length, 100);
  const seen = await chat(neap, say("pool"));
  const wait = Number(seen.headers["retry-after"]);
  assert.ok(wait > 0 && wait <= 86400, `retry-after is ${seen.headers["retry-after"]}`);
  assert.equal(seen.json.error.type, "rate_limit_error");
});

/* A stream that goes on until the story releases it. */
function held_stream() {
  const gate = latch();
  return { script: stream(role(), chunk("a"), gate, chunk("b"), finish(), DONE), gate };
}

test("what is in flight gives its place back: at its end, when the client leaves, over a reload", async (t) => {
  const up = await upstream(t);
  const config = provider("a", up) + group("pool", ["a"], limited({ in_flight: 1 }));
  const neap = await serve(t, config, { first: WORKERS });
  const body = say("pool", { stream: true });
  const gates = [];
  later(t, () => gates.forEach((gate) => gate.release()));

  const begin = async () => {
    const { script, gate } = held_stream();
    gates.push(gate);
    up.next(script);
    const running = await until(
      async () => {
        const seen = await open_chat(neap, body);
        return seen.status === 200 && seen;
      },
      () => "the place of who was answered last", // it is given back when the answer has ended
    );
    await running.has('"a"');
    assert.equal((await chat(neap, body)).status, 429, "one is in flight");
    return { running, gate };
  };
  const has_room = () =>
    until(
      async () => (await chat(neap, body)).status === 200,
      () => "the place to be free",
    );

  let { running, gate } = await begin();
  gate.release();
  assert.equal((await running.whole()).content, "ab");
  await has_room();

  ({ running } = await begin());
  running.leave();
  await has_room();

  ({ running, gate } = await begin());
  await neap.reload();
  assert.equal((await chat(neap, body)).status, 429, "a reload frees no place");
  gate.release();
  assert.equal((await running.whole()).content, "ab");
  await has_room();
});

test("a conversation stays where it was answered, whichever worker takes it", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) +
      provider("b", second) +
      group("pool", ["a", "b"], { policies: ["sticky", "priority_failover", "key_rotation"] }),
    { first: WORKERS },
  );
  first.next(error(503, "busy"));
  const mine = { "x-conversation-id": "mine" };
  const begun = await chat(neap, say("pool"), mine);
  assert.equal(begun.headers["x-neap-provider"], "b");
  await neap.line(begun); // what a policy learns from it, it knows by then
  first.forget();
  for (let turn = 0; turn < 20; turn++) {
    assert.equal((await chat(neap, say("pool"), mine)).headers["x-neap-provider"], "b");
  }
  assert.equal(first.calls.length, 0);
  const other = await chat(neap, say("pool"), { "x-conversation-id": "other" });
  assert.equal(other.headers["x-neap-provider"], "a");
});

test("each token has limits and conversations of its own", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const policies = [use("rate_limit", { requests_per_day: 2 }), "sticky", "priority_failover"];
  const neap = await serve(
    t,
    token("red", { secret: "red-secret-000000000000000000000001" }) +
      token("blue", { secret: "blue-secret-00000000000000000000002" }) +
      provider("a", first) +
      provider("b", second) +
      group("pool", ["a", "b"], { policies }),
    { first: WORKERS },
  );
  const ask = async (secret) => {
    const fields = { authorization: `Bearer ${secret}`, "x-conversation-id": "same" };
    const seen = await chat(neap, say("pool"), fields);
    await neap.line(seen); // what a policy learns from it, it knows by then
    return seen.headers["x-neap-provider"] ?? seen.status;
  };
  first.next(error(503, "busy"));
  const red = () => ask("red-secret-000000000000000000000001");
  const blue = () => ask("blue-secret-00000000000000000000002");
  assert.deepEqual([await red(), await red(), await red()], ["b", "b", 429]);
  assert.deepEqual([await blue(), await blue(), await blue()], ["a", "a", 429]);
});
