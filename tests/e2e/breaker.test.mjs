/* The breaker of the default chain, with several workers: one count, one rest, one probe. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, until } from "./support/story.mjs";
import {
  RESET,
  answer,
  chunk,
  completion,
  error,
  reply,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

const WORKERS = { first: { workers: 4 } };

/* A group whose first target is a, behind a breaker with these settings. */
async function pool(t, settings) {
  const a = await upstream(t),
    b = await upstream(t);
  b.always(answer("from b"));
  const chain = [use("circuit_breaker", settings), "priority_failover", "key_rotation"];
  const fields = settings && { policies: chain };
  const config = provider("a", a) + provider("b", b) + group("pool", ["a", "b"], fields);
  return { a, b, neap: await serve(t, config, WORKERS) };
}

const ask = (neap) => chat(neap, say("pool"));
const attempts = async (neap) => Number((await ask(neap)).headers["x-neap-attempts"]);

/* b succeeds at once, so that two attempts mean that a was asked: as long as a fails whoever asks
 * it. The failure counts when its answer has ended, and by then somebody may have asked again. */
const rests = (neap) => until(async () => (await attempts(neap)) === 1, "the first target to rest");

test("after two failures no worker asks the target any more", async (t) => {
  const { a, neap } = await pool(t);
  a.always(error(500, "ill"));
  assert.equal(await attempts(neap), 2);
  await rests(neap);
  const asked = a.calls.length;
  for (let round = 0; round < 16; round++) assert.equal(await attempts(neap), 1);
  assert.equal(a.calls.length, asked);
});

test("a client's own fault rests nobody", async (t) => {
  const { a, neap } = await pool(t);
  a.always(error(400, "what is that?"));
  for (let round = 0; round < 8; round++) assert.equal((await ask(neap)).status, 400);
  assert.equal(a.calls.length, 8);
});

test("when the rest is over, one request of all workers is the probe", async (t) => {
  const { a, neap } = await pool(t, { failures: 1, rest: 1 });
  a.always(error(500, "ill"));
  await rests(neap);
  a.forget();
  const go = latch();
  a.always([go, ...reply(200, completion("from a"))]);

  const waiting = [];
  await until(() => {
    if (a.calls.length) return true;
    waiting.push(ask(neap));
  }, "the probe");
  const others = await Promise.all(Array.from({ length: 16 }, () => ask(neap)));
  assert.deepEqual([...new Set(others.map((seen) => seen.content))], ["from b"]);
  assert.equal(a.calls.length, 1, "nobody else asks while the probe is open");
  go.release();
  const contents = (await Promise.all(waiting)).map((seen) => seen.content);
  assert.equal(contents.filter((content) => content === "from a").length, 1);
  await until(async () => (await ask(neap)).content === "from a", "the target to be well");
});

test("a stream that outlives its generation counts, too", async (t) => {
  const { a, neap } = await pool(t, { failures: 1 });
  const go = latch();
  a.next(stream(role(), chunk("begin "), go, RESET));
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("begin ");
  await neap.reload();
  go.release();
  await seen.whole();
  a.always(answer("from a"));
  await until(async () => (await ask(neap)).content === "from b", "the first target to rest");
});
