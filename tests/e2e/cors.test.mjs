/* CORS is off unless it is configured. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open, say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { upstream } from "./support/upstream.mjs";

const SECRET = "client-secret-0123456789",
  APP = "https://app.example";
const PATH = "/v1/chat/completions";
const preflight = async (neap, origin, path = PATH) =>
  (
    await open(neap, path, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    })
  ).whole();
const allowed = (seen) =>
  Object.keys(seen.headers).filter((name) => name.startsWith("access-control-"));

async function pool(t, cors) {
  const up = await upstream(t);
  return serve(
    t,
    provider("a", up) +
      group("pool", ["a"]) +
      token("client", { secret: SECRET, groups: ["pool"] }),
    { first: cors ? { cors } : {} },
  );
}

test("off: no header says that a page may read", async (t) => {
  const neap = await pool(t);
  assert.deepEqual(allowed(await preflight(neap, APP)), []);
  const seen = await chat(neap, say("pool"), { origin: APP, authorization: `Bearer ${SECRET}` });
  assert.equal(seen.status, 200, "with a token the origin does not matter");
  assert.deepEqual(allowed(seen), []);
});

test("on for one origin", async (t) => {
  const neap = await pool(t, `{ "${APP}" }`);
  const before = await preflight(neap, APP);
  assert.ok(before.status === 200 || before.status === 204, String(before.status));
  assert.equal(before.headers["access-control-allow-origin"], APP);
  assert.match(before.headers["access-control-allow-methods"], /POST/);
  assert.match(before.headers["access-control-allow-headers"], /authorization|\*/i);
  for (const is_stream of [false, true]) {
    const seen = await chat(neap, say("pool", { stream: is_stream }), {
      origin: APP,
      authorization: `Bearer ${SECRET}`,
    });
    assert.equal(seen.headers["access-control-allow-origin"], APP);
  }
  const refused = await chat(neap, say("pool"), {
    origin: APP,
    authorization: "Bearer some-wrong-secret-0",
  });
  assert.equal(refused.status, 401);
  assert.equal(
    refused.headers["access-control-allow-origin"],
    APP,
    "a page can read why it was refused",
  );
  assert.equal(
    refused.headers["access-control-expose-headers"],
    "*",
    "an SDK in a page reads x-should-retry and its kind",
  );
  assert.deepEqual(allowed(await preflight(neap, "https://evil.example")), []);

  await t.test("a page that asks for a path that is not there hears so", async () => {
    const asked = await preflight(neap, APP, "/v1/embeddings");
    assert.equal(asked.status, 204, asked.text);
    assert.equal(asked.headers["access-control-allow-origin"], APP);
    assert.equal(asked.headers["access-control-allow-methods"], "POST");
    const evil = await preflight(neap, "https://evil.example", "/v1/embeddings");
    assert.equal(evil.status, 401);
    assert.deepEqual(allowed(evil), []);
  });
});
