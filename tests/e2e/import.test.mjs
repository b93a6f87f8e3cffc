/* `neap import`: a database or a configuration of each of the systems that neap replaces, made
 * here, is taken over; then clients go on with the keys that they have, and the admin side shows
 * what there was. */
import test from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { serve_admin } from "./support/admin.mjs";
import { chat, get, say } from "./support/client.mjs";
import {
  import_files,
  new_api,
  nexusai,
  niceapi,
  old_file,
  one_api,
  siliconflow,
} from "./support/old_router.mjs";
import { run } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";

const FIRST = { private_upstreams: "true" };

async function empty(t) {
  const neap = await serve_admin(t, "", { first: FIRST });
  const as = await neap.admin.token("write", "keys");
  const call = async (path, options = {}) => {
    const got = await neap.admin.call(path, { as, ...options });
    assert.ok(got.status < 300, `${path}: ${got.status} ${got.text}`);
    return got.json;
  };
  return { neap, call };
}

/* Imports beside the running neap, and waits until it has it in force. */
async function import_into(t, neap, files, options) {
  const before = await neap.generation();
  const ended = await import_files(t, neap, files, options);
  assert.equal(ended.code, 0, ended.text);
  await until(
    async () => (await neap.generation()) > before,
    () => `a generation after ${before}; ${ended.text}\nthe log ends with\n${neap.tail()}`,
  );
  return ended.stdout;
}

const bearer = (secret) => ({ authorization: `Bearer ${secret}` });

const NICE = {
  keys: ["sk-nice-provider-00001", "sk-nice-provider-00002", "sk-nice-provider-00003"],
  clients: [
    "sk-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV",
    "sk-ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfe",
  ],
};

function nice_rows(up) {
  const endpoint = `${up.url}/chat/completions`;
  const row = (id, name, api_key, model, more) => ({
    id, name, api_endpoint: endpoint, api_key, model, type: "per_token", is_active: 1,
    total_calls: 7, successful_calls: 6, ...more,
  });
  return {
    api_providers: [
      row(3, "Cheap", NICE.keys[0], "small", { price_per_million_tokens: 0.5 }),
      row(5, "Good", NICE.keys[1], "large", {
        input_price_per_million_tokens: 2, output_price_per_million_tokens: 8,
      }),
      row(8, "Asleep", NICE.keys[2], "large", { is_active: 0, type: "per_call",
        price_per_million_tokens: 0.25 }),
      row(9, "Cheap, too", NICE.keys[0], "tiny", { price_per_million_tokens: 0 }),
    ],
    groups: [{ id: 11, name: "fast" }, { id: 12, name: "best" }],
    provider_group_association: [
      { provider_id: 3, group_id: 11, priority: 2 },
      { provider_id: 5, group_id: 11, priority: 1 },
      { provider_id: 8, group_id: 11, priority: 3 },
      { provider_id: 9, group_id: 12, priority: 1 },
    ],
    api_keys: [
      { id: 21, key: NICE.clients[0], is_active: 1, created_at: "2025-08-01 20:00:00.5",
        name: "Anna" },
      { id: 22, key: NICE.clients[1], is_active: 0, created_at: "2025-09-01 08:00:00",
        name: "Bert" },
    ],
    api_key_group_association: [
      { api_key_id: 21, group_id: 11 },
      { api_key_id: 22, group_id: 12 },
    ],
    error_maintenance: [
      { id: 31, keyword: "quota has run out", description: "of Good", is_active: 1 },
      { id: 32, keyword: "sleeping", description: null, is_active: 0 },
    ],
    settings: [
      { key: "failover_threshold_count", value: "4" },
      { key: "failover_threshold_period_minutes", value: "10" },
    ],
  };
}

