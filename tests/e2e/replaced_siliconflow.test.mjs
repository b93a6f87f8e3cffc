/* What users of SiliconFlow API Proxy do: log in with a cookie, paste keys, refresh and export
 * them, chat with one API key for all, and look at logs and statistics. */
import test from "node:test";
import assert from "node:assert/strict";
import { cookie_of, PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, get, say } from "./support/client.mjs";
import { provider, token } from "./support/lua.mjs";
import { until } from "./support/story.mjs";
import { answer as answers, error, reply, upstream, USAGE } from "./support/upstream.mjs";

const RICH = "sk-pool-rich-aaaaaaaaaaaaaaaa0001",
  POOR = "sk-pool-poor-bbbbbbbbbbbbbbbb0002",
  EMPTY = "sk-pool-empty-ccccccccccccccc0003",
  WRONG = "sk-pool-wrong-ddddddddddddddd0004";
const MODEL = "Qwen/Qwen2.5-7B-Instruct";
const API_KEY = "the-one-api-key-of-all-clients";
const bearer = { authorization: `Bearer ${API_KEY}` };

/* Its service: accounts with balances, which are texts, and completions. */
const service = (accounts) => (call) => {
  const balance = accounts[call.key];
  if (call.path !== "/v1/user/info") return answers("ok")(call);
  if (typeof balance === "number") return error(balance, "no");
  if (!balance) return error(401, "Invalid token");
  const data = { id: "u", balance: "0", status: "normal", chargeBalance: "0" };
  return reply(200, { code: 20000, status: true, data: { ...data, totalBalance: balance } });
};

async function start(t, accounts = { [RICH]: "90.5", [POOR]: "9.5", [EMPTY]: "0" }) {
  const up = await upstream(t);
  up.always(service(accounts));
  const config = [
    provider("siliconflow", up, {
      keys: [],
      models: { [MODEL]: {} },
      balance: { path: "/v1/user/info", member: "data.totalBalance" },
    }),
    token("clients", { secret: API_KEY }),
  ].join("");
  const neap = await serve_admin(t, config);
  const logged_in = await neap.admin.login();
  assert.equal(typeof logged_in.json.message, "string");
  const cookie = cookie_of(logged_in);
  const ask = (path, options = {}) =>
    neap.admin.call(path, { ...options, headers: { cookie, ...options.headers } });
  const call = async (path, body) => {
    const answer = await ask(path, { body });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.json;
  };
  const paste = (...keys) => call("/import_keys", { keys: keys.join("\n") });
  return { up, neap, ask, call, paste, accounts };
}

test("keys: pasted, listed, refreshed, exported, and never lost to an outage", async (t) => {
  const { up, ask, call, paste, accounts } = await start(t);
  assert.deepEqual(await paste(` ${RICH}`, "", POOR, RICH, EMPTY, WRONG), {
    message: "导入成功 2 个，有重复 1 个，无效 2 个",
  });
  assert.deepEqual(await paste(RICH), { message: "导入成功 0 个，有重复 1 个，无效 0 个" });
  assert.equal((await ask("/import_keys", { body: { keys: "\n" } })).status, 400);

  const listed = await call("/api/keys?page=1&sort_field=balance&sort_order=desc");
  assert.deepEqual(
    { ...listed, keys: listed.keys.map(({ key, balance, enabled }) => [key, balance, enabled]) },
    {
      keys: [
        ["sk-…0001", 90.5, 1],
        ["sk-…0002", 9.5, 1],
      ],
      total: 2,
      page: 1,
      page_size: 10,
    },
  );
  const info = await call(`/api/key_info?key=${RICH}`);
  assert.deepEqual([info.key, info.balance, info.usage_count], ["sk-…0001", 90.5, 0]);
  assert.equal((await ask("/api/key_info?key=sk-nobody")).status, 404);

  accounts[POOR] = "8.25";
  const refreshed = await call("/api/refresh_key", { key: POOR });
  assert.equal(refreshed.balance, 8.25);

  accounts[RICH] = accounts[POOR] = 503;
  assert.match((await call("/refresh", {})).message, /移除 0 个/);
  up.always(error(500, "it is down"));
  assert.match((await call("/refresh", {})).message, /移除 0 个/);
  assert.equal((await call("/api/keys")).total, 2, "an outage takes no key away");
  up.always(service(accounts));
  accounts[RICH] = "90.5";
  accounts[POOR] = 401;
  assert.match((await call("/refresh", {})).message, /有效 1 个，停用 1 个，移除 0 个/);
  const states = (await call("/api/keys")).keys.map(({ key, enabled }) => [key, enabled]);
  assert.deepEqual(new Map(states), new Map([["sk-…0001", 1], ["sk-…0002", 0]]));

  const refused = await ask("/export_keys");
  assert.equal(refused.status, 400, "the password is asked for again");
  const exported = await ask("/export_keys", { headers: { "x-neap-password": PASSWORD } });
  assert.match(exported.headers["content-disposition"], /keys\.txt/);
  assert.deepEqual(exported.text.trim().split("\n").toSorted(), [POOR, RICH]);
});

