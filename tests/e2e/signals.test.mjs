/* SIGTERM drains; a second one does not wait. */
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { chat, chat_bytes, get, open_chat, open, say, wire } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { env, hello, say_it, shouter } from "./support/shout.mjs";
import { latch, patience, until } from "./support/story.mjs";
import {
  DONE,
  SILENCE,
  chunk,
  completion,
  finish,
  reply,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

const refused = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(true));
  });

test("a running stream and a waiting request finish, then neap exits with 0", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const go = latch();
  up.next(stream(role(), chunk("one"), go, chunk("two"), finish(), DONE));
  const streamed = await open_chat(neap, say("pool", { stream: true }));
  await streamed.has("one");
  up.next([go, ...reply(200, completion("late"))]);
  const waiting = open(neap, "/v1/chat/completions", { body: say("pool") });
  await up.call(1);

  neap.signal("SIGTERM");
  await until(() => refused(neap.port), "new connections to be refused");
  assert.ok(neap.is_running());
  go.release();
  await streamed.whole();
  assert.match(streamed.text, /two/);
  assert.match(streamed.text, /\[DONE\]/);
  const { content } = await (await waiting).whole();
  assert.equal(content, "late", `after ${up.calls.length} calls; the log ends with\n${neap.tail()}`);
  assert.equal(await neap.ended(patience()), 0);
  assert.equal(
    neap.requests().filter((line) => line.outcome === "ok").length,
    2,
    "both were logged before the exit",
  );
});

test("a reload that is asked for while neap starts is done once it has started", async (t) => {
  const neap = await serve(t, "");
  await neap.stop();
  const starting = neap.start();
  const owner = path.join(neap.folder, "data/state/owner");
  await until(
    () => readFileSync(owner, "latin1").trim() === String(neap.pid),
    "the folder to belong to the new process",
  );
  neap.signal("SIGHUP");
  await starting;
  await until(async () => (await neap.generation()) === 2, "the second generation");
});

test("idle connections do not hold it up", async (t) => {
  const neap = await serve(t, "");
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  await (await open(neap, "/healthz", { agent })).whole();
  await wire(t, neap.port);
  neap.signal("SIGTERM");
  assert.equal(await neap.ended(patience()), 0);
});

test("drain_timeout bounds it", async (t) => {
  const up = await upstream(t);
  up.always(stream(role(), chunk("one"), SILENCE));
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]), {
    first: { drain_timeout: 1 },
  });
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("one");
  const asked = performance.now();
  neap.signal("SIGTERM");
  assert.equal(await neap.ended(patience()), 0);
  const took = performance.now() - asked;
  assert.ok(took >= 900, `it waited for the stream (${took} ms)`);
  const whole = await seen.whole();
  assert.ok(whole.text.includes('"error"'), `the client is told: ${whole.text}`);
  assert.ok(!whole.text.includes("[DONE]"), whole.text);
  const line = await neap.line(whole);
  assert.equal(line.outcome, "truncated", "nobody left");
  assert.equal(line.status, 200);
  assert.match(line.error, /neap was stopped/);
});

test("who has no answer at the end of drain_timeout is told so", async (t) => {
  const up = await upstream(t);
  up.always([SILENCE]);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]), {
    first: { drain_timeout: 1 },
  });
  const asked = [false, true].map((is_stream) => chat(neap, say("pool", { stream: is_stream })));
  await up.call(1);
  neap.signal("SIGTERM");
  for (const seen of await Promise.all(asked)) {
    assert.equal(seen.status, 503, seen.text);
    assert.equal(seen.headers["retry-after"], "1");
    assert.equal(seen.json.error.code, "stopping");
    const line = await neap.line(seen);
    assert.equal(line.status, 503);
    assert.match(line.error, /neap was stopped/);
    assert.equal(line.attempts.length, 1);
  }
  assert.equal(await neap.ended(patience()), 0);
});

test("so is the record of a stream that is translated", async (t) => {
  const up = await upstream(t);
  up.always(stream(hello(), say_it("one"), SILENCE));
  const neap = await serve(t, shouter("loud", up) + group("pool", ["loud"]), {
    env,
    first: { drain_timeout: 1 },
  });
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("ONE");
  neap.signal("SIGTERM");
  assert.ok(!(await seen.whole()).text.includes("[DONE]"));
  const line = await neap.line(seen);
  assert.equal(line.outcome, "truncated");
  assert.match(line.error, /neap was stopped/);
  assert.equal(await neap.ended(patience()), 0);
});

test("a second SIGTERM exits now", async (t) => {
  const up = await upstream(t);
  up.always(stream(role(), chunk("one"), SILENCE));
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]), { is_left: true });
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("one");
  neap.signal("SIGTERM");
  await until(() => refused(neap.port), "new connections to be refused");
  neap.signal("SIGTERM");
  await neap.ended(patience(10000));
  await seen.whole();
});

test("SIGINT is like SIGTERM", async (t) => {
  const neap = await serve(t, "");
  assert.equal((await get(neap, "/healthz")).status, 200);
  neap.signal("SIGINT");
  assert.equal(await neap.ended(patience()), 0);
});

test("a client that goes away while neap writes does not end it", async (t) => {
  const up = await upstream(t);
  up.always(stream(role(), chunk("x".repeat(100000)).repeat(20), finish(), DONE));
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  for (let round = 0; round < 10; round++) {
    const one = await wire(t, neap.port);
    one.send(chat_bytes(say("pool", { stream: true })));
    await one.has("HTTP/1.1 200");
    one.socket.resetAndDestroy();
  }
  assert.equal((await get(neap, "/healthz")).status, 200);
});
