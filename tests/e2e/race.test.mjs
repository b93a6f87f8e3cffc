/* request:race and hedge: legs side by side, one answer; what lost ends within 100 ms. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say, start } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { deep, latch, until, within } from "./support/story.mjs";
import {
  DONE,
  SILENCE,
  answer,
  chunk,
  closed_after,
  completion,
  error,
  finish,
  reply,
  role,
  stream,
  talk,
  upstream,
} from "./support/upstream.mjs";

const LIMIT = 100;
const PATH = "/v1/chat/completions";

/* One leg for each target; the second a little later where after is given. */
const racer = (after = 0, next = "next") => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story.", orders = "target" }
function own:run(request, next)
  local legs = {}
  for place, target in ipairs(request.targets) do
    legs[place] = { request:with { targets = { target } }, after = (place - 1) * ${after} }
  end
  local response = request:race(${next}, legs)
  return response
end
return own
`;

const inner = (run) => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
${run}
end
return own
`;

async function pool(t, fields = {}, files = {}, options = {}) {
  const ups = [await upstream(t), await upstream(t)];
  const config =
    provider("a", ups[0]) +
    provider("b", ups[1]) +
    group("pool", ["a", "b"], {
      policies: ["racer", "priority_failover", "key_rotation"],
      ...fields,
    });
  const neap = await serve(t, config, {
    files: { "policies/racer.lua": racer(), ...files },
    first: { workers: 1 },
    ...options,
  });
  return { a: ups[0], b: ups[1], neap, config };
}

function check(t, took) {
  t.diagnostic(`closed after ${took.toFixed(1)} ms`);
  assert.ok(took <= within(LIMIT), `the upstream connection was closed after ${took.toFixed(1)} ms`);
}

const outcomes = (line) =>
  line.attempts.map((attempt) => `${attempt.target} ${attempt.failure ?? attempt.status}`).sort();

for (const is_stream of [false, true]) {
  const how = is_stream ? "streamed" : "whole";

  test(`the first content wins, and the loser's connection is closed, ${how}`, async (t) => {
    const { a, b, neap } = await pool(t);
    const go = latch();
    let at;
    a.next(is_stream ? stream(role(), SILENCE) : [SILENCE]);
    b.next(async (call) => {
      await go;
      at = performance.now();
      return (is_stream ? talk("from", " b") : answer("from b"))(call);
    });
    const asked = open_chat(neap, say("pool", { stream: is_stream }));
    const lost = await a.call(0);
    await b.call(0);
    go.release();
    const took = await lost.closed;
    check(t, took - at);
    const seen = await (await asked).whole();
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.content, "from b");
    assert.equal(seen.headers["x-neap-provider"], "b");
    assert.equal(seen.headers["x-neap-attempts"], "2");
    assert.deepEqual(outcomes(await neap.line(seen)), ["a/m lost", "b/m 200"]);
  });

  test(`a leg that fails leaves the race to the other, ${how}`, async (t) => {
    const { a, b, neap } = await pool(t);
    const go = latch();
    a.next(error(500, "ill"));
    b.next(async (call) => {
      await go;
      return answer("after all")(call);
    });
    const asked = chat(neap, say("pool", { stream: is_stream }));
    await a.call(0);
    await b.call(0);
    go.release();
    const seen = await asked;
    assert.equal(seen.content, "after all");
    assert.deepEqual(outcomes(await neap.line(seen)), ["a/m 500", "b/m 200"]);
  });

  test(`both fail: the client gets a provider's answer, ${how}`, async (t) => {
    const { a, b, neap } = await pool(t);
    a.next(error(500, "a is ill"));
    b.next(error(503, "b is full"));
    const seen = await chat(neap, say("pool", { stream: is_stream }));
    assert.ok([500, 503].includes(seen.status), seen.text);
    assert.match(seen.json.error.message, /is ill|is full/);
    assert.deepEqual(outcomes(await neap.line(seen)), ["a/m 500", "b/m 503"]);
  });

  test(`the client leaves in the race, ${how}`, async (t) => {
    const { a, b, neap } = await pool(t);
    a.next(is_stream ? stream(role(), SILENCE) : [SILENCE]);
    b.next([SILENCE]);
    const asked = start(neap, PATH, { body: say("pool", { stream: is_stream }) });
    const calls = [await a.call(0), await b.call(0)];
    const left = asked.leave();
    for (const call of calls) check(t, await closed_after(call, left));
    const line = await until(
      () => neap.requests().find((one) => one.outcome === "aborted"),
      "an aborted request in the log",
    );
    assert.equal(line.status, 499);
    assert.equal(line.attempts.length, 2);
  });
}

