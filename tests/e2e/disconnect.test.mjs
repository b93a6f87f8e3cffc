/* The client leaves, in every phase; the provider's side must end within 100 ms. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat_bytes, open_chat, say, start, wire } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, until, within } from "./support/story.mjs";
import {
  DONE,
  SILENCE,
  chunk,
  closed_after,
  error,
  finish,
  role,
  stream,
  upstream,
  usage,
} from "./support/upstream.mjs";

const LIMIT = 100;
const PATH = "/v1/chat/completions";

function check(t, took) {
  t.diagnostic(`closed after ${took.toFixed(1)} ms`);
  assert.ok(
    took <= within(LIMIT),
    `the upstream connection was closed after ${took.toFixed(1)} ms (limit ${LIMIT} ms, with slack ${within(LIMIT)})`,
  );
}

const aborted = (neap) =>
  until(
    () => neap.requests().find((line) => line.outcome === "aborted"),
    () => `an aborted request in the log; it ends with\n${neap.tail()}`,
  );

async function pool(t, fields = {}) {
  const up = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + provider("b", second) + group("pool", ["a", "b"], fields),
  );
  return { up, second, neap };
}

for (const is_reset of [false, true]) {
  const how = is_reset ? "with a reset" : "with a close";

  test(`before the head, ${how}`, async (t) => {
    const { up, neap } = await pool(t);
    up.next([SILENCE]);
    const asked = start(neap, PATH, { body: say("pool") });
    const call = await up.call(0);
    check(t, await closed_after(call, asked.leave({ is_reset })));
    const line = await aborted(neap);
    assert.equal(line.status, 499);
  });

  test(`in a retry, ${how}`, async (t) => {
    const { up, second, neap } = await pool(t);
    up.next(error(500, "ill"));
    second.next([SILENCE]);
    const asked = start(neap, PATH, { body: say("pool", { stream: true }) });
    const call = await second.call(0);
    check(t, await closed_after(call, asked.leave({ is_reset })));
    assert.equal((await aborted(neap)).attempts[0].status, 500);
  });

  test(`behind the gate, before the first content, ${how}`, async (t) => {
    const { up, neap } = await pool(t);
    up.next(stream(role(), SILENCE));
    const asked = start(neap, PATH, { body: say("pool", { stream: true }) });
    const call = await up.call(0);
    check(t, await closed_after(call, asked.leave({ is_reset })));
    await aborted(neap);
  });

  test(`in mid-stream, ${how}`, async (t) => {
    const { up, neap } = await pool(t);
    up.next(stream(role(), chunk("one"), SILENCE));
    const seen = await open_chat(neap, say("pool", { stream: true }));
    await seen.has("one");
    check(t, await closed_after(up.calls[0], seen.leave({ is_reset })));
    await aborted(neap);
  });

  test(`with pipelined bytes unread, ${how}`, async (t) => {
    const { up, neap } = await pool(t);
    up.next([SILENCE]);
    const one = await wire(t, neap.port);
    /* So much behind the first request that neap has stopped reading and must see the end
     * without reading up to it. */
    one.send(chat_bytes(say("pool")));
    const call = await up.call(0);
    one.send(chat_bytes(say("pool", { user: "x".repeat(100000) })));
    one.send(chat_bytes(say("pool", { user: "x".repeat(100000) })));
    const left = performance.now();
    if (is_reset) one.socket.resetAndDestroy();
    else one.socket.destroy();
    check(t, await closed_after(call, left));
    await aborted(neap);
    assert.equal(
      up.calls.length,
      1,
      "the pipelined requests of a client that is gone are not made",
    );
  });

  test(`while it sends its body, ${how}`, async (t) => {
    const { up, neap } = await pool(t);
    const one = await wire(t, neap.port);
    one.send(
      `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"model":"pool",`,
    );
    await until(
      async () => (await neap.open()).connections > neap.idle.connections,
      "neap to have the connection",
    );
    if (is_reset) one.socket.resetAndDestroy();
    else one.socket.destroy();
    await neap.settled();
    assert.equal(up.calls.length, 0);
  });
}

test("while it does not read its stream", async (t) => {
  const { up, neap } = await pool(t);
  const flood = chunk("x".repeat(10000)).repeat(100);
  let wrote = 0;
  up.next(
    stream(role(), async (call) => {
      while (!call.socket.destroyed && call.socket.writable) {
        await call.write(`${flood.length.toString(16)}\r\n${flood}\r\n`);
        wrote += flood.length;
      }
    }),
  );
  const one = await wire(t, neap.port);
  one.socket.pause();
  one.send(chat_bytes(say("pool", { stream: true })));
  const call = await up.call(0);
  /* Stalled: the upstream's write stays open over many looks. */
  let last = -1,
    still = 0;
  await until(() => {
    still = wrote === last && wrote > 0 ? still + 1 : 0;
    last = wrote;
    return still >= 40;
  }, "the flood to stall");
  const left = performance.now();
  one.socket.destroy();
  check(t, await closed_after(call, left));
  await aborted(neap);
});

test('on_disconnect = "drain" reads on for the usage', async (t) => {
  const { up, neap } = await pool(t, { on_disconnect: "drain" });
  const go = latch();
  up.next(stream(role(), chunk("one"), go, chunk("two"), finish(), usage(), DONE));
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("one");
  seen.leave();
  await until(
    async () => (await neap.open()).connections <= neap.idle.connections,
    "neap to see the client go",
  );
  assert.ok(!up.calls[0].socket.destroyed, "the provider's side goes on");
  go.release();
  const line = await aborted(neap);
  assert.ok(
    Object.values(line.usage ?? {}).some((count) => count > 0),
    `usage in the log: ${JSON.stringify(line.usage)}`,
  );
});

/* A client leaves, and its first target fails only after that. */
async function left_before_an_error(t, on_disconnect, fields) {
  const { up, second, neap } = await pool(t, { on_disconnect });
  const go = latch();
  up.next([go, error(500, "ill")].flat());
  const asked = start(neap, PATH, { body: say("pool", fields) });
  await up.call(0);
  asked.leave();
  await until(
    async () => (await neap.open()).connections <= neap.idle.connections,
    "neap to see the client go",
  );
  go.release();
  return { second, neap };
}

test('on_disconnect = "drain" asks nobody else', async (t) => {
  const { second, neap } = await left_before_an_error(t, "drain");
  const line = await aborted(neap);
  assert.deepEqual(
    line.attempts.map((attempt) => attempt.status),
    [500],
  );
  assert.equal(second.calls.length, 0, "an answer for nobody");
});

test('on_disconnect = "detach" finishes and records', async (t) => {
  const { second, neap } = await left_before_an_error(t, "detach", { stream: true });
  const call = await second.call(0);
  assert.equal(call.json.model, "m", "the chain goes on without its client");
  const line = await until(() => neap.requests()[0], "the request's log line");
  assert.equal(line.attempts.length, 2);
  assert.ok(
    Object.values(line.usage ?? {}).some((count) => count > 0),
    `usage in the log: ${JSON.stringify(line.usage)}`,
  );
});
