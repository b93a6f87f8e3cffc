/* The five timers, per provider and per group. */
import test from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import net from "node:net";
import { chat, open_chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { later, soon, until, within } from "./support/story.mjs";
import {
  SILENCE,
  chunk,
  completion,
  head,
  role,
  stream,
  stream_head,
  upstream,
} from "./support/upstream.mjs";

/* A port that takes no connection and refuses none: a process that listens with a full
 * queue and does not accept, before it gets SIGCONT; then it answers all with 200. */
async function mute(t) {
  const child = spawn(
    process.execPath,
    [
      "-e",
      `
    const body = ${JSON.stringify(JSON.stringify(completion("late")))};
    const server = require("http").createServer((request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(body);
    });
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      require("fs").writeSync(1, server.address().port + "\\n");
      process.kill(process.pid, "SIGSTOP");
    });`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  later(t, () => child.kill("SIGKILL"));
  const port = Number(
    await soon(
      new Promise((resolve) => child.stdout.once("data", resolve)),
      "the mute listener's port",
    ),
  );
  /* Fills the queue: from some connection on, none is completed any more. */
  for (let count = 0; count < 10; count++) {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {});
    later(t, () => socket.destroy());
    const is_taken = await Promise.race([
      new Promise((resolve) => socket.once("connect", () => resolve(true))),
      new Promise((resolve) => setTimeout(resolve, 1000, false)),
    ]);
    if (!is_taken) {
      const wake = () => child.kill("SIGCONT");
      return { url: `http://127.0.0.1:${port}/v1`, wake };
    }
  }
  throw new Error("the mute listener takes everything");
}

async function timed(promise) {
  const start = performance.now();
  const seen = await promise;
  return { seen, took: performance.now() - start };
}

const failure_of = async (neap, seen) => (await neap.line(seen)).attempts.at(-1).failure;

/* Fires at ms, not much earlier and not much later. */
function fires(took, ms) {
  assert.ok(took >= ms * 0.9, `fired after ${took.toFixed(0)} ms instead of ${ms}`);
  assert.ok(took <= ms + within(400), `fired only after ${took.toFixed(0)} ms instead of ${ms}`);
}

const LONG = { connect: 60, first_byte: 60, first_event: 60, idle: 60, total: 60 };

test("timers of a provider", async (t) => {
  const up = await upstream(t);
  const silent = await mute(t);
  const with_timer = (name, at, timeouts) =>
    provider(name, at, { timeouts: { ...LONG, ...timeouts } }) + group(name, [name]);
  const neap = await serve(
    t,
    [
      with_timer("connect", silent, { connect: 0.5 }),
      with_timer("first_byte", up, { first_byte: 0.5 }),
      with_timer("first_event", up, { first_event: 0.5 }),
      with_timer("idle", up, { idle: 0.5 }),
      with_timer("total", up, { total: 0.8 }),
    ].join(""),
  );

  await t.test("connect", async () => {
    const { seen, took } = await timed(chat(neap, say("connect")));
    assert.equal(seen.status, 502, seen.text);
    assert.equal(await failure_of(neap, seen), "connect");
    fires(took, 500);
  });

  await t.test("first_byte, of a streamed request", async () => {
    up.next([SILENCE]);
    const { seen, took } = await timed(chat(neap, say("first_byte", { stream: true })));
    assert.equal(seen.status, 504, seen.text);
    assert.equal(await failure_of(neap, seen), "timeout");
    fires(took, 500);
  });

  await t.test("first_event: a head and a role are no content", async () => {
    up.next(stream(role(), SILENCE));
    const { seen, took } = await timed(chat(neap, say("first_event", { stream: true })));
    assert.equal(seen.status, 504, seen.text);
    assert.equal(await failure_of(neap, seen), "timeout");
    fires(took, 500);
  });

  await t.test("first_event: comments do not move it", async () => {
    up.next([
      stream_head(),
      async (call) => {
        while (!call.socket.destroyed) {
          await call.write("f\r\n: keep-alive..\n\r\n");
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      },
    ]);
    const { seen, took } = await timed(chat(neap, say("first_event", { stream: true })));
    assert.equal(seen.status, 504, seen.text);
    fires(took, 500);
  });

  await t.test(
    "first_byte and first_event do not touch a request that does not stream",
    async () => {
      for (const model of ["first_byte", "first_event"]) {
        const body = JSON.stringify(completion("late"));
        up.next([
          async () => new Promise((resolve) => setTimeout(resolve, 800)),
          head(200, { "content-type": "application/json", "content-length": body.length }),
          body,
        ]);
        assert.equal((await chat(neap, say(model))).status, 200, model);
      }
    },
  );

  await t.test("idle: a stall in mid-stream", async () => {
    up.next(stream(role(), chunk("one"), SILENCE));
    const { seen, took } = await timed(chat(neap, say("idle", { stream: true })));
    assert.match(seen.text, /one/);
    assert.ok(JSON.parse(seen.events.at(-1)).error, seen.text);
    fires(took, 500);
  });

  await t.test("idle does not fire on a slow drip, total does", async () => {
    let longest = 0; // ms between two drops, on a machine that has more to do
    const drip = () =>
      stream(role(), chunk("one"), async (call) => {
        let last = performance.now();
        while (!call.socket.destroyed) {
          const bytes = chunk(".");
          await call.write(`${bytes.length.toString(16)}\r\n${bytes}\r\n`);
          longest = Math.max(longest, performance.now() - last);
          last = performance.now();
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      });
    up.next(drip());
    const { seen, took } = await timed(chat(neap, say("total", { stream: true })));
    assert.equal(seen.status, 200);
    assert.ok(JSON.parse(seen.events.at(-1)).error, seen.text.slice(-300));
    fires(took, 800);

    for (let round = 1; ; round++) {
      longest = 0;
      up.next(drip());
      const dripping = await open_chat(neap, say("idle", { stream: true }));
      const start = performance.now();
      await until(
        () => performance.now() - start > 1200 || dripping.is_closed,
        "the drip to go on past the idle timer",
      );
      const is_cut = dripping.is_closed;
      dripping.leave();
      if (!is_cut) break;
      assert.ok(round < 5, dripping.text.slice(-300));
      assert.ok(longest > 300, `cut off, though drops came ${longest} ms apart at most`);
    }
  });

  await t.test("total, of a request that does not stream", async () => {
    up.next([SILENCE]);
    const { seen, took } = await timed(chat(neap, say("total")));
    assert.equal(seen.status, 504, seen.text);
    fires(took, 800);
  });
});

test("a group's timers go before the provider's", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", up, { timeouts: LONG }),
      group("fast", ["a"], { timeouts: { first_byte: 0.4 } }),
      provider("b", up, { timeouts: { ...LONG, first_byte: 0.3 } }),
      group("slow", ["b"], { timeouts: { first_byte: 20 } }),
    ].join(""),
  );
  up.next([SILENCE]);
  const { seen, took } = await timed(chat(neap, say("fast", { stream: true })));
  assert.equal(seen.status, 504, seen.text);
  fires(took, 400);
  up.next([
    async () => new Promise((resolve) => setTimeout(resolve, 700)),
    ...stream(role(), chunk("late"), "data: [DONE]\n\n"),
  ]);
  assert.equal((await chat(neap, say("slow", { stream: true }))).status, 200);
});

/* libcurl closes the first socket without a word, and its number is the next one's. */
test("after a connect that took too long, the next one is heard of", async (t) => {
  const port = await mute(t);
  const neap = await serve(
    t,
    provider("first", port, { timeouts: { ...LONG, connect: 0.5 } }) +
      provider("second", port, { timeouts: { ...LONG, connect: 10 } }) +
      group("moves_on", ["first", "second"]),
    { first: { workers: 1 } },
  );
  const began = performance.now();
  const asked = chat(neap, say("moves_on"));
  await until(() => performance.now() - began > 800, "the second attempt");
  port.wake();
  const { seen, took } = await timed(asked);
  assert.equal(seen.status, 200, seen.text);
  assert.ok(took < within(5000), `it took ${took} ms`);
});
