/* What users of gemini-balance do, with its paths and headers: clients' calls with and without
 * the prefix /hf, keys in turn, and the list of keys. */
import test from "node:test";
import assert from "node:assert/strict";
import { PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, get, say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { until } from "./support/story.mjs";
import { answer as answers, error, upstream } from "./support/upstream.mjs";

const KEYS = ["AIzaSy-gemini-key-0001", "AIzaSy-gemini-key-0002", "AIzaSy-gemini-key-0003"];
const MASKED = ["AIz…0001", "AIz…0002", "AIz…0003"];
const ALLOWED = "sk-allowed-token-of-a-client",
  AUTH = "sk-auth-token-of-the-admin";
const MODEL = "gemini-2.0-flash-exp";

const bearer = (secret) => ({ authorization: `Bearer ${secret}` });

async function start(t) {
  const up = await upstream(t);
  const config = [
    provider("gemini", up, { keys: KEYS, models: { [MODEL]: {} } }),
    provider("other", up, { keys: ["sk-of-another-provider-01"], models: { far: {} } }),
    group("apart", [{ provider: "other", model: "far" }]),
    token("allowed", { secret: ALLOWED }),
    token("auth", { secret: AUTH, rights: ["keys"], providers: ["gemini"] }),
    token("apart", { secret: "sk-token-of-one-group", rights: ["keys"], groups: ["apart"] }),
  ].join("");
  return { up, neap: await serve_admin(t, config) };
}

test("the README's calls: models, a completion, a stream, and the prefix /hf", async (t) => {
  const { up, neap } = await start(t);
  for (const front of ["", "/hf"]) {
    const models = await get(neap, `${front}/v1/models`, bearer(ALLOWED));
    assert.equal(models.status, 200, models.text);
    const found = models.json.data.find((model) => model.id === MODEL);
    assert.equal(models.json.object, "list");
    assert.equal(found.object, "model");
    const one = await get(neap, `${front}/v1/models/${MODEL}`, bearer(ALLOWED));
    assert.equal(one.json.id, MODEL);

    const path = `${front}/v1/chat/completions`;
    const answer = await chat(neap, say(MODEL), bearer(ALLOWED), path);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.content, "ok");
    assert.equal(up.last.path, "/v1/chat/completions", "the prefix is not the provider's affair");
    const streamed = await chat(neap, say(MODEL, { stream: true }), bearer(ALLOWED), path);
    assert.equal(streamed.content, "ok");
    assert.equal(streamed.events.at(-1), "[DONE]");

    for (const headers of [{}, bearer("sk-nobody-knows-this-one")]) {
      assert.equal((await chat(neap, say(MODEL), headers, path)).status, 401);
    }
  }
  for (const path of ["/", "/health"]) {
    const health = await get(neap, path);
    assert.equal(health.status, 200);
    assert.equal(health.json.status, "healthy");
  }
  assert.equal((await get(neap, "/hf/nothing", bearer(ALLOWED))).status, 404);
});

test("keys take turns, and another one answers where one fails", async (t) => {
  const { up, neap } = await start(t);
  const ask = () => chat(neap, say(MODEL), bearer(ALLOWED));
  for (let turn = 0; turn < 6; turn++) assert.equal((await ask()).status, 200);
  const used = up.calls.map((call) => call.key);
  assert.deepEqual(used.slice(0, 3).toSorted(), KEYS);
  assert.deepEqual(used.slice(3), used.slice(0, 3), "in the same order again");

  up.always(error(400, "contents is not right"));
  assert.equal((await ask()).status, 400, "the provider's own status, not 500");
  const { data } = (await get(neap, "/v1/keys/list", bearer(AUTH))).json;
  assert.deepEqual(data.valid_keys, MASKED, "a client's mistake costs no key");

  up.always((call) => (call.key === KEYS[2] ? answers("ok")(call) : error(429, "quota")));
  up.forget();
  const answer = await ask();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(up.last.key, KEYS[2]);
});

test("/v1/keys/list tells who may see them which keys work, and shows none whole", async (t) => {
  const { up, neap } = await start(t);
  const { admin } = neap;
  const list = async (path, headers) => {
    const answer = await get(neap, path, headers);
    assert.equal(answer.status, 200, answer.text);
    for (const key of KEYS) assert.ok(!answer.text.includes(key), `${path} shows ${key}`);
    return answer.json;
  };
  const all = {
    status: "success",
    data: { valid_keys: MASKED, invalid_keys: [] },
    total: 3,
  };
  for (const path of ["/v1/keys/list", "/hf/v1/keys/list"]) {
    for (const headers of [bearer(AUTH), { authorization: AUTH }]) {
      assert.deepEqual(await list(path, headers), all, path);
    }
    const refused = await get(neap, path, bearer(ALLOWED));
    assert.equal(refused.status, 403, "an ordinary client's token reads none");
    assert.equal((await get(neap, path)).status, 401);
    assert.equal((await admin.call(path)).status, 401, "and nobody does on the admin side");
  }
  const apart = await list("/v1/keys/list", bearer("sk-token-of-one-group"));
  assert.deepEqual(apart.data.valid_keys, ["sk-…r-01"]);

  up.always((call) => (call.key === KEYS[1] ? error(401, "API key not valid") : error(500, "")));
  await until(async () => {
    await chat(neap, say(MODEL), bearer(ALLOWED));
    const { data } = await list("/v1/keys/list", bearer(AUTH));
    return data.invalid_keys.includes(MASKED[1]);
  }, "a key that its provider refuses among the invalid ones");

  const as = await admin.token("read");
  const seen = await admin.call("/v1/keys/list", { as });
  assert.equal(seen.json.total, 4);
  assert.ok(seen.json.data.invalid_keys.includes(MASKED[1]));
  assert.ok(!seen.text.includes(KEYS[1]));
  const whole = await admin.call("/hf/v1/keys/list", {
    session: await admin.session(),
    headers: { "x-neap-password": PASSWORD },
  });
  assert.ok(whole.json.data.invalid_keys.includes(KEYS[1]), "with the password again");
});

test("a token for it is made on the admin side while neap runs", async (t) => {
  const { neap } = await start(t);
  const make = async (as) =>
    neap.admin.call("/api/v1/tokens", {
      as,
      body: { name: `made ${as.slice(-4)}`, rights: ["keys"] },
    });
  const refused = await make(await neap.admin.token("write"));
  assert.equal(refused.status, 403, "only who may see keys can let others see them");
  const made = await make(await neap.admin.token("write", "keys"));
  assert.equal(made.status, 201, made.text);
  const listed = await get(neap, "/v1/keys/list", bearer(made.json.secret));
  assert.equal(listed.status, 200, listed.text);
  assert.equal(listed.json.total, 4);
});
