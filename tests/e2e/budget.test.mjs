/* limits: what one request may spend. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { SILENCE, error, refusing, upstream } from "./support/upstream.mjs";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"];

test("attempts", async (t) => {
  const ups = [];
  for (const name of NAMES) {
    const up = await upstream(t);
    ups.push(up.always(error(500, `${name} is ill`)));
  }
  const dead = await refusing();
  const neap = await serve(
    t,
    [
      ...NAMES.map((name, index) => provider(name, ups[index])),
      ...NAMES.map((name) => provider(`dead_${name}`, dead)),
      group("two", NAMES, { limits: { attempts: 2 } }),
      group("default", NAMES),
      group(
        "dead",
        NAMES.map((name) => `dead_${name}`),
        { limits: { attempts: 2 } },
      ),
    ].join(""),
  );
  const asked = () => ups.reduce((sum, up) => sum + up.calls.length, 0);

  await t.test("two: the third target is not asked, the last real answer comes back", async () => {
    const seen = await chat(neap, say("two"));
    assert.equal(asked(), 2);
    assert.equal(seen.status, 500, seen.text);
    assert.match(seen.json.error.message, /b is ill/);
    assert.equal(seen.headers["x-should-retry"], "false");
    assert.equal(seen.headers["x-neap-attempts"], "2");
  });

  await t.test("six where nothing is said", async () => {
    for (const up of ups) up.forget();
    await chat(neap, say("default"));
    assert.equal(asked(), 6);
  });

  await t.test("no real answer at all: 503 or the failure's own status", async () => {
    const seen = await chat(neap, say("dead"));
    assert.ok([502, 503].includes(seen.status), `${seen.status}: ${seen.text}`);
    assert.equal((await neap.line(seen)).attempts.length, 2);
    assert.equal(seen.headers["x-should-retry"], "false");
  });

  await t.test("keys count too", async () => {
    const up = await upstream(t);
    up.always(error(429, "slow down", { "retry-after": "60" }));
    neap.configure(
      provider("many", up, { keys: NAMES.map((name) => `sk-many-${name}-000000`) }) +
        group("many", ["many"], {
          limits: { attempts: 3 },
          policies: ["priority_failover", use("key_rotation", { tries: 5 })],
        }),
    );
    await neap.reload();
    assert.equal((await chat(neap, say("many"))).status, 429);
    assert.equal(up.calls.length, 3);
  });
});

test("seconds: no new attempt starts after them", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  first.always([SILENCE]);
  const neap = await serve(
    t,
    [
      provider("a", first, { timeouts: { first_byte: 1.5, total: 1.5 } }),
      provider("b", second),
      group("pool", ["a", "b"], { limits: { seconds: 1 } }),
    ].join(""),
  );
  const seen = await chat(neap, say("pool", { stream: true }));
  assert.ok([503, 504].includes(seen.status), `${seen.status}: ${seen.text}`);
  assert.equal(second.calls.length, 0);
});
