/* The whole stored configuration leaves one neap and comes in again; secrets travel sealed. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { serve_admin } from "./support/admin.mjs";
import { upstream } from "./support/upstream.mjs";

const FIRST = { private_upstreams: "true", workers: "2" };
const SECRET = "sk-the-exported-secret-1111";

const fine = (answer) => {
  assert.ok(answer.status < 300, answer.text);
  return answer.json;
};

/* Without what is sealed anew by each export. */
const without_sealed = (document) =>
  JSON.stringify(document, (name, value) => (name === "sealed" ? Object.keys(value) : value));

test("export, wipe, import: the same configuration, for clients too", async (t) => {
  const up = await upstream(t);
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write", "keys");
  const post = async (path, body) => fine(await admin.call(`/api/v1/${path}`, { as, body }));
  await post("providers", {
    name: "one",
    dialect: "openai",
    url: `http://127.0.0.1:${up.port}/v1`,
    headers: { "x-own": "a-header-of-its-own" },
  });
  await post("providers/one/keys", { secret: SECRET });
  await post("groups", { name: "g", targets: [{ provider: "one", model: "m" }] });
  const { secret } = await post("tokens", { name: "app", groups: ["g"] });
  const auth = { authorization: `Bearer ${secret}` };

  const exported = await admin.call("/api/v1/configuration/export", { as });
  fine(exported);
  for (const text of [SECRET, "a-header-of-its-own", secret])
    assert.ok(!exported.text.includes(text), "a secret in clear");
  const document = exported.json;

  const none = { format: "neap.configuration", version: 1, records: {} };
  const wiped = await post("configuration/import?mode=replace", none);
  assert.deepEqual(wiped.counts, { remove: 4 });
  assert.notEqual((await chat(neap, say("g"), auth)).status, 200);

  const dry = await post("configuration/import?dry_run=true", document);
  assert.deepEqual([dry.counts, dry.problems, dry.is_applied], [{ add: 4 }, [], false]);
  assert.deepEqual((await post("configuration/import?mode=replace", document)).counts, { add: 4 });
  const again = await admin.call("/api/v1/configuration/export", { as });
  assert.equal(without_sealed(again.json), without_sealed(document));
  assert.equal((await chat(neap, say("g"), auth)).status, 200);
  const call = up.calls.at(-1);
  assert.equal(call.key, SECRET);
  assert.equal(call.headers["x-own"], "a-header-of-its-own");
  assert.deepEqual((await post("configuration/import?mode=replace", again.json)).counts, {
    keep: 4,
  });

  await t.test("another neap, with a master key of its own, says what it cannot open", async (t) => {
    const other = await serve_admin(t, "", { first: FIRST });
    const as = await other.admin.token("write", "keys");
    const path = "/api/v1/configuration/import";
    const refused = await other.admin.call(path, { as, body: document });
    assert.equal(refused.status, 422, refused.text);
    assert.equal(refused.json.error.code, "sealed_elsewhere");
    const names = refused.json.error.details.map((line) => line.split(":")[0].split("/")[0]);
    assert.deepEqual(names, ["key", "provider", "token"]);
    const listed = await other.admin.call("/api/v1/groups", { as });
    assert.deepEqual(listed.json.items, [], "nothing was taken in");
  });

  await t.test("it is still there when neap is started anew", async () => {
    await admin.restart();
    assert.equal((await chat(neap, say("g"), auth)).status, 200);
  });
});

test("2,000 keys go out and come in at once", async (t) => {
  const neap = await serve_admin(t, "", { first: FIRST });
  const { admin } = neap;
  const as = await admin.token("write", "keys");
  const post = async (path, body) => fine(await admin.call(`/api/v1/${path}`, { as, body }));
  await post("providers", { name: "pool", dialect: "openai", url: "http://127.0.0.1:9/v1" });
  const text = Array.from({ length: 2000 }, (_, index) => `sk-a-key-of-the-pool-${index}`).join("\n");
  await post("providers/pool/keys/import", { text, check: false });
  const document = fine(await admin.call("/api/v1/configuration/export", { as }));
  await post("configuration/import?mode=replace", { ...document, records: {} });
  const done = await post("configuration/import", document);
  assert.deepEqual(done.counts, { add: 2001 });
  assert.equal((await admin.call("/api/v1/providers/pool", { as })).json.key_count, 2000);
});
