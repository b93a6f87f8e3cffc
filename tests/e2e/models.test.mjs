/* GET /v1/models and the three routes about health. */
import test from "node:test";
import assert from "node:assert/strict";
import { get } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { client_of } from "./support/sdk.mjs";
import { upstream } from "./support/upstream.mjs";

const ALL = "token-that-may-everything",
  FEW = "token-that-may-few-things";

test("models and health", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", up, { models: { m: {}, "vendor/model-x": {} } }),
      provider("b", up, { models: { m: {}, other: {} } }),
      group("pool", ["a", "b"]),
      group("hidden", ["b"]),
      token("all", { secret: ALL, groups: ["pool", "hidden"], providers: ["a", "b"] }),
      token("few", { secret: FEW, groups: ["pool"] }),
    ].join(""),
  );
  const bearer = (secret) => ({ authorization: `Bearer ${secret}` });
  const ids = (answer) => answer.json.data.map((model) => model.id);

  await t.test("a token sees its groups and models, each once", async () => {
    const answer = await get(neap, "/v1/models", bearer(ALL));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.object, "list");
    const seen = ids(answer);
    for (const id of ["pool", "hidden"]) assert.ok(seen.includes(id), `${id} in ${seen}`);
    assert.ok(
      seen.some((id) => id.endsWith("other")),
      `the provider's model in ${seen}`,
    );
    assert.equal(new Set(seen).size, seen.length, `no id twice: ${seen}`);
  });

  await t.test("and nothing else", async () => {
    const seen = ids(await get(neap, "/v1/models", bearer(FEW)));
    assert.ok(seen.includes("pool"), `${seen}`);
    assert.ok(!seen.includes("hidden"), `${seen}`);
    assert.ok(!seen.some((id) => id.includes("other")), `${seen}`);
  });

  await t.test("an item has OpenAI's and the older fields", async () => {
    const { json } = await get(neap, "/models", bearer(FEW));
    const item = json.data.find((model) => model.id === "pool");
    assert.equal(item.object, "model");
    assert.equal(typeof item.created, "number");
    assert.equal(typeof item.owned_by, "string");
    assert.ok(Array.isArray(item.permission), "permission is an array, also when it is empty");
    assert.equal(item.root, "pool");
    assert.ok("parent" in item);
  });

  await t.test("a provider's model by the name under which it can be asked for, too", async () => {
    const show = (id, secret) => get(neap, `/v1/models/${id}`, bearer(secret));
    assert.equal((await show("b%2Fother", ALL)).json.id, "b/other");
    assert.equal((await show("a/vendor/model-x", ALL)).json.owned_by, "a");
    for (const [id, secret] of [
      ["b/other", FEW],
      ["b/nothing", ALL],
      ["c/other", ALL],
    ])
      assert.equal((await show(id, secret)).status, 404, id);
  });

  await t.test("one of them by id", async () => {
    for (const path of ["/v1/models/pool", "/models/pool"]) {
      const answer = await get(neap, path, bearer(FEW));
      assert.equal(answer.status, 200, `${path}: ${answer.text}`);
      assert.equal(answer.json.id, "pool");
    }
    const hidden = await get(neap, "/v1/models/hidden", bearer(FEW));
    assert.ok([403, 404].includes(hidden.status), `a group of somebody else: ${hidden.status}`);
    assert.equal((await get(neap, "/v1/models/nothing", bearer(ALL))).status, 404);
  });

  await t.test("a model with a slash in its name, escaped and not", async () => {
    const seen = ids(await get(neap, "/v1/models", bearer(ALL)));
    const id = seen.find((name) => name.endsWith("vendor/model-x"));
    assert.ok(id, `vendor/model-x in ${seen}`);
    for (const path of [`/v1/models/${id}`, `/v1/models/${encodeURIComponent(id)}`]) {
      const answer = await get(neap, path, bearer(ALL));
      assert.equal(answer.status, 200, `${path}: ${answer.text}`);
      assert.equal(answer.json.id, id);
    }
  });

  await t.test("the SDK lists and retrieves", async () => {
    const client = client_of(neap, { apiKey: ALL });
    const seen = [];
    for await (const model of client.models.list()) seen.push(model.id);
    assert.ok(seen.includes("pool"));
    assert.equal((await client.models.retrieve("pool")).id, "pool");
  });

  await t.test("/health, /healthz and /readyz need no token", async () => {
    const health = await get(neap, "/health");
    assert.equal(health.status, 200, health.text);
    assert.equal(health.json.status, "healthy");
    assert.equal(health.json.api_keys, "available");
    assert.equal(health.json.api_keys_count, 2);
    assert.ok("timestamp" in health.json);
    assert.ok(health.json.neap.generation >= 1);
    assert.equal(typeof health.json.neap.open.attempts, "number");
    for (const path of ["/healthz", "/readyz"])
      assert.equal((await get(neap, path)).status, 200, path);
    assert.ok(
      !neap.text().includes("sk-a-secret") && !health.text.includes("sk-a-secret"),
      "no secret in either",
    );
  });
});
