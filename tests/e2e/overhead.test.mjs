/* x-neap-overhead-ms: what neap itself took, without its client and its providers. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, get, open, say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { answer, error, talk, upstream } from "./support/upstream.mjs";

const SLOW_MS = 300;
const pause = () => new Promise((resolve) => setTimeout(resolve, SLOW_MS));
const slow = (script) => async (call) => {
  await pause();
  return typeof script === "function" ? script(call) : script;
};

/* The header of an answer; it has the form of a number of milliseconds. */
function overhead(seen) {
  const text = seen.headers["x-neap-overhead-ms"];
  assert.match(text ?? "", /^\d+\.\d{3}$/, `${seen.status} ${seen.text}`);
  return Number(text);
}

/* Waits of so many times SLOW_MS were not neap's. */
async function is_without(neap, seen, waits) {
  const { ms } = await neap.line(seen);
  assert.ok(ms >= waits * SLOW_MS - 20, `the request waited: ${ms} ms`);
  assert.ok(overhead(seen) <= ms + 1 - waits * (SLOW_MS - 10), `${overhead(seen)} of ${ms} ms`);
}

test("what the provider takes is not neap's", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + provider("b", up) + group("pool", ["a", "b"]));
  await t.test("whole, as it came", async () => {
    up.next(slow(answer("hi")));
    await is_without(neap, await chat(neap, say("pool")), 1);
  });
  await t.test("streamed, as it came", async () => {
    up.next(slow(talk("hi")));
    await is_without(neap, await chat(neap, say("pool", { stream: true })), 1);
  });
  await t.test("a stream that nobody asked for", async () => {
    up.next(slow(talk("hi")));
    await is_without(neap, await chat(neap, say("pool")), 1);
  });
  await t.test("with a failover", async () => {
    up.next(slow(error(500)), slow(answer("hi")));
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.headers["x-neap-attempts"], "2");
    await is_without(neap, seen, 2);
  });
  await t.test("an error", async () => {
    up.next(slow(error(400)));
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.status, 400);
    await is_without(neap, seen, 1);
  });
});

test("what the client takes is not neap's", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  for (const size of [10, 200000])
    await t.test(`a body of ${size} bytes`, async () => {
      const body = Buffer.from(JSON.stringify(say("pool", { user: "x".repeat(size) })));
      const seen = await (
        await open(neap, "/v1/chat/completions", {
          headers: { "content-type": "application/json", "content-length": body.length },
          async write(request) {
            request.write(body.subarray(0, 5));
            await pause();
            request.end(body.subarray(5));
          },
        })
      ).whole();
      assert.equal(seen.status, 200, seen.text);
      await is_without(neap, seen, 1);
    });
});

test("what a policy waits for is neap's", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"], { policies: ["dawdle"] }), {
    files: {
      "policies/dawdle.lua": `local policy = require "neap.policy"
        local dawdle = policy.define { summary = "Waits." }
        function dawdle:run(request, next)
          self:sleep(${SLOW_MS / 1000})
          return next(request)
        end
        return dawdle`,
    },
  });
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 200, seen.text);
  assert.ok(overhead(seen) >= SLOW_MS - 10, `${overhead(seen)} ms`);
});

test("legs of a race", async (t) => {
  const [first, second] = [await upstream(t), await upstream(t)];
  const neap = await serve(
    t,
    provider("a", first) +
      provider("b", second) +
      group("pool", ["a", "b"], { policies: ["both"] }),
    {
      files: {
        "policies/both.lua": `local policy = require "neap.policy"
        local both = policy.define { summary = "Asks both at once." }
        function both:run(request, next)
          local legs = {}
          for place, target in ipairs(request.targets) do
            legs[place] = { request:with { target = target } }
          end
          return request:race(next, legs)
        end
        return both`,
      },
    },
  );
  first.always(slow(slow(answer("late"))));
  second.always(slow(answer("soon")));
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.content, "soon", seen.text);
  await is_without(neap, seen, 1);
});

test("every answer to a client has it, and the figures count what providers were asked for", async (t) => {
  const up = await upstream(t);
  const secret = "a-secret-of-the-story-0123";
  const neap = await serve_admin(
    t,
    provider("a", up) +
      group("pool", ["a"]) +
      group("own", ["a"], { policies: ["echo"] }) +
      token("t", { secret }),
  );
  const bearer = { authorization: `Bearer ${secret}` };
  overhead(await chat(neap, say("pool"), bearer));
  overhead(await chat(neap, say("pool", { stream: true }), bearer));
  overhead(await chat(neap, say("own"), bearer));
  overhead(await chat(neap, say("pool")));
  overhead(await chat(neap, say("nowhere"), bearer));
  overhead(await get(neap, "/v1/models", bearer));
  overhead(await get(neap, "/nowhere", bearer));
  overhead(await get(neap, "/healthz"));

  const as = await neap.admin.token("read");
  const { text, headers } = await neap.admin.call("/metrics", { as });
  assert.ok(!("x-neap-overhead-ms" in headers), "of what the admin side answers it says nothing");
  assert.match(text, /^neap_overhead_answers_total 2$/m);
  const phase = (name) =>
    Number(new RegExp(`^neap_overhead_seconds_total\\{phase="${name}"\\} (\\S+)$`, "m").exec(text)[1]);
  assert.ok(phase("routing") > 0 && phase("routing") < 20, text);
  assert.ok(phase("answer") > 0 && phase("answer") < 20, text);
});