test("NiceAPI: all of it is there, with its numbers, and its clients' keys go on", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up));
  const secrets = [...NICE.keys, ...NICE.clients];
  await import_into(t, neap, [file], { secrets });

  const { items } = await call("/api/providers/");
  const shown = items.map((one) => [one.id, one.name, one.model, one.is_active, one.type]);
  assert.deepEqual(shown, [
    [3, "Cheap", "small", true, "per_token"],
    [5, "Good", "large", true, "per_token"],
    [8, "Asleep", "large", false, "per_call"],
    [9, "Cheap, too", "tiny", true, "per_token"],
  ]);
  for (const one of items) assert.equal(one.api_endpoint, `${up.url}/chat/completions`);
  const [cheap, good, asleep, free] = items;
  assert.equal(cheap.price_per_million_tokens, 0.5);
  assert.deepEqual(
    [good.input_price_per_million_tokens, good.output_price_per_million_tokens], [2, 8]);
  assert.equal(asleep.price_per_million_tokens, 0.25);
  assert.equal(free.price_per_million_tokens, 0);

  const groups = (await call("/api/groups/")).items;
  const members = groups.map((one) => [one.id, one.name,
    one.providers.map((each) => [each.id, each.priority])]);
  assert.deepEqual(members, [
    [11, "fast", [[5, 1], [3, 2], [8, 3]]],
    [12, "best", [[9, 1]]],
  ]);

  const keys = await call("/api/keys/");
  assert.deepEqual(
    keys.map((one) => [one.id, one.name, one.is_active, one.groups.map((each) => each.id)]),
    [[21, "Anna", true, [11]], [22, "Bert", false, [12]]]);
  assert.equal(keys[0].key, `sk-…${NICE.clients[0].slice(-4)}`);
  assert.match(keys[0].created_at, /^2025-08-01T12:00:00/, "Taipei's time is eight hours ahead");

  assert.deepEqual(
    (await call("/api/keywords/")).map((one) => [one.id, one.keyword, one.description,
      one.is_active]),
    [[31, "quota has run out", "of Good", true], [32, "sleeping", null, false]]);
  const settings = await call("/api/v1/settings");
  assert.deepEqual([settings.failure_threshold, settings.failure_window], [4, 600]);

  // The first target fails by a keyword of the old system's, and the next one answers.
  const as = bearer(NICE.clients[0]);
  up.next(answer("sorry, the quota has run out"));
  const got = await chat(neap, say("fast"), as);
  assert.equal(got.status, 200, got.text);
  assert.deepEqual(up.calls.map((one) => [one.key, one.json.model]),
    [[NICE.keys[1], "large"], [NICE.keys[0], "small"]]);
  assert.equal((await chat(neap, say("best"), as)).status, 403, "the key is for one group");
  const off = await chat(neap, say("best"), bearer(NICE.clients[1]));
  assert.equal(off.status, 401, "switched off");
  assert.equal((await chat(neap, say("fast"))).status, 401, "without a key");

  // What slept is waked by its number, and is in its group again.
  await call("/api/providers/8", { method: "PATCH", body: { is_active: true } });
  const woken = await call("/api/groups/");
  assert.deepEqual(woken.items[0].providers.map((one) => [one.id, one.priority]),
    [[5, 1], [3, 2], [8, 3]]);
  const stored = readdirSync(path.join(neap.folder, "data/state"))
    .map((name) => readFileSync(path.join(neap.folder, "data/state", name), "latin1")).join("");
  for (const secret of secrets)
    assert.ok(!stored.includes(secret), "a secret in clear on the disk");
});

