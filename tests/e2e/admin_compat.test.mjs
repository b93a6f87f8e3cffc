/* The paths of replaced systems on the admin listener, through the real program. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
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