test("one API key for clients: models, completions, streams, and no open route", async (t) => {
  const { up, neap, paste } = await start(t);
  await paste(RICH, POOR);
  const models = await get(neap, "/v1/models", bearer);
  assert.deepEqual(models.json.data.map((model) => model.id), [MODEL]);
  assert.equal((await get(neap, "/v1/models")).status, 401, "GETs were open");

  const answer = await chat(neap, say(MODEL), bearer);
  assert.equal(answer.content, "ok");
  assert.ok([RICH, POOR].includes(up.last.key), "with a key of the pool");
  assert.ok(!up.last.head.includes(API_KEY));
  const streamed = await chat(neap, say(MODEL, { stream: true }), bearer);
  assert.equal(streamed.content, "ok");
  assert.equal((await chat(neap, say(MODEL))).status, 401);

  up.always((call) => (call.key === RICH ? error(401, "Invalid token") : answers("ok")(call)));
  for (let asked = 0; asked < 3; asked++) {
    assert.equal((await chat(neap, say(MODEL), bearer)).status, 200, "another key answers");
  }
  assert.equal(up.calls.slice(-2).filter((call) => call.key === RICH).length, 0);
});

test("logs and statistics tie out with what was asked", async (t) => {
  const { neap, ask, call, paste } = await start(t);
  await paste(RICH, POOR);
  const asked = 12;
  assert.equal((await get(neap, "/v1/models", bearer)).status, 200); // no call
  for (let index = 0; index < asked; index++) {
    await chat(neap, say(MODEL, { stream: index % 2 === 0 }), bearer);
  }
  const first = await until(async () => {
    const page = await call("/logs?page=1&model=");
    return page.total === asked && page;
  }, "all requests in /logs");
  assert.deepEqual([first.logs.length, first.page, first.page_size], [10, 1, 10]);
  assert.equal((await call("/logs?page=2")).logs.length, 2);
  assert.equal((await call("/logs?model=qwen2.5")).total, asked);
  assert.equal((await call("/logs?model=deepseek")).total, 0);
  const [one] = first.logs;
  assert.match(one.api_key, /^sk-…000[12]$/);
  assert.deepEqual(
    [one.model, one.input_tokens, one.output_tokens, one.total_tokens],
    [MODEL, USAGE.prompt_tokens, USAGE.completion_tokens, USAGE.total_tokens],
  );

  assert.deepEqual(await call("/api/stats/overview"), {
    key_count: 2,
    total_balance: 100,
    total_calls: asked,
    total_tokens: asked * USAGE.total_tokens,
  });
  const today = new Date();
  const days = new Date(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + 1, 0)).getUTCDate();
  for (const [path, labels] of [
    ["/api/stats/daily", 24],
    ["/api/stats/monthly", days],
  ]) {
    const chart = await call(`${path}?zone=UTC`);
    const sum = (list) => list.reduce((total, value) => total + value, 0);
    assert.equal(chart.labels.length, labels);
    assert.equal(sum(chart.calls), asked, path);
    assert.equal(sum(chart.input_tokens), asked * USAGE.prompt_tokens);
    assert.equal(sum(chart.output_tokens), asked * USAGE.completion_tokens);
    assert.deepEqual(chart.model_labels, [MODEL]);
    assert.deepEqual(chart.model_tokens, [asked * USAGE.total_tokens]);
  }
  const used = (await call("/api/keys")).keys.map((key) => key.usage_count);
  assert.equal(used.reduce((total, count) => total + count, 0), asked);

  assert.equal(typeof (await call("/clear_logs", {})).message, "string");
  assert.equal((await call("/logs")).total, 0);
  assert.equal((await call("/api/stats/overview")).total_calls, asked, "sums stay");

  const out = await ask("/logout");
  assert.deepEqual([out.status, out.headers.location], [303, "/"]);
  assert.equal((await ask("/logs")).status, 401);
});

test("health and the timer of refreshes", async (t) => {
  const { neap, call, paste } = await start(t);
  const stranger = await neap.admin.call("/health");
  assert.deepEqual([stranger.json.status, stranger.json.api_keys], ["healthy", "unavailable"]);
  await paste(RICH, POOR);
  const begun = await call("/admin/restart_auto_refresh", {});
  assert.equal(typeof begun.message, "string");
  const health = await until(async () => {
    const now = await call("/health");
    return now.auto_refresh.run_count > 0 && !now.auto_refresh.running && now;
  }, "a run of the refresh in /health");
  assert.deepEqual([health.api_keys, health.api_keys_count], ["available", 2]);
  const { performance, last_batch, next_run_in, enabled } = health.auto_refresh;
  assert.equal(enabled, true);
  assert.deepEqual([last_batch.processed, last_batch.updated, last_batch.removed], [2, 2, 0]);
  assert.equal(performance.success_rate, 100);
  assert.ok(next_run_in > 0);

  const off = await neap.admin.call("/api/v1/settings", {
    method: "PATCH",
    session: await neap.admin.session(),
    body: { refresh_every: 0 },
  });
  assert.equal(off.status, 200, off.text);
  assert.equal((await call("/health")).auto_refresh.enabled, false);
});

test("without a login there is nothing but health", async (t) => {
  const { neap } = await start(t);
  for (const path of [
    "/api/keys",
    "/api/key_info",
    "/logs",
    "/api/stats/overview",
    "/api/stats/daily",
    "/api/stats/monthly",
    "/export_keys",
  ]) {
    const answer = await neap.admin.call(path);
    assert.equal(answer.status, 401, path);
    assert.equal(typeof answer.json.detail, "string");
  }
  for (const path of ["/import_keys", "/refresh", "/clear_logs", "/admin/restart_auto_refresh"]) {
    assert.equal((await neap.admin.call(path, { body: {} })).status, 401, path);
  }
});