test("NexusAI Hub: a client's key has the models of its providers, and no others", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const row = (id, name, server_url, server_key, personalized_key, description) =>
    ({ id, name, server_url, server_key, personalized_key, description });
  const file = nexusai(old_file(neap, "config.db"), {
    service_providers: [
      row(1, "硅基 One", up.root, "sk-nexus-server-0001", "client-one-000000000001", "the first"),
      row(4, "Two", `${up.root}/api/v3/`, "sk-nexus-server-0002", "client-one-000000000001", ""),
      row(6, "Two", `${up.root}/exactly#`, "sk-nexus-server-0002", "client-two-000000000002", null),
    ],
    provider_models: [
      { id: 7, provider_id: 1, model_name: "org/model-a", description: "big" },
      { id: 9, provider_id: 1, model_name: "shared" },
      { provider_id: 4, model_name: "model-b" },
      { provider_id: 6, model_name: "model-c" },
      { provider_id: 9, model_name: "stray" },
    ],
  });
  const secrets = ["sk-nexus-server-0001", "sk-nexus-server-0002", "client-one-000000000001",
    "client-two-000000000002"];
  const said = await import_into(t, neap, [file], { secrets });
  assert.match(said, /models: 1: their provider is not there/);

  const one = bearer("client-one-000000000001"), two = bearer("client-two-000000000002");
  const asked = async (model, as) => {
    up.forget();
    const got = await chat(neap, say(model), as);
    return [got.status, up.last?.path, up.last?.key, up.last?.json.model];
  };
  assert.deepEqual(await asked("org/model-a", one),
    [200, "/v1/chat/completions", "sk-nexus-server-0001", "org/model-a"]);
  assert.deepEqual(await asked("model-b", one),
    [200, "/api/v3/chat/completions", "sk-nexus-server-0002", "model-b"]);
  assert.deepEqual(await asked("model-c", two),
    [200, "/exactly", "sk-nexus-server-0002", "model-c"]);
  assert.equal((await asked("model-c", one))[0], 404);
  const listed = await get(neap, "/v1/models", one);
  assert.deepEqual(listed.json.data.map((each) => each.id).sort(),
    ["model-b", "org/model-a", "shared"]);
  const providers = (await call("/api/v1/providers")).items;
  assert.deepEqual(providers.map((each) => each.note ?? ""), ["the first", "", ""]);
  const rows = (await call("/providers")).providers;
  assert.deepEqual(rows.map((each) => [each[0], each[1], each[2], each[4], each[5]]), [
    [1, "硅基 One", up.root, "…0001", "the first"],
    [4, "Two", `${up.root}/api/v3/`, "…0001", ""],
    [6, "Two", `${up.root}/exactly#`, "…0002", ""],
  ]);
  assert.deepEqual((await call("/providers/1/models")).models,
    [[7, 1, "org/model-a", "big"], [9, 1, "shared", ""]]);

  const again = await import_files(t, neap, [file], { secrets });
  assert.match(again.stdout, /carried over:\n {2}nothing/, "two of one name stay two");
});

test("SiliconFlow API Proxy: the pool with its balances, and its client's key", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const keys = ["sk-silicon-pool-000001", "sk-silicon-pool-000002", "sk-silicon-pool-000003"];
  const pool = siliconflow(old_file(neap, "pool.db"), {
    api_keys: keys.map((key, index) => ({ key, add_time: 1760000000 + index,
      balance: [13.5, 0.25, 7][index], usage_count: index, enabled: 1 })),
    logs: [
      { used_key: keys[0], model: "deepseek-ai/DeepSeek-V3", call_time: 1, total_tokens: 3 },
      { used_key: keys[0], model: "Qwen/Qwen3-8B", call_time: 2, total_tokens: 4 },
      { used_key: keys[1], model: "Qwen/Qwen3-8B", call_time: 3, total_tokens: 5 },
    ],
  });
  const env = old_file(neap, "old.env",
    "# of the proxy\nAPI_KEY=the-proxys-own-key-1\nADMIN_USERNAME=admin\n" +
    'ADMIN_PASSWORD="sec ret"\nAUTO_REFRESH_INTERVAL=1800 # seconds\n');
  const secrets = [...keys, "the-proxys-own-key-1", "sec ret"];
  const said = await import_into(t, neap, [pool, env], { secrets });
  assert.match(said, /3 rows of logs, as records/);
  assert.match(said, /ADMIN_PASSWORD: choose another/);

  const shown = await call("/api/keys?sort_field=add_time&sort_order=asc");
  assert.deepEqual(shown.keys.map((one) => [one.key, one.add_time, one.balance, one.enabled]),
    keys.map((key, index) => [`sk-…${key.slice(-4)}`, 1760000000 + index, [13.5, 0.25, 7][index],
      1]));
  assert.equal((await call("/api/stats/overview")).total_balance, 20.75);
  assert.equal((await call("/api/v1/settings")).refresh_every, 1800);

  // Its address is SiliconFlow's own: for the story it is led to the scripted one.
  const provider = await call("/api/v1/providers/siliconflow");
  assert.equal(provider.url, "https://api.siliconflow.cn/v1");
  await call("/api/v1/providers/siliconflow", { method: "PATCH", body: { url: up.url } });
  const seen = new Set();
  for (let turn = 0; turn < 12; turn++) {
    const got = await chat(neap, say("Qwen/Qwen3-8B"), bearer("the-proxys-own-key-1"));
    assert.equal(got.status, 200, got.text);
    seen.add(up.last.key);
  }
  for (const key of seen) assert.ok(keys.includes(key));
  assert.ok(seen.has(keys[0]), "the richest key is drawn in twelve turns");
  const other = await chat(neap, say("deepseek-ai/DeepSeek-V3"), bearer("the-proxys-own-key-1"));
  assert.equal(other.status, 200, other.text);
  assert.equal((await chat(neap, say("Qwen/Qwen3-8B"))).status, 401, "it is open no more");
});

