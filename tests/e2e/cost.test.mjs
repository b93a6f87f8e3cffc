/* What a request took and cost: the same numbers streamed or not, and an estimate that says so
 * where nobody tells. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say, start } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, until } from "./support/story.mjs";
import {
  DONE,
  END,
  SILENCE,
  chunk,
  completion,
  error,
  event,
  finish,
  reply,
  role,
  stream,
  upstream,
  usage,
} from "./support/upstream.mjs";

const CACHED = {
  prompt_tokens: 1000,
  completion_tokens: 40,
  total_tokens: 1040,
  prompt_tokens_details: { cached_tokens: 600 },
  completion_tokens_details: { reasoning_tokens: 30 },
};
const PRICES = { input: 2.5, cached: 1.25, output: 10 };
/* (400 · 2.5 + 600 · 1.25 + 40 · 10) / 1e6 */
const COST = 0.00215;
const COUNTS = { prompt: 1000, completion: 40, total: 1040, cache_read: 600, reasoning: 30 };

async function pool(t, fields = {}, group_fields = {}) {
  const up = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up, { models: { m: PRICES }, ...fields }) + group("pool", ["a"], group_fields),
  );
  return { up, neap };
}

const without_usage = (text) => {
  const { usage: _, ...document } = completion(text);
  return document;
};
const streamed = (fields = {}) => say("pool", { stream: true, ...fields });
const words = (count) => Array.from({ length: count }, (_, at) => chunk(` word${at % 10}`));

const aborted = (neap) =>
  until(
    () => neap.requests().find((line) => line.outcome === "aborted"),
    () => `an aborted request in the log; it ends with\n${neap.tail()}`,
  );

function check_estimate(line, tokens, slack = 2) {
  assert.equal(line.usage.is_estimate, true);
  assert.ok(
    Math.abs(line.usage.completion - tokens) <= slack,
    `${JSON.stringify(line.usage)} for ${tokens} tokens`,
  );
  assert.ok(line.usage.prompt > 5 && line.usage.prompt < 50, JSON.stringify(line.usage));
  assert.ok(line.cost > 0);
}

test("each way of an answer costs the same", async (t) => {
  const { up, neap } = await pool(t);
  const stream_options = { include_usage: true };
  const steps = [role(), chunk("one"), finish(), usage(CACHED), DONE];
  const ways = {
    "not streamed": [say("pool"), reply(200, { ...completion("one"), usage: CACHED })],
    "streamed, the usage hidden": [streamed(), stream(...steps)],
    "streamed, the usage asked for": [streamed({ stream_options }), stream(...steps)],
    "a stream that was not asked for": [say("pool"), stream(...steps)],
    "no stream where one was asked for": [
      streamed(),
      reply(200, { ...completion("one"), usage: CACHED }),
    ],
    "too long to be held": [
      say("pool"),
      reply(200, { ...completion("long ".repeat(100_000)), usage: CACHED }),
    ],
    "told in Groq's way": [
      streamed({ stream_options }),
      stream(role(), chunk("one"), event({ choices: [], x_groq: { usage: CACHED } }), DONE),
    ],
  };
  for (const [name, [body, script]] of Object.entries(ways)) {
    await t.test(name, async () => {
      up.next(script);
      const seen = await chat(neap, body);
      assert.equal(seen.status, 200, seen.text);
      const line = await neap.line(seen);
      assert.deepEqual(line.usage, COUNTS);
      assert.equal(line.cost, COST);
    });
  }
});

