/* request:race through the real program: who wins, and what becomes of the others. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say, start } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, until, within } from "./support/story.mjs";
import {
  SILENCE,
  answer,
  closed_after,
  error,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

const LIMIT = 100; // ms until a loser's connection is closed
const PATH = "/v1/chat/completions";

/* Both targets at once. */
const RACER = `local policy = require "neap.policy"
local racer = policy.define { summary = "All targets at once.", orders = "target" }
function racer:run(request, next)
  local legs = {}
  for place, target in ipairs(request.targets) do
    legs[place] = { request:with { target = target } }
  end
  return request:race(next, legs)
end
return racer
`;

async function two(t, fields = {}) {
  const a = await upstream(t);
  const b = await upstream(t);
  const neap = await serve(
    t,
    provider("a", a) +
      provider("b", b) +
      group("pool", ["a", "b"], { policies: ["racer"], ...fields }),
    { files: { "policies/racer.lua": RACER }, first: { workers: 1 } },
  );
  return { a, b, neap };
}

const outcomes = (line) =>
  line.attempts.map((one) => `${one.target} ${one.failure ?? one.status}`).sort();

for (const is_stream of [false, true]) {
  const how = is_stream ? "streamed" : "whole";

  test(`the first content wins and the loser is closed, ${how}`, async (t) => {
    const { a, b, neap } = await two(t);
    a.next(is_stream ? stream(role(), SILENCE) : [SILENCE]);
    const go = latch();
    b.next(async (call) => {
      await go;
      return answer("from b")(call);
    });
    const asked = chat(neap, say("pool", { stream: is_stream }));
    const loser = await a.call(0);
    await b.call(0);
    const since = performance.now();
    go.release();
    const took = await closed_after(loser, since);
    const seen = await asked;
    assert.equal(seen.status, 200, seen.text);
    assert.match(seen.text, /from/);
    assert.equal(seen.headers["x-neap-provider"], "b");
    assert.ok(took <= within(LIMIT), `the loser was closed after ${took.toFixed(1)} ms`);
    const line = await neap.line(seen);
    assert.deepEqual(outcomes(line), ["a/m lost", "b/m 200"]);
    assert.equal(line.provider, "b");
    await until(async () => (await neap.open()).attempts === 0, "no attempt to be open");
  });

  test(`where one fails the other answers, ${how}`, async (t) => {
    const { a, b, neap } = await two(t);
    a.next(error(500, "ill"));
    b.next(answer("from b"));
    const seen = await chat(neap, say("pool", { stream: is_stream }));
    assert.equal(seen.status, 200, seen.text);
    assert.deepEqual(outcomes(await neap.line(seen)), ["a/m 500", "b/m 200"]);
  });

  test(`the client leaves in the race, ${how}`, async (t) => {
    const { a, b, neap } = await two(t);
    a.next([SILENCE]);
    b.next([SILENCE]);
    const asked = start(neap, PATH, { body: say("pool", { stream: is_stream }) });
    const calls = [await a.call(0), await b.call(0)];
    const left = asked.leave({ is_reset: false });
    for (const call of calls) {
      const took = await closed_after(call, left);
      assert.ok(took <= within(LIMIT), `closed after ${took.toFixed(1)} ms`);
    }
    await until(() => neap.requests().find((line) => line.outcome === "aborted"), "the line");
  });
}

test("both fail: a failure is given back", async (t) => {
  const { a, b, neap } = await two(t);
  a.next(error(500, "ill"));
  b.next(error(429, "slow down", { "retry-after": "7" }));
  const seen = await chat(neap, say("pool"));
  assert.ok([500, 429].includes(seen.status), seen.text);
  assert.deepEqual(outcomes(await neap.line(seen)), ["a/m 500", "b/m 429"]);
});

test("each leg spends the budget", async (t) => {
  const { a, b, neap } = await two(t, { limits: { attempts: 1 } });
  a.next(answer("from a"));
  b.next(answer("from b"));
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 200, seen.text);
  assert.equal((await neap.line(seen)).attempts.length, 1);
});

test("a reload in the middle of a race", async (t) => {
  const { a, b, neap } = await two(t);
  const go = latch();
  a.next([SILENCE]);
  b.next(async (call) => {
    await go;
    return answer("from b")(call);
  });
  const asked = chat(neap, say("pool"));
  await b.call(0);
  await neap.reload();
  go.release();
  const seen = await asked;
  assert.equal(seen.status, 200, seen.text);
  assert.deepEqual(outcomes(await neap.line(seen)), ["a/m lost", "b/m 200"]);
});

test("hedge asks a second target, and the winner streams to its end", async (t) => {
  const { a, b, neap } = await two(t, {
    policies: [use("hedge", { after: 0.1, share: 1 }), "priority_failover"],
  });
  a.next(stream(role(), SILENCE));
  b.next(answer("from b, word by word"));
  const seen = await chat(neap, say("pool", { stream: true }));
  assert.equal(seen.status, 200, seen.text);
  assert.match(seen.text, /\[DONE\]/);
  assert.deepEqual(outcomes(await neap.line(seen)), ["a/m lost", "b/m 200"]);
});