test("SiliconFlow API Proxy: no refresh stays no refresh", async (t) => {
  const { neap, call } = await empty(t);
  const env = old_file(neap, ".env", "ADMIN_USERNAME=admin\nAUTO_REFRESH_INTERVAL=0\n");
  const said = await import_into(t, neap, [env]);
  assert.match(said, /API_KEY: it is not set/);
  assert.equal((await call("/api/v1/settings")).refresh_every, 0);
});

test("gemini-balance: keys in their order, tokens, and who may list keys", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const keys = ["AIzaSyGemini000000000001", "AIzaSyGemini000000000002"];
  const env = old_file(neap, ".env", `API_KEYS=${JSON.stringify(keys)}
ALLOWED_TOKENS=["gemini-client-token-01","short"]
AUTH_TOKEN=gemini-auth-token-0001
BASE_URL=${up.root}/v1beta
MODEL_SEARCH=["gemini-2.0-flash-exp"]
MAX_FAILURES=3
`);
  const secrets = [...keys, "gemini-client-token-01", "gemini-auth-token-0001"];
  const said = await import_into(t, neap, [env], { secrets });
  assert.match(said, /MAX_FAILURES: keys that fail rest/);
  assert.match(said, /gemini-2 is shorter than 16/);

  const asked = [];
  for (const token of ["gemini-client-token-01", "short", "gemini-auth-token-0001"]) {
    const got = await chat(neap, say("gemini-2.0-flash-exp"), bearer(token));
    assert.equal(got.status, 200, got.text);
    assert.equal(up.last.path, "/v1beta/openai/chat/completions");
    asked.push(up.last.key);
  }
  assert.deepEqual(asked, [keys[0], keys[1], keys[0]], "strict turns, as they stood in the list");
  const known = await chat(neap, say("gemini-2.5-pro"), bearer("short"));
  assert.equal(known.status, 200, "a model that everybody knows");
  const listed = await get(neap, "/v1/keys/list", bearer("gemini-auth-token-0001"));
  assert.equal(listed.status, 200, listed.text);
  assert.equal(listed.json.data.valid_keys.length, 2);
  assert.notEqual((await get(neap, "/v1/keys/list", bearer("short"))).status, 200);
  const tokens = (await call("/api/v1/tokens")).items;
  assert.deepEqual(tokens.filter((one) => one.rights?.includes("keys")).map((one) => one.name),
    ["gemini-auth"]);
});

/* Channels and tokens that one-api and new-api have alike. */
function channel_rows(up) {
  const row = (id, name, key, more) =>
    ({ id, name, key, type: 1, base_url: up.root, models: "gpt-a,gpt-b", ...more });
  return {
    channels: [
      row(1, "low", "sk-channel-low-00001", { priority: 0 }),
      row(2, "high", "sk-channel-high-0001", { priority: 10, models: "gpt-a,alias",
        model_mapping: '{"alias": "real-name"}' }),
      row(3, "off", "sk-channel-off-00001", { priority: 20, status: 3 }),
      row(4, "own protocol", "sk-channel-azure-001", { type: 3 }),
      row(5, "for vip", "sk-channel-vip-00001", { group: "vip", priority: 5 }),
    ],
    users: [{ id: 1, username: "root" }, { id: 2, username: "vip", group: "vip" },
      { id: 3, username: "gone", status: 2 }],
    options: [
      { key: "ModelRatio", value: '{"gpt-a": 1.25, "gpt-b": 15}' },
      { key: "CompletionRatio", value: '{"gpt-a": 4}' },
      { key: "RetryTimes", value: "2" },
      { key: "SystemName", value: "Mine" },
    ],
    logs: [{ id: 1, user_id: 1, type: 1, created_at: 1760000000, quota: 5 }],
  };
}
const token = (id, name, user_id, more) => ({ id, name, user_id, unlimited_quota: 1,
  key: `${name}${"0".repeat(48 - name.length)}`, ...more });