test("nobody tells the usage: an estimate", async (t) => {
  const { up, neap } = await pool(t);
  const text = "x".repeat(400);

  await t.test("not streamed", async () => {
    up.next(reply(200, without_usage(text)));
    check_estimate(await neap.line(await chat(neap, say("pool"))), 100);
  });
  await t.test("streamed", async () => {
    up.next(stream(role(), ...words(200), finish(), DONE));
    check_estimate(await neap.line(await chat(neap, streamed())), 200);
  });
  await t.test("streamed in large pieces", async () => {
    up.next(stream(role(), ...Array(10).fill(chunk(text)), chunk("."), finish(), DONE));
    check_estimate(await neap.line(await chat(neap, streamed())), 1000, 50);
  });
  await t.test("put together from a stream", async () => {
    up.next(stream(role(), ...Array(10).fill(chunk(text)), finish(), DONE));
    check_estimate(await neap.line(await chat(neap, say("pool"))), 1000);
  });
  await t.test("broken off", async () => {
    up.next(stream(role(), ...words(50), END));
    const line = await neap.line(await chat(neap, streamed()));
    assert.equal(line.outcome, "truncated");
    check_estimate(line, 50);
  });
});

test("a client that left", async (t) => {
  await t.test("before the answer: the prompt is paid for", async (t) => {
    const { up, neap } = await pool(t);
    up.next([SILENCE]);
    const asked = start(neap, "/v1/chat/completions", { body: say("pool") });
    await up.call(0);
    asked.leave();
    check_estimate(await aborted(neap), 0, 0);
  });

  await t.test("in mid-stream: what came is estimated, and an image is a page", async (t) => {
    const { up, neap } = await pool(t);
    up.next(stream(role(), ...words(60), SILENCE));
    const url = `data:image/png;base64,${"A".repeat(200_000)}`;
    const parts = [{ type: "image_url", image_url: { url } }];
    const body = streamed({ messages: [{ role: "user", content: parts }] });
    const seen = await open_chat(neap, body);
    await seen.has("word9");
    seen.leave();
    const line = await aborted(neap);
    assert.equal(line.usage.is_estimate, true);
    assert.ok(line.usage.prompt > 1000 && line.usage.prompt < 1100, JSON.stringify(line.usage));
    assert.ok(line.usage.completion >= 10 && line.usage.completion <= 65);
  });

  await t.test("in mid-stream: what was reported by then counts", async (t) => {
    const { up, neap } = await pool(t);
    const so_far = { ...JSON.parse(chunk("one").slice(6)), usage: { ...CACHED } };
    up.next(stream(role(), event(so_far), SILENCE));
    const seen = await open_chat(neap, streamed());
    await seen.has("one");
    seen.leave();
    const line = await aborted(neap);
    assert.deepEqual(line.usage, COUNTS);
    assert.equal(line.cost, COST);
  });
});

test("without prices there is no cost, unless the provider tells its own", async (t) => {
  const { up, neap } = await pool(t, { models: {} });
  const charged = { ...completion("one"), usage: { ...CACHED, cost: 0.0123456 } };
  up.next(reply(200, completion("one")), reply(200, charged));
  assert.ok(!("cost" in (await neap.line(await chat(neap, say("pool"))))));
  assert.equal((await neap.line(await chat(neap, say("pool")))).cost, 0.012346);
});

test("what failed costs nothing", async (t) => {
  const { up, neap } = await pool(t);
  up.next(error(500, "ill"), error(429, "later"));
  for (let turn = 0; turn < 2; turn++) {
    const line = await neap.line(await chat(neap, say("pool")));
    assert.equal(line.outcome, "failed");
    assert.equal(line.usage, null);
    assert.ok(!("cost" in line));
  }
});

test("a stream that outlives its prices is paid by those that it began with", async (t) => {
  const { up, neap } = await pool(t);
  const go = latch();
  up.next(stream(role(), chunk("one"), go, finish(), usage(CACHED), DONE));
  const seen = await open_chat(neap, streamed());
  await seen.has("one");
  neap.configure(
    provider("a", up, { models: { m: { input: 1000, output: 1000 } } }) + group("pool", ["a"]),
  );
  await neap.reload();
  go.release();
  await seen.whole();
  const line = await neap.line(seen);
  assert.deepEqual(line.usage, COUNTS);
  assert.equal(line.cost, COST);
  assert.ok(line.conversation, "and keeps its conversation");
});
