/* What the admin side stores is what clients get: in force within a second on every worker,
 * checked as a whole first, and still there when neap is started anew. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { serve_admin } from "./support/admin.mjs";
import { reply, upstream } from "./support/upstream.mjs";
import { until, within } from "./support/story.mjs";

const FIRST = { private_upstreams: "true", workers: "2" };

const made = (answer) => assert.equal(answer.status, 201, answer.text);

/* A provider at an upstream, with keys. */
async function provide(admin, as, name, up, fields = {}) {
  made(
    await admin.call("/api/v1/providers", {
      as,
      body: { name, dialect: "openai", url: `http://127.0.0.1:${up.port}/v1`, ...fields },
    }),
  );
}

const add_key = async (admin, as, provider, secret) =>
  made(await admin.call(`/api/v1/providers/${provider}/keys`, { as, body: { secret } }));

test("a whole configuration over HTTP, for clients at once, and after a restart", async (t) => {
  const one = await upstream(t);
  const two = await upstream(t);
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write", "keys");
  await provide(admin, as, "one", one, { models: { m: { input: 1, output: 2 } } });
  await provide(admin, as, "two", two);
  await add_key(admin, as, "one", "sk-the-first-secret-1111");
  await add_key(admin, as, "two", "sk-the-other-secret-2222");
  const group = { name: "fast", targets: [{ provider: "one", model: "m" }] };
  const answer = await admin.call("/api/v1/groups", { as, body: group });
  made(answer);
  const token = await admin.call("/api/v1/tokens", { as, body: { name: "app", groups: ["fast"] } });
  made(token);
  const auth = { authorization: `Bearer ${token.json.secret}` };

  assert.equal((await chat(neap, say("fast"))).status, 401, "a token is needed now");
  assert.equal((await chat(neap, say("fast"), auth)).status, 200);
  assert.equal((await one.call()).key, "sk-the-first-secret-1111");

  await t.test("a changed group is in force when the answer comes", async () => {
    const began = performance.now();
    const changed = await admin.call("/api/v1/groups/fast", {
      method: "PATCH",
      as,
      headers: { "if-match": answer.headers.etag },
      body: { targets: [{ provider: "two", model: "m2" }] },
    });
    assert.equal(changed.status, 200, changed.text);
    assert.ok(performance.now() - began < within(1000), "within a second");
    const before = one.calls.length;
    for (let index = 0; index < 8; index++)
      assert.equal((await chat(neap, say("fast"), auth)).status, 200);
    assert.equal(one.calls.length, before);
    assert.equal(two.calls.at(-1).json.model, "m2");
  });

  await t.test("one that is wrong is refused with its reason, and nothing changes", async () => {
    const generation = await neap.generation();
    const refused = await admin.call("/api/v1/groups/fast", {
      method: "PATCH",
      as,
      body: { policies: [{ name: "rate_limit", settings: { no_such: 1 } }] },
    });
    assert.equal(refused.status, 422);
    assert.equal(refused.json.error.code, "invalid_configuration");
    assert.match(refused.json.error.details[0], /group\/fast: .*rate_limit: .*no_such/);
    const gone = await admin.call("/api/v1/providers/two", { method: "DELETE", as });
    assert.match(gone.json.error.details[0], /no provider "two"/);
    assert.equal(await neap.generation(), generation);
    assert.equal((await chat(neap, say("fast"), auth)).status, 200);
  });

  await t.test("a key that is disabled by hand gets no request, until it is enabled", async () => {
    const listed = await admin.call("/api/v1/providers/two/keys", { as: await admin.token("read") });
    const [key] = listed.json.items;
    assert.equal(key.tail, "…2222");
    const path = `/api/v1/providers/two/keys/${key.id}/state`;
    await admin.call(path, { as, body: { state: "disabled", why: "leaked" } });
    const before = two.calls.length;
    assert.notEqual((await chat(neap, say("fast"), auth)).status, 200);
    assert.equal(two.calls.length, before);
    await admin.call(path, { as, body: { state: "ready" } });
    assert.equal((await chat(neap, say("fast"), auth)).status, 200);
  });

  await admin.restart();
  assert.equal((await chat(neap, say("fast"), auth)).status, 200);
  assert.equal(two.calls.at(-1).key, "sk-the-other-secret-2222");
  for (const secret of ["first-secret", "other-secret", token.json.secret])
    assert.ok(!neap.text().includes(secret), "a secret in the log");
});