const client = (name) => bearer(`sk-${name}${"0".repeat(48 - name.length)}`);

async function check_channels(neap, call, up) {
  const asked = async (model, name, ...scripts) => {
    up.forget();
    up.next(...scripts);
    const got = await chat(neap, say(model), client(name));
    return [got.status, up.calls.map((one) => `${one.key} ${one.json.model}`)];
  };
  assert.deepEqual(await asked("gpt-a", "all"), [200, ["sk-channel-high-0001 gpt-a"]]);
  assert.deepEqual(await asked("alias", "all"), [200, ["sk-channel-high-0001 real-name"]]);
  assert.deepEqual(await asked("gpt-b", "all"), [200, ["sk-channel-low-00001 gpt-b"]]);
  assert.equal((await asked("gpt-b", "some"))[0], 403, "its models are limited");
  assert.equal((await asked("gpt-a", "some"))[0], 200);
  assert.deepEqual(await asked("vip/gpt-a", "vip"), [200, ["sk-channel-vip-00001 gpt-a"]]);
  for (const name of ["ended", "stopped", "placed", "gone"])
    assert.equal((await asked("gpt-a", name))[0], 401, name);
  assert.deepEqual(await asked("gpt-a", "all", error(503)),
    [200, ["sk-channel-high-0001 gpt-a", "sk-channel-low-00001 gpt-a"]]);

  const group = await call("/api/v1/groups/gpt-a");
  assert.deepEqual(group.targets.map((one) => [one.provider, one.priority]),
    [["low", 3], ["high", 2], ["off", 1]], "the disabled channel has its place, and no key");
  assert.equal(group.limits.attempts, 3);
  const { models } = await call("/api/v1/providers/low");
  assert.deepEqual(models["gpt-a"], { input: 2.5, output: 10 });
  const keys = (await call("/api/v1/providers/off/keys")).items;
  assert.deepEqual(keys.map((one) => one.off), [true]);
}

test("one-api: channels with priorities, models by their names, and tokens", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const file = one_api(old_file(neap, "one-api.db"), { ...channel_rows(up), tokens: [
    token(1, "all", 1), token(2, "some", 1, { models: "gpt-a" }),
    token(3, "vip", 2), token(4, "ended", 1, { expired_time: 1700000000 }),
    token(5, "stopped", 1, { status: 2 }), token(6, "placed", 1, { subnet: "10.0.0.0/8" }),
    token(7, "gone", 3), token(8, "poor", 1, { unlimited_quota: 0, remain_quota: 750000 }),
  ] });
  const secrets = channel_rows(up).channels.map((one) => one.key);
  const said = await import_into(t, neap, [file], { secrets });
  assert.match(said, /one-api\.db: one-api\n/);
  assert.match(said, /channel 4 \(own protocol\): type 3 has a protocol of its own/);
  assert.match(said, /quotas of tokens: 1\.50 USD/);
  assert.match(said, /ask for vip\/gpt-a, vip\/gpt-b/);
  assert.match(said, /other options: 1/);
  assert.match(said, /rows of logs that are no calls: 1/);
  await check_channels(neap, call, up);
});

test("new-api: channels with many keys, limits of tokens, and who is deleted", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const rows = channel_rows(up);
  rows.channels.push({ id: 6, name: "many", type: 1, base_url: up.root, models: "gpt-many",
    key: "sk-channel-many-0001\nsk-channel-many-0002\nsk-channel-many-0003\n",
    channel_info: '{"is_multi_key":true,"multi_key_status_list":{"1":2}}',
    header_override: '{"X-Own":"yes"}', setting: '{"force_format":true}' },
    { id: 7, name: "exact", type: 8, base_url: `${up.root}/all/of/it`, models: "gpt-exact",
      key: "sk-channel-exact-001" });
  const file = new_api(old_file(neap, "data.db"), { ...rows, tokens: [
    token(1, "all", 1), token(2, "some", 1, { model_limits_enabled: 1, model_limits: "gpt-a" }),
    token(3, "vip", 1, { group: "vip" }), token(4, "ended", 1, { expired_time: 1700000000 }),
    token(5, "stopped", 1, { status: 2 }), token(6, "placed", 1, { allow_ips: "10.0.0.1" }),
    token(7, "gone", 1, { deleted_at: "2025-01-01 00:00:00" }),
  ] });
  const secrets = ["sk-channel-many-0001", "sk-channel-many-0002", "sk-channel-exact-001"];
  const said = await import_into(t, neap, [file], { secrets });
  assert.match(said, /data\.db: new-api\n/);
  await check_channels(neap, call, up);

  const seen = new Set();
  for (let turn = 0; turn < 4; turn++) {
    const got = await chat(neap, say("gpt-many"), client("all"));
    assert.equal(got.status, 200, got.text);
    assert.equal(up.last.header("x-own"), "yes");
    seen.add(up.last.key);
  }
  assert.deepEqual([...seen].sort(), ["sk-channel-many-0001", "sk-channel-many-0003"]);
  await chat(neap, say("gpt-exact"), client("all"));
  assert.equal(up.last.path, "/all/of/it");
});