test("each leg spends the budget", async (t) => {
  const { a, b, neap } = await pool(t, { limits: { attempts: 1 } });
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 200, seen.text);
  assert.equal((await neap.line(seen)).attempts.length, 1);
  assert.equal(a.calls.length + b.calls.length, 1);
});

test("a leg whose turn is over before it comes is not asked", async (t) => {
  const { a, b, neap } = await pool(t, {}, { "policies/racer.lua": racer(60) });
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "a");
  a.next(error(500, "ill"));
  const begin = performance.now();
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "b");
  assert.ok(performance.now() - begin < within(2000), "b was asked at once when a had failed");
  assert.equal(b.calls.length, 1);
});

test("after: the second leg begins when its time has come", async (t) => {
  const { a, b, neap } = await pool(t, {}, { "policies/racer.lua": racer(0.2) });
  a.next([SILENCE]);
  const begin = performance.now();
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.headers["x-neap-provider"], "b");
  const took = b.calls[0].at - begin;
  assert.ok(took >= 190 && took < within(1000), `b was asked after ${took} ms`);
});

test("a stream of the winner goes on for long after the race", async (t) => {
  const { a, b, neap } = await pool(t);
  const go = latch();
  a.next([SILENCE]);
  b.next(stream(role(), chunk("one"), go, chunk("two"), finish(), DONE));
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("one");
  await (await a.call(0)).closed;
  go.release();
  assert.equal((await seen.whole()).content, "onetwo");
});

test('on_disconnect = "detach": the race goes on without its client', async (t) => {
  const { a, b, neap } = await pool(t, { on_disconnect: "detach" });
  const go = latch();
  a.next([SILENCE]);
  b.next(async (call) => {
    await go;
    return answer("for nobody")(call);
  });
  const asked = start(neap, PATH, { body: say("pool") });
  const lost = await a.call(0);
  await b.call(0);
  asked.leave();
  await until(
    async () => (await neap.open()).connections <= neap.idle.connections,
    "neap to see the client go",
  );
  assert.ok(!lost.socket.destroyed, "the race goes on");
  const at = performance.now();
  go.release();
  check(t, await closed_after(lost, at));
});

test("a reload in a race: it ends on what it began with", async (t) => {
  const { a, b, neap } = await pool(t);
  const c = await upstream(t);
  const go = latch();
  a.next([SILENCE]);
  b.next(async (call) => {
    await go;
    return answer("from the old")(call);
  });
  const asked = open_chat(neap, say("pool"));
  const lost = await a.call(0);
  await b.call(0);
  neap.configure(provider("c", c) + group("pool", ["c"]));
  await neap.reload();
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "c");
  const at = performance.now();
  go.release();
  check(t, await closed_after(lost, at));
  assert.equal((await (await asked).whole()).content, "from the old");

  // And one whose client leaves after the generation was replaced.
  neap.configure(
    provider("a", a) +
      provider("b", b) +
      group("pool", ["a", "b"], { policies: ["racer", "priority_failover"] }),
  );
  await neap.reload();
  a.forget();
  b.forget();
  a.next([SILENCE]);
  b.next([SILENCE]);
  const left_alone = start(neap, PATH, { body: say("pool") });
  const calls = [await a.call(0), await b.call(0)];
  neap.configure(provider("c", c) + group("pool", ["c"]));
  await neap.reload();
  const left = left_alone.leave();
  for (const call of calls) check(t, await closed_after(call, left));
});

