/* What users of NiceAPI do: log in for a token, add providers with prices, import models, put
 * them into groups with priorities, move them, make keys for clients, and look at logs and
 * charts. */
import test from "node:test";
import assert from "node:assert/strict";
import { PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, get, say } from "./support/client.mjs";
import { until } from "./support/story.mjs";
import { answer as answers, error, reply, upstream, USAGE } from "./support/upstream.mjs";

const SECRETS = ["sk-provider-one-00000001", "sk-provider-two-00000002"];

/* A neap that knows nothing yet, two upstreams, and a script that is logged in. */
async function start(t) {
  const ups = [await upstream(t), await upstream(t)];
  const neap = await serve_admin(t, "", { first: { private_upstreams: "true" } });
  const logged_in = await neap.admin.call("/api/auth/login", {
    body: { username: "admin", password: PASSWORD },
  });
  assert.equal(logged_in.json.token_type, "bearer");
  const as = logged_in.json.access_token;
  const ask = (method, path, body) => neap.admin.call(`/api${path}`, { as, method, body });
  const call = async (method, path, body) => {
    const answer = await ask(method, path, body);
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`);
    return answer.json;
  };
  const add = (index, fields = {}) =>
    call("POST", "/providers/", {
      name: `provider ${index}`,
      api_endpoint: `${ups[index].url}/chat/completions`,
      api_key: SECRETS[index],
      model: "m",
      price_per_million_tokens: index + 1,
      type: "per_token",
      is_active: true,
      ...fields,
    });
  return { ups, neap, as, ask, call, add };
}

/* Two providers in a group by priority, and a client's key for it. */
async function start_group(t) {
  const story = await start(t);
  const { call, add } = story;
  const made = [await add(0), await add(1)];
  const group = await call("POST", "/groups/", { name: "fast" });
  for (const [index, one] of made.entries())
    await call("POST", `/groups/${group.id}/providers/${one.id}`, { priority: index + 1 });
  const key = await call("POST", "/keys/", {
    name: "app",
    is_active: true,
    group_ids: [group.id],
  });
  const client = { authorization: `Bearer ${key.key}` };
  return { ...story, made, group, key, client };
}

const ids_of = (group) => group.providers.map((one) => one.id);

test("providers, a group and a key; a client uses them, and numbers outlive the process", async (t) => {
  const { ups, neap, ask, call, add, made, group, key, client } = await start_group(t);
  const answer = await chat(neap, say("fast"), client);
  assert.equal(answer.content, "ok");
  assert.equal(ups[0].last.key, SECRETS[0], "the first priority");
  assert.equal((await chat(neap, say("fast", { stream: true }), client)).content, "ok");
  const models = await get(neap, "/v1/models", client);
  assert.deepEqual(models.json.data.map((model) => model.id), ["fast"]);

  const listed = await ask("GET", "/providers/?skip=0&limit=100");
  assert.equal(listed.json.total, 2);
  for (const secret of SECRETS) assert.ok(!listed.text.includes(secret), "keys are masked");
  assert.equal((await call("GET", "/providers/?name_filter=vider%201")).total, 1);
  assert.equal((await add(1, { model: "other" })).id, made[1].id + 1);
  assert.equal((await ask("POST", "/groups/", { name: "fast" })).status, 400);

  await neap.admin.restart();
  assert.deepEqual(ids_of((await call("GET", "/groups/")).items[0]), made.map((one) => one.id));
  assert.equal((await chat(neap, say("fast"), client)).status, 200);

  const keys = await call("GET", "/keys/");
  assert.deepEqual(keys.map((one) => [one.id, one.groups[0].name]), [[key.id, "fast"]]);
  assert.notEqual(keys[0].key, key.key, "shown once");
  await call("PATCH", `/keys/${key.id}`, { is_active: false });
  assert.equal((await chat(neap, say("fast"), client)).status, 401);
  await call("PATCH", `/keys/${key.id}`, { is_active: true });
  await call("PATCH", `/providers/${made[0].id}`, { is_active: false });
  assert.equal((await chat(neap, say("fast"), client)).status, 200);
  assert.equal(ups[1].last.key, SECRETS[1], "the first is switched off");
  const other = await call("POST", "/groups/", { name: "other" });
  const apart = await call("POST", "/keys/", { group_ids: [other.id] });
  const foreign = await chat(neap, say("fast"), { authorization: `Bearer ${apart.key}` });
  assert.equal(foreign.status, 403, "a key is for its groups alone");
  await call("DELETE", `/keys/${key.id}`);
  assert.equal((await chat(neap, say("fast"), client)).status, 401);
});

test("the next priority answers where one fails, and a client's mistake costs no provider", async (t) => {
  const { ups, neap, call, client } = await start_group(t);
  ups[0].next(error(503, "overloaded"));
  assert.equal((await chat(neap, say("fast"), client)).status, 200);
  assert.equal(ups[1].calls.length, 1);

  await call("POST", "/settings/", { key: "failover_threshold_count", value: "1" });
  assert.equal((await call("GET", "/settings/failover_threshold_count")).value, "1");
  ups[0].always(error(500, "broken"));
  const failed = await chat(neap, say("fast"), client);
  assert.equal(failed.status, 200);
  await neap.line(failed); // what failed is counted when the answer has gone out
  const before = ups[0].calls.length;
  for (let asked = 0; asked < 3; asked++)
    assert.equal((await chat(neap, say("fast"), client)).status, 200);
  assert.equal(ups[0].calls.length, before, "tripped after one failure");

  ups[1].next(error(400, "bad request"), error(400, "bad request"));
  for (let asked = 0; asked < 2; asked++)
    assert.equal((await chat(neap, say("fast"), client)).status, 400);
  assert.equal((await chat(neap, say("fast"), client)).status, 200);
});

test("a failure keyword goes to the next provider, and shows when it was found", async (t) => {
  const { ups, neap, call, client } = await start_group(t);
  await call("POST", "/settings/", { key: "failover_threshold_count", value: "9" });
  const made = await call("POST", "/keywords/", {
    keyword: "quota exceeded",
    description: "says it in a 200",
    is_active: true,
  });
  assert.equal(made.last_triggered, null);
  ups[0].always(answers("Sorry, Quota Exceeded for today"));
  for (const stream of [false, true]) {
    const answer = await chat(neap, say("fast", { stream }), client);
    assert.equal(answer.content, "ok", "and nothing of the first one's");
  }
  const [keyword] = await call("GET", "/keywords/");
  assert.equal(keyword.id, made.id);
  assert.match(keyword.last_triggered, /^\d{4}-\d\d-\d\dT/);
  await call("PATCH", `/keywords/${made.id}`, { is_active: false });
  assert.match((await chat(neap, say("fast"), client)).content, /Quota Exceeded/);
  await call("DELETE", `/keywords/${made.id}`);
  assert.deepEqual(await call("GET", "/keywords/"), []);
});

test("models are imported with a filter, which switches nothing off", async (t) => {
  const { ups, neap, as, call } = await start(t);
  const models = ["org/gpt-a", "org/gpt-b", "embed-1"].map((id) => ({ id, object: "model" }));
  ups[0].always((at) =>
    at.path === "/v1/models" ? reply(200, { object: "list", data: models }) : answers("ok")(at),
  );
  const body = {
    base_url: `${ups[0].root}/v1/`,
    api_key: SECRETS[0],
    alias: null,
    default_type: "per_token",
    filter_mode: "Include",
    filter_keyword: "GPT",
  };
  const told = await neap.admin.call("/api/import-models/", { as, body });
  assert.match(told.headers["content-type"], /event-stream/);
  assert.deepEqual(told.events.slice(0, 3), ["TOTAL=2", "PROGRESS=1", "PROGRESS=2"]);
  assert.match(told.events[3], /^DONE=/);
  assert.equal(ups[0].last.key, SECRETS[0]);

  const synced = await call("POST", "/providers/sync", { ...body, filter_mode: "Exclude" });
  assert.deepEqual([synced.added, synced.skipped], [1, 0]);
  const { items } = await call("GET", "/providers/");
  assert.deepEqual(
    items.map((one) => [one.model, one.is_active]).toSorted(),
    [
      ["embed-1", true],
      ["org/gpt-a", true],
      ["org/gpt-b", true],
    ],
    "what the filter hid is still on",
  );

  const group = await call("POST", "/groups/", { name: "imported" });
  await call("PUT", `/groups/${group.id}/providers`, [
    { id: items.find((one) => one.model === "org/gpt-b").id, priority: 1, selected: true },
    { id: items[0].id, priority: 2, selected: false },
  ]);
  const key = await call("POST", "/keys/", { group_ids: [group.id] });
  const client = { authorization: `Bearer ${key.key}` };
  assert.equal((await chat(neap, say("imported"), client)).status, 200);
  assert.equal(ups[0].last.json.model, "org/gpt-b");

  const failed = await neap.admin.call("/api/import-models/", {
    as,
    body: { ...body, base_url: `${ups[0].root}/nothing` },
  });
  assert.ok(failed.events.length > 0);
  const removed = await call("DELETE", `/providers/quick-remove/${SECRETS[0]}`);
  assert.equal(removed.count, 3);
  assert.equal((await call("GET", "/providers/")).total, 0);
});

test("providers are moved by hand and from afar, and no client's key can", async (t) => {
  const { ups, neap, as, call, made, group, key, client } = await start_group(t);
  const [first, second] = made.map((one) => one.id);
  const remote = async (method, path, body) => {
    const answer = await neap.admin.call(`/remote/${path}`, { as, method, body });
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  };
  const query = `group_id=${group.id}&api_key=${key.key}`;
  await remote("POST", `move-to-top?${query}&provider_id=${second}`);
  assert.deepEqual(ids_of((await remote("GET", `status?api_key=${key.key}`))[0]), [second, first]);
  await chat(neap, say("fast"), client);
  assert.equal(ups[1].calls.length, 1, "the second one is the first now");
  await remote("POST", `update-order?${query}`, [first, second]);
  await chat(neap, say("fast"), client);
  assert.equal(ups[0].calls.length, 1);
  await call("PUT", `/groups/${group.id}/providers`, [
    { id: first, priority: 5, selected: true },
    { id: second, priority: 3, selected: true },
  ]);
  await chat(neap, say("fast"), client);
  assert.equal(ups[1].calls.length, 2);

  for (const path of [`/remote/status?api_key=${key.key}`, "/api/status", "/api/public/groups"])
    assert.equal((await neap.admin.call(path)).status, 401, path);
  const by_client = await neap.admin.call(`/remote/move-to-top?${query}&provider_id=${first}`, {
    method: "POST",
    headers: client,
  });
  assert.equal(by_client.status, 401);
  const status = await call("GET", "/status");
  assert.deepEqual(status.Groups, [{ id: group.id, name: "fast" }]);
  assert.deepEqual(
    status.Association.map((one) => [one.provider_id, one.active_calls]).toSorted(),
    [
      [first, 0],
      [second, 0],
    ],
  );
});

test("logs, charts and counts tie out with what was asked", async (t) => {
  const { ups, neap, call, made, key, client } = await start_group(t);
  ups[0].next(error(503, "overloaded"));
  const asked = 4;
  for (let index = 0; index < asked; index++)
    assert.equal((await chat(neap, say("fast"), client)).status, 200);
  assert.equal((await chat(neap, say("fast", { messages: 1 }), client)).status, 200);
  ups[0].next(error(400, "bad"));
  assert.equal((await chat(neap, say("fast"), client)).status, 400);
  assert.equal((await get(neap, "/v1/models", client)).status, 200); // no call

  const logs = await until(async () => {
    const [{ call_count }] = await call("GET", "/keys/");
    return call_count === asked + 3 && call("GET", "/logs/?skip=0&limit=100");
  }, "all requests in the journal");
  assert.equal(logs.total, asked + 2);
  const [failed] = (await call("GET", "/logs/?filter_success=false")).items;
  assert.deepEqual([failed.is_success, failed.status_code], [false, 400]);
  const good = await call("GET", "/logs/?filter_success=true&limit=2");
  assert.deepEqual([good.total, good.items.length], [asked + 1, 2]);
  // What two workers end within one moment of gathering is in no order: one of them is b's.
  const one = good.items.find((item) => item.provider.id === made[0].id);
  assert.deepEqual(
    [one.provider.id, one.api_key.id, one.total_tokens],
    [made[0].id, key.id, USAGE.total_tokens],
  );
  assert.equal(one.cost, (USAGE.total_tokens * 1) / 1e6, "its price per million tokens");
  assert.equal((await call("GET", `/logs/${one.id}`)).id, one.id);
  const tokens = logs.items.reduce((sum, item) => sum + item.total_tokens, 0);
  const cost = logs.items.reduce((sum, item) => sum + (item.cost ?? 0), 0);

  const { summary, ...charts } = await call("GET", "/dashboard/stats?zone=UTC");
  assert.deepEqual(summary, {
    total_calls: asked + 2,
    success_rate: Math.round(((asked + 1) / (asked + 2)) * 1000) / 10,
    total_tokens: tokens,
    api_keys: 1,
    total_cost: Math.round(cost * 1e4) / 1e4,
  });
  assert.deepEqual(charts.model_distribution, [{ name: "m", value: asked + 2 }]);
  assert.equal(charts.daily_calls.dates.length, 7);
  assert.equal(charts.daily_calls.values.at(-1), asked + 2);
  assert.deepEqual(
    charts.endpoint_stats.names.toSorted(),
    ups.map((up) => `127.0.0.1:${up.port}`).toSorted(),
  );

  const [listed] = await call("GET", "/keys/");
  assert.equal(listed.call_count, asked + 3);
  assert.match(listed.last_used_at, /^\d{4}-\d\d-\d\dT/);
  const counts = (await call("GET", "/providers/")).items;
  assert.deepEqual(
    counts.map((item) => [item.id, item.total_calls, item.successful_calls]),
    [
      [made[0].id, asked + 2, asked],
      [made[1].id, 1, 1],
    ],
  );
});