const LITELLM = (up) => `
model_list:
  - model_name: chat
    litellm_params: &one
      model: openai/gpt-x
      api_base: ${up.url}
      api_key: os.environ/STORY_KEY
      weight: 9
      input_cost_per_token: 0.0000025
      output_cost_per_token: 1e-05
  - model_name: chat
    litellm_params:
      <<: *one
      model: gpt-y
      api_key: sk-litellm-second-01
      order: 2
  - model_name: backup
    litellm_params: { model: hosted_vllm/local, api_base: "${up.root}/deep/path" }
  - model_name: cloud
    litellm_params: { model: bedrock/claude, aws_region_name: x }
  - model_name: secretless
    litellm_params: { model: openai/z, api_key: os.environ/NOT_SET_ANYWHERE }
router_settings:
  num_retries: 1
  model_group_alias: { gpt-4: chat }
  fallbacks: [{ chat: [backup] }]
  redis_host: localhost
litellm_settings: { drop_params: yes, request_timeout: 77 }
general_settings:
  master_key: os.environ/STORY_MASTER
`;

test("LiteLLM: deployments, aliases, fallbacks and what comes from the environment", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const yaml = old_file(neap, "config.yaml", LITELLM(up));
  const env = old_file(neap, ".env", "STORY_KEY='sk-litellm-first-0001'\n");
  const secrets = ["sk-litellm-first-0001", "sk-litellm-second-01", "sk-master-of-litellm"];
  const said = await import_into(t, neap, [yaml, env],
    { secrets, env: { STORY_MASTER: "sk-master-of-litellm" } });
  assert.match(said, /deployment 4 \(cloud\): bedrock has a protocol of its own/);
  assert.match(said, /deployment 5 \(secretless\): the variable NOT_SET_ANYWHERE is not set/);
  assert.match(said, /router_settings\.redis_host/);

  const as = bearer("sk-master-of-litellm");
  up.next(error(500), error(500));
  const got = await chat(neap, say("gpt-4"), as);
  assert.deepEqual([got.status, up.calls.map((one) => [one.path, one.key, one.json.model])],
    [500, [["/v1/chat/completions", "sk-litellm-first-0001", "gpt-x"],
      ["/v1/chat/completions", "sk-litellm-second-01", "gpt-y"]]], "an alias has no fallback");
  up.forget();
  up.next(error(500), error(500));
  const fallen = await chat(neap, say("chat"), as);
  assert.equal(fallen.status, 200, fallen.text);
  assert.equal(up.last.path, "/deep/path/chat/completions");
  assert.equal(up.last.json.model, "local");
  const group = await call("/api/v1/groups/chat");
  assert.deepEqual(group.targets.map((one) => [one.model, one.priority ?? 1]),
    [["gpt-x", 1], ["gpt-y", 2], ["local", 3]]);
  assert.equal(group.timeouts.total, 77);
  const provider = (await call("/api/v1/providers")).items.find((one) => one.models["gpt-x"]);
  assert.deepEqual(provider.models["gpt-x"], { input: 2.5, output: 10 });
});