test("what a write answers is what is read then, and another's change is not overwritten", async (t) => {
  const up = await upstream(t);
  const { admin } = await serve_admin(t, "", { first: FIRST });
  const as = await admin.token("write", "keys");
  const write = async (method, path, body, headers) => {
    const answer = await admin.call(path, { method, as, body, headers });
    assert.ok(answer.status < 300, answer.text);
    const at = method === "POST" ? `${path}/${answer.json.id ?? answer.json.name}` : path;
    const read = await admin.call(at, { as });
    assert.deepEqual(answer.json, read.json, `${method} ${path} ${JSON.stringify(body)}`);
    assert.equal(answer.headers.etag, read.headers.etag);
    assert.ok(read.headers.etag);
    return { ...answer.json, at, tag: read.headers.etag };
  };
  const { url } = up;
  const free = { name: "free", dialect: "openai", url, keyless: true };
  assert.equal((await write("POST", "/api/v1/providers", free)).is_on, true);
  for (const off of [true, false]) {
    const answer = await write("PATCH", "/api/v1/providers/free", { off });
    assert.equal(answer.is_on, !off);
  }
  await write("POST", "/api/v1/providers", { name: "paid", dialect: "openai", url });
  const key = await write("POST", "/api/v1/providers/paid/keys", {
    secret: "sk-the-first-secret-1111",
  });
  for (const off of [true, false]) {
    const answer = await write("PATCH", "/api/v1/providers/paid", { off: !off });
    assert.equal(answer.key_count, off ? 1 : 0);
    if (off) assert.equal((await write("PATCH", key.at, { off })).state, "absent");
  }
  await write("PATCH", "/api/v1/providers/paid", { off: false });
  const known = await admin.call(key.at, { as });
  assert.equal((await write("PATCH", key.at, { off: false })).state, "ready");
  for (const method of ["PATCH", "DELETE"]) {
    const late = await admin.call(key.at, {
      method,
      as,
      headers: { "if-match": known.headers.etag },
      body: method === "PATCH" ? { label: "late" } : undefined,
    });
    assert.equal(late.status, 412, late.text);
  }
});

test("a stored keyword makes an answer a failure, at once", async (t) => {
  const bad = await upstream(t);
  const good = await upstream(t);
  bad.always(
    reply(200, { choices: [{ message: { role: "assistant", content: "Quota exceeded, sorry" } }] }),
  );
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write");
  await provide(admin, as, "bad", bad, { keyless: true });
  await provide(admin, as, "good", good, { keyless: true });
  const targets = [
    { provider: "bad", model: "m", priority: 1 },
    { provider: "good", model: "m", priority: 2 },
  ];
  made(await admin.call("/api/v1/groups", { as, body: { name: "g", targets } }));
  assert.match((await chat(neap, say("g"))).text, /Quota exceeded/);
  made(await admin.call("/api/v1/keywords", { as, body: { text: "quota EXCEEDED" } }));
  assert.doesNotMatch((await chat(neap, say("g"))).text, /Quota exceeded/);
  const listed = await admin.call("/api/v1/keywords", { as });
  assert.equal(listed.json.items[0].hits, 1);
});

test("1,000 keys are verified, 20 at once at most, and an outage takes none away", async (t) => {
  const up = await upstream(t);
  let open = 0,
    most = 0;
  up.always((call) => [
    () => {
      most = Math.max(most, ++open);
    },
    () => new Promise((resolve) => setTimeout(resolve, 20)),
    () => {
      open--;
    },
    call.key.endsWith("7") ? reply(401, { error: { message: "no such key" } }) : reply(200, {
      data: { totalBalance: "3.5" },
    }),
  ]);
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write", "keys");
  await provide(admin, as, "pool", up, {
    balance: { path: "/v1/user/info", member: "data.totalBalance" },
  });
  const text = Array.from({ length: 1000 }, (_, index) => `sk-a-key-of-the-pool-${index}`).join("\n");
  const began = performance.now();
  const done = await admin.call("/api/v1/providers/pool/keys/import", { as, body: { text } });
  assert.equal(done.status, 200, done.text);
  assert.ok(performance.now() - began < within(10000), "within 10 s");
  assert.equal(done.json.added, 900);
  assert.deepEqual(done.json.counts, { good: 900, refused: 100 });
  assert.ok(most <= 20 && most > 5, `${most} at once`);

  up.always(reply(500, { error: { message: "away" } }));
  const again = await admin.call("/api/v1/providers/pool/keys/refresh", { as, method: "POST" });
  assert.deepEqual(again.json.counts, { unknown: 900 });
  let count = 0,
    cursor = "";
  do {
    const page = await admin.call(`/api/v1/providers/pool/keys?limit=500${cursor}`, { as });
    for (const key of page.json.items) assert.equal(`${key.state} ${key.balance}`, "ready 3.5");
    count += page.json.items.length;
    cursor = page.json.next_cursor && `&cursor=${page.json.next_cursor}`;
  } while (cursor);
  assert.equal(count, 900);
});

test("a stored policy runs, and one that would never end is refused", async (t) => {
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write");
  const put = (text) =>
    admin.call("/api/v1/policies/greet", { method: "PUT", as, body: { text } });
  const greet = (word) => `local policy = require "neap.policy"
local greet = policy.define { summary = "Greets." }
function greet:run(request) return request:reply { text = "${word}" } end
return greet
`;
  assert.equal((await put(greet("good morning"))).status, 200);
  made(await admin.call("/api/v1/groups", { as, body: { name: "g", policies: ["greet"] } }));
  assert.match((await chat(neap, say("g"))).text, /good morning/);
  const endless = await put("while true do end");
  assert.equal(endless.status, 422, endless.text);
  assert.match((await chat(neap, say("g"))).text, /good morning/);
  assert.equal((await put(greet("good evening"))).status, 200);
  assert.match((await chat(neap, say("g"))).text, /good evening/);
  await admin.call("/api/v1/policies/greet/versions/1/restore", { method: "POST", as });
  assert.match((await chat(neap, say("g"))).text, /good morning/);
});