test("what a policy does in one leg is that leg's alone", async (t) => {
  const only_a = (what) => inner(`  if request.target.provider == "a" then
    ${what}
  end
  return next(request)`);
  const files = {
    "policies/loops.lua": only_a("while true do pcall(function() while true do end end) end"),
    "policies/raises.lua": only_a('error("broken in a leg")'),
    "policies/sleeps.lua": only_a("self:sleep(600)"),
    "policies/eats.lua": only_a("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end"),
    "policies/all_loop.lua": inner("  while true do end"),
    "policies/all_raise.lua": inner('  error("broken in all")'),
    "policies/outer.lua": racer(),
  };
  const names = Object.keys(files).map((name) => name.slice(9, -4));
  const { a, b, neap, config } = await pool(t, {}, files);
  const chains = names
    .filter((name) => name !== "outer")
    .map((name) => group(name, ["a", "b"], { policies: ["racer", name] }));
  neap.configure(
    config +
      chains.join("") +
      group("nested", ["a", "b"], { policies: ["outer", "racer", "loops"] }) +
      group("rescued", ["a", "b"], { policies: ["racer", "all_loop"], fallback: ["racer"] }),
  );
  await neap.reload();

  for (const name of ["loops", "raises", "sleeps", "eats", "nested"]) {
    await t.test(`${name} in one: the other wins`, async () => {
      const from = neap.lines.length;
      const seen = await chat(neap, say(name));
      assert.equal(seen.status, 200, seen.text);
      assert.equal(seen.headers["x-neap-provider"], "b");
      if (name === "raises") await neap.says(/raises\.lua:5.*broken in a leg/, from);
    });
  }

  for (const name of ["all_loop", "all_raise"]) {
    await t.test(`${name}: 500, and each leg counts once, for the policy that failed`, async () => {
      const from = neap.lines.length;
      const seen = await chat(neap, say(name));
      assert.equal(seen.status, 500, seen.text);
      await neap.line(seen);
      const told = () => neap.lines.slice(from).filter((line) => line.includes(`group ${name}: `));
      await until(() => told().length >= 2, "two failures in the log");
      assert.equal(told().length, 2);
      for (const line of told()) assert.match(line, new RegExp(`: ${name}: policies/${name}.lua:4`));
    });
  }

  await t.test("a fallback races, too", async () => {
    const seen = await chat(neap, say("rescued"));
    assert.equal(seen.status, 200, seen.text);
  });

  assert.equal((await chat(neap, say("pool"))).status, 200);
});

test("races side by side leave nothing behind", async (t) => {
  const { a, b, neap } = await pool(t, {}, {}, { first: { workers: 2 } });
  const count = deep ? 400 : 60;
  /* Whoever is asked answers some, lets others wait, resets none. */
  let turn = 0;
  const script = (call) => {
    turn++;
    if (turn % 3 === 0) return [SILENCE];
    if (turn % 5 === 0) return error(500, "ill");
    return call.json.stream ? talk("hi")(call) : reply(200, completion("hi"));
  };
  a.always(script);
  b.always(answer("hi"));
  const requests = Array.from({ length: count }, (_, index) =>
    chat(neap, say("pool", { stream: index % 2 === 0 })),
  );
  for (const seen of await Promise.all(requests)) assert.equal(seen.content, "hi", seen.text);
  await neap.settled();
});

test("hedge: a second target where the first is slow", async (t) => {
  const { a, b, neap } = await pool(t, {
    policies: [use("hedge", { after: 0.1, share: 1 }), "priority_failover", "key_rotation"],
  });

  await t.test("the second wins, the first is closed and booked", async () => {
    a.next([SILENCE]);
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.headers["x-neap-provider"], "b");
    check(t, (await a.calls[0].closed) - b.calls[0].at);
    assert.deepEqual(outcomes(await neap.line(seen)), ["a/m lost", "b/m 200"]);
  });

  await t.test("the first is asked as before: what was lost counts against nobody", async () => {
    assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "a");
  });

  await t.test("a failure in time is the walker's", async () => {
    a.next(error(500, "ill"));
    const asked = b.calls.length;
    assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "b");
    assert.equal(b.calls.length, asked + 1);
  });
});

test("hedge: the share is that of all workers", async (t) => {
  const { a, b, neap } = await pool(
    t,
    {
      policies: [use("hedge", { after: 0.05, share: 0.25 }), "priority_failover"],
    },
    {},
    { first: { workers: 4 } },
  );
  a.always(async (call) => {
    /* Late enough that each request would like a second target. */
    await until(() => a.calls.length === 40, "all requests");
    await Promise.race([call.closed, new Promise((resolve) => setTimeout(resolve, 300))]);
    return answer("late")(call);
  });
  b.always(answer("second"));
  const requests = Array.from({ length: 40 }, () => chat(neap, say("pool")));
  const seen = await Promise.all(requests);
  for (const one of seen) assert.equal(one.status, 200, one.text);
  assert.ok(b.calls.length <= 10, `${b.calls.length} of 40 requests had a second attempt`);
  assert.ok(b.calls.length >= 8, `${b.calls.length} of 40 requests had a second attempt`);
});