test("a dry run says the same and changes nothing; a second import neither", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up));
  const secrets = [...NICE.keys, ...NICE.clients];
  const before = await call("/api/v1/configuration/export"), generation = await neap.generation();
  const dry = await import_files(t, neap, ["--dry-run", file], { secrets });
  assert.equal(dry.code, 0, dry.text);
  assert.match(dry.stdout, /would be carried over:\n {2}provider 127\.0\.0\.1:/);
  assert.match(dry.stdout, /nothing was changed/);
  assert.deepEqual(await call("/api/v1/configuration/export"), before);
  assert.equal(await neap.generation(), generation);

  const said = await import_into(t, neap, [file], { secrets });
  const carried = (text) => /carried over:\n([^]*?)\n(?:not carried|to know)/.exec(text)[1];
  assert.equal(carried(said), carried(dry.stdout));
  const first = await call("/api/v1/configuration/export"), reloaded = await neap.generation();
  const again = await import_files(t, neap, [file], { secrets });
  assert.equal(again.code, 0, again.text);
  assert.match(again.stdout, /carried over:\n {2}nothing\nthere already:\n/);
  const last = await call("/api/v1/configuration/export");
  assert.deepEqual(Object.keys(last.records), Object.keys(first.records));
  assert.equal(await neap.generation(), reloaded);
  const audit = (await call("/api/v1/audit?action=import")).items;
  assert.deepEqual(audit.map((one) => one.actor.name), ["neap import"]);
});

test("an import before the first start makes the storage; a dry run does not", async (t) => {
  const up = await upstream(t);
  const neap = await serve_admin(t, "", { first: { ...FIRST, storage: '"other"' } });
  await neap.stop();
  neap.first_line = neap.first_line.replace('"other"', '"fresh"');
  neap.configure("");
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up));
  const dry = await import_files(t, neap, ["--dry-run", file]);
  assert.equal(dry.code, 0, dry.text);
  assert.ok(!existsSync(path.join(neap.folder, "fresh")), "a dry run makes nothing");
  const ended = await import_files(t, neap, [file]);
  assert.equal(ended.code, 0, ended.text);
  assert.doesNotMatch(ended.stdout, /was asked to load/);
  await neap.start();
  const got = await chat(neap, say("fast"), bearer(NICE.clients[0]));
  assert.equal(got.status, 200, got.text);
});

test("what was imported is sealed again by a rotation, and imports go on after it", async (t) => {
  const up = await upstream(t);
  const { neap } = await empty(t);
  const rows = nice_rows(up);
  await import_into(t, neap, [niceapi(old_file(neap, "first.db"), rows)]);
  const rotate = () => run(t, ["key", "rotate", "-c", "router.lua"], { cwd: neap.folder });
  const rotated = await rotate();
  assert.equal(rotated.code, 0, rotated.text);
  rows.api_providers.push({ ...rows.api_providers[0], id: 10, model: "more",
    api_key: "sk-nice-provider-00010" });
  rows.provider_group_association.push({ provider_id: 10, group_id: 13, priority: 1 });
  rows.groups.push({ id: 13, name: "late" });
  rows.api_key_group_association.push({ api_key_id: 23, group_id: 13 });
  rows.api_keys.push({ id: 23, key: "sk-a-client-that-came-late", is_active: 1, name: "Carl" });
  await import_into(t, neap, [niceapi(old_file(neap, "second.db"), rows)]);
  await neap.admin.restart();
  for (const [group, secret, key] of [["fast", NICE.clients[0], NICE.keys[1]],
    ["late", "sk-a-client-that-came-late", "sk-nice-provider-00010"]]) {
    const got = await chat(neap, say(group), bearer(secret));
    assert.equal(got.status, 200, got.text);
    assert.equal(up.last.key, key);
  }
});

test("what is there already is not written over", async (t) => {
  const up = await upstream(t);
  const { neap, call } = await empty(t);
  await call("/api/v1/settings", { method: "PATCH", body: { failure_threshold: 9 } });
  await call("/api/v1/providers", { body: { name: "mine", dialect: "openai", url: up.url,
    keyless: true } });
  const targets = [{ provider: "mine", model: "m" }];
  await call("/api/v1/groups", { body: { name: "fast", targets } });
  const file = niceapi(old_file(neap, "api_server.db"), nice_rows(up));
  const said = await import_into(t, neap, [file]);
  assert.match(said, /setting failure_threshold = 9, which stays: failover_threshold_count was 4/);
  assert.match(said, /group fast; it stays as it is, without 2 targets that it would have got/);
  assert.equal((await call("/api/v1/settings")).failure_threshold, 9);
  assert.deepEqual((await call("/api/v1/groups/fast")).targets, targets);
});
