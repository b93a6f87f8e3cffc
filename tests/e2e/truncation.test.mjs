/* After the commit nothing is retried: what breaks is shown broken. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, patience } from "./support/story.mjs";
import { client_of } from "./support/sdk.mjs";
import {
  DONE,
  END,
  RESET,
  SILENCE,
  chunk,
  completion,
  event,
  finish,
  head,
  piece,
  role,
  stream,
  stream_head,
  upstream,
  usage,
} from "./support/upstream.mjs";

/* A stream that ends with its connection. */
const closed = (...texts) => [
  head(200, { "content-type": "text/event-stream" }),
  texts.join(""),
  END,
];

test("streams that break", async (t) => {
  const up = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", up, { timeouts: { idle: patience(1) } }),
      provider("b", second),
      group("pool", ["a", "b"], { policies: NO_BREAKER }),
    ].join(""),
  );
  const client = client_of(neap);
  const begin = role() + chunk("one");

  const breaks = {
    "a reset": stream(begin, RESET),
    "a close in the middle of the framing": [stream_head(), piece(begin), END],
    "a chunk that is no chunk": [stream_head(), piece(begin), "zz\r\n", END],
    "a stall past the idle timer": stream(begin, SILENCE),
    "a reset in the middle of an event": stream(begin, chunk("two").slice(0, 20), RESET),
    "a reset after the finish reason": stream(begin, finish(), RESET),
    "a proper end before a finish reason": stream(begin),
    "a close before a finish reason": closed(begin),
    "a close in the middle of an event": closed(begin, chunk("two").slice(0, 60)),
    "a close in the middle of the last event": closed(begin, finish(), usage().slice(0, 60)),
    "a close in the middle of a long event": closed(begin, chunk("x".repeat(100000)).slice(0, 80000)),
  };
  for (const [name, script] of Object.entries(breaks)) {
    await t.test(`${name}: an error event and no [DONE]`, async () => {
      up.next(script);
      const seen = await chat(neap, say("pool", { stream: true }));
      assert.equal(seen.status, 200);
      assert.ok(!seen.text.includes("two"), seen.text);
      assert.ok(seen.text.startsWith(begin), `what came is passed on: ${seen.text}`);
      assert.ok(!seen.text.includes("[DONE]"), seen.text);
      const last = JSON.parse(seen.events.at(-1));
      assert.equal(typeof last.error?.message, "string", seen.text);
      assert.equal(typeof last.error.type, "string");
      assert.ok(seen.text.endsWith("\n\n"), "the error event is a whole one");
      const line = await neap.line(seen);
      assert.equal(line.outcome, "truncated");
      assert.equal(line.attempts.length, 1, "nothing was retried");
    });

    await t.test(`${name}: the SDK throws`, async () => {
      up.next(script);
      await assert.rejects(async () => {
        for await (const part of await client.chat.completions.create(
          say("pool", { stream: true }),
        ))
          void part;
      }, /./);
    });
  }

  await t.test("an error event in mid-stream passes, and nothing follows it", async () => {
    const failure = event({
      error: { message: "the model fell over", type: "server_error", code: 500 },
    });
    up.next(stream(begin, failure, chunk("more"), DONE));
    const seen = await chat(neap, say("pool", { stream: true }));
    assert.equal(seen.text, begin + failure);
    assert.equal((await neap.line(seen)).outcome, "failed");
  });

  for (const failure of ['{"message":"too many","code":529}', "too many"]) {
    await t.test(`an event called error is one: ${failure}`, async () => {
      const named = `event: error\ndata: ${failure}\n\n`;
      up.next(stream(begin, named, chunk("more"), finish(), DONE));
      const seen = await chat(neap, say("pool", { stream: true }));
      assert.equal(seen.text, begin + named);
      const line = await neap.line(seen);
      assert.equal(line.outcome, "failed");
      assert.match(line.error, /reported an error/);
      up.next(stream(named, chunk("more"), finish(), DONE));
      assert.equal((await chat(neap, say("pool", { stream: true }))).content, "ok");
      second.calls.length = 0;
    });
  }

  await t.test("an error that says nothing is none", async () => {
    for (const error of ["", {}, [], false, null]) {
      const sent = event({ choices: [{ index: 0, delta: { content: "x" } }], error }) + finish() + DONE;
      up.next(stream(sent));
      const seen = await chat(neap, say("pool", { stream: true }));
      assert.equal(seen.text, sent);
      assert.equal((await neap.line(seen)).outcome, "ok");
    }
  });

  await t.test("the last blank line may be missing, or the last line's end", async () => {
    for (const last of [finish(), usage(), DONE, "data: [DONE] \n\n"]) {
      for (const cut of [1, 2]) {
        const sent = begin + (last === finish() ? "" : finish()) + last.slice(0, -cut);
        up.next(closed(sent));
        const asked = say("pool", { stream: true, stream_options: { include_usage: true } });
        const seen = await chat(neap, asked);
        assert.equal(seen.text, sent);
        assert.equal((await neap.line(seen)).outcome, "ok", last);
      }
    }
  });

  await t.test("a break behind [DONE] harms nobody", async () => {
    up.next(stream(begin, finish(), usage(), DONE, RESET));
    const seen = await chat(neap, say("pool", { stream: true }));
    assert.equal(seen.text, begin + finish() + DONE);
    assert.equal((await neap.line(seen)).outcome, "ok");
  });

  await t.test("a proper end without [DONE] is complete, and none is made up", async () => {
    up.next(stream(begin, finish()));
    const seen = await chat(neap, say("pool", { stream: true }));
    assert.equal(seen.text, begin + finish());
    assert.equal((await neap.line(seen)).outcome, "ok");
  });

  assert.equal(second.calls.length, 0, "the second target was never asked");
});

test("a whole body past the gate that breaks off cuts the client's connection", async (t) => {
  const up = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + provider("b", second) + group("pool", ["a", "b"], { policies: NO_BREAKER }),
  );
  const body = JSON.stringify(completion("x".repeat(1000000)));
  const go = latch();
  up.next([
    head(200, { "content-type": "application/json", "content-length": body.length }),
    body.slice(0, 600000),
    go,
    RESET,
  ]);
  // A reset drops what was not read yet: it comes only when the client has its head.
  const asked = await open_chat(neap, say("pool"));
  go.release();
  const seen = await asked.whole();
  assert.equal(seen.status, 200);
  assert.ok(!seen.is_complete, "the client can tell that the answer is not whole");
  assert.ok(body.startsWith(seen.text), "what came was the provider's");
  assert.equal(second.calls.length, 0);
  assert.equal((await neap.line(seen)).outcome, "truncated");
});

test("a whole body that ends in the middle with its connection fails over", async (t) => {
  const up = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + provider("b", second) + group("pool", ["a", "b"], { policies: NO_BREAKER }),
  );
  const body = JSON.stringify(completion("x"));
  for (const cut of [20, 100, body.length - 5, body.length]) {
    up.next([head(200, { "content-type": "application/json" }), body.slice(0, cut), END]);
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.content, cut === body.length ? "x" : "ok", `cut at ${cut}`);
  }
});

test("a whole body that breaks off before the gate is full fails over", async (t) => {
  const up = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + provider("b", second) + group("pool", ["a", "b"], { policies: NO_BREAKER }),
  );
  const body = JSON.stringify(completion("x".repeat(1000000)));
  up.next([
    head(200, { "content-type": "application/json", "content-length": body.length }),
    body.slice(0, 100000),
    RESET,
  ]);
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.content, "ok");
  assert.ok(seen.is_complete);
});
