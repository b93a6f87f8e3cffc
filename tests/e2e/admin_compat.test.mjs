/* The paths of replaced systems on the admin listener, through the real program. */
import test from "node:test";
import assert from "node:assert/strict";
import { PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { until } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

test("a script of SiliconFlow API Proxy reads keys, logs and statistics", async (t) => {
  const up = await upstream(t);
  const neap = await serve_admin(t, provider("a", up) + group("pool", ["a"]));
  const as = await neap.admin.token("read");
  for (let asked = 0; asked < 3; asked++) await chat(neap, say("pool"));

  for (const path of ["/api/keys", "/logs", "/api/stats/overview", "/api/key_info"])
    assert.equal((await neap.admin.call(path)).status, 401, path);

  const seen = await until(async () => {
    const logs = await neap.admin.call("/logs", { as });
    assert.equal(logs.status, 200, logs.text);
    return logs.json.total === 3 && logs;
  }, "three requests in /logs");
  assert.equal(seen.json.logs.length, 3);

  const keys = await neap.admin.call("/api/keys", { as });
  assert.equal(keys.status, 200, keys.text);
  assert.doesNotMatch(keys.text, /sk-a-secret-0001/);

  for (const path of ["/api/stats/overview", "/api/stats/daily", "/api/stats/monthly"]) {
    const stats = await neap.admin.call(path, { as });
    assert.equal(stats.status, 200, `${path}: ${stats.text}`);
    const { total_calls, calls } = stats.json;
    assert.equal(total_calls ?? calls.reduce((sum, one) => sum + one, 0), 3, path);
  }
});

test("a script of NiceAPI makes a provider, a group and a key, and a client uses them", async (t) => {
  const up = await upstream(t);
  const neap = await serve_admin(t, provider("a", up), { first: { private_upstreams: "true" } });
  const { admin } = neap;
  const logged_in = await admin.call("/api/auth/login", {
    body: { username: "admin", password: PASSWORD },
  });
  const as = logged_in.json.access_token;
  const call = async (path, method, body) => {
    const answer = await admin.call(path, { as, method, body });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.json;
  };

  const secret = "sk-of-a-script-000001";
  const made = await call("/api/providers/", "POST", {
    name: "mine",
    api_endpoint: `${up.url}/v1/chat/completions`,
    api_key: secret,
    model: "m",
    price_per_million_tokens: 2,
  });
  const fast = await call("/api/groups/", "POST", { name: "fast" });
  await call(`/api/groups/${fast.id}/providers/${made.id}`, "POST", { priority: 1 });
  const key = await call("/api/keys/", "POST", { name: "app", group_ids: [fast.id] });
  const answer = await chat(neap, say("fast"), { authorization: `Bearer ${key.key}` });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(up.calls.at(-1).key, secret);

  await neap.admin.restart();
  const groups = (await call("/api/groups/", "GET")).items;
  assert.deepEqual(
    groups.map(({ id, providers }) => [id, providers.map((one) => one.id)]),
    [[fast.id, [made.id]]],
    "numbers outlive the process",
  );
  const listed = await admin.call("/api/providers/", { as });
  assert.equal(listed.text.includes(secret), false);
  const logs = await until(async () => {
    const found = await call("/api/logs/?limit=5", "GET");
    return found.total === 1 && found;
  }, "the request in /api/logs/");
  assert.equal(logs.items[0].provider.id, made.id);
  assert.equal(logs.items[0].api_key.id, key.id);
  const charts = await call("/api/dashboard/stats", "GET");
  assert.equal(charts.summary.total_calls, 1);
  assert.equal(charts.summary.total_tokens, logs.items[0].total_tokens);
  await call(`/api/providers/${made.id}`, "PATCH", { is_active: false });
  const refused = await chat(neap, say("fast"), { authorization: `Bearer ${key.key}` });
  assert.notEqual(refused.status, 200);
});
