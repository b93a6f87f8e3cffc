/* x-neap-trace: why a request went where it went, for whoever may ask. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { error, upstream } from "./support/upstream.mjs";

const ASKS = { "x-neap-trace": "1" };
const KEY = "sk-a-very-secret-key";

test("x-neap-trace", async (t) => {
  const a = await upstream(t),
    b = await upstream(t);
  const neap = await serve(
    t,
    provider("a", a, { keys: [{ secret: KEY, id: "first" }] }) +
      provider("b", b) +
      group("pool", ["a", "b"]) +
      group("broken", ["a"], { policies: ["quotes"] }) +
      token("may", { secret: "secret-of-who-may-trace", rights: ["trace"] }) +
      token("not", { secret: "secret-of-who-may-not-trace" }),
    {
      files: {
        "policies/quotes.lua": `local policy = require "neap.policy"
local own = policy.define { summary = "Notes what it gets." }
function own:run(request, next)
  local response = next(request)
  self:note("%s", response.body)
  error("broken")
end
return own
`,
      },
    },
  );
  const may = { authorization: "Bearer secret-of-who-may-trace", ...ASKS };
  const not = { authorization: "Bearer secret-of-who-may-not-trace", ...ASKS };

  await t.test("tells of each attempt and note, with keys by their id", async () => {
    a.next(error(500, "ill"));
    const seen = await chat(neap, say("pool"), may);
    assert.match(
      seen.headers["x-neap-trace"],
      /^priority_failover takes a\/m; key_rotation takes key first; attempt 1: a\/m with key first: 500 after \d+ ms; a\/m: 500 \[policies\/priority_failover\.lua:\d+\]; priority_failover takes b\/m; key_rotation takes key b-1; attempt 2: b\/m with key b-1: 200 after \d+ ms$/,
    );
  });

  await t.test("on streams too", async () => {
    const seen = await (await open_chat(neap, say("pool", { stream: true }), may)).whole();
    assert.equal(seen.events.at(-1), "[DONE]");
    assert.match(seen.headers["x-neap-trace"], /attempt 1: .* 200 .*; not tried: b\/m, ready$/);
  });

  await t.test("on a failure, without the key that the provider quotes", async () => {
    a.next(error(401, `wrong key ${KEY}`));
    const seen = await chat(neap, say("broken"), may);
    assert.equal(seen.status, 500);
    const told = seen.headers["x-neap-trace"];
    assert.match(told, /wrong key \[key first\].*; quotes failed: policies\/quotes\.lua:6: broken/);
    assert.ok(!told.includes(KEY), told);
  });

  await t.test("only with the right, and only where asked", async () => {
    assert.equal((await chat(neap, say("pool"), not)).headers["x-neap-trace"], undefined);
    for (const value of ["0", "true", ""]) {
      const seen = await chat(neap, say("pool"), { ...may, "x-neap-trace": value });
      assert.equal(seen.status, 200);
      assert.equal(seen.headers["x-neap-trace"], undefined, value);
    }
    const stranger = await chat(neap, say("pool"), ASKS);
    assert.equal(stranger.status, 401);
    assert.equal(stranger.headers["x-neap-trace"], undefined);
  });

  await t.test("a model that there is not has no story", async () => {
    const seen = await chat(neap, say("nothing"), may);
    assert.equal(seen.status, 404);
    assert.equal(seen.headers["x-neap-trace"], undefined);
  });
});

test("without any token who is served may ask", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const seen = await chat(neap, say("pool"), ASKS);
  assert.match(seen.headers["x-neap-trace"], /attempt 1: a\/m with key a-1: 200/);
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-trace"], undefined);
});
