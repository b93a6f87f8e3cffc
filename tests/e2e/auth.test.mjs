/* Who may come in: four ways to show a token, and what never reaches a log. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, get, open, say } from "./support/client.mjs";
import { group, provider, raw, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { upstream } from "./support/upstream.mjs";

const SECRET = "laptop-secret-0123456789",
  ENV_SECRET = "from-the-environment-987654",
  WRONG = "wrong-secret-abcdefghijkl";
const PROVIDER_KEY = "sk-provider-key-that-stays-here";

test("tokens", async (t) => {
  const up = await upstream(t);
  const config = [
    provider("a", up, { keys: [{ secret: PROVIDER_KEY, id: "main" }], models: { m: {} } }),
    group("mine", ["a"]),
    group("theirs", ["a"]),
    token("laptop", { secret: SECRET, groups: ["mine"] }),
    token("ci", { secret: raw('env "NEAP_E2E_SECRET"'), groups: ["theirs"], providers: ["a"] }),
  ].join("");
  const neap = await serve(t, config, { env: { NEAP_E2E_SECRET: ENV_SECRET } });

  const ways = {
    "Authorization: Bearer": (secret) => [{ authorization: `Bearer ${secret}` }, ""],
    "authorization: bearer, in small letters": (secret) => [
      { authorization: `bearer ${secret}` },
      "",
    ],
    "Authorization without a scheme": (secret) => [{ authorization: secret }, ""],
    "x-api-key": (secret) => [{ "x-api-key": secret }, ""],
    "x-goog-api-key": (secret) => [{ "x-goog-api-key": secret }, ""],
    "?key=": (secret) => [{}, `?key=${secret}`],
    "?key= behind another": (secret) => [{}, `?beta=true&key=${secret}`],
  };
  for (const [name, way] of Object.entries(ways)) {
    await t.test(`${name} is taken on every route`, async () => {
      const [headers, query] = way(SECRET);
      for (const path of ["/v1/chat/completions", "/chat/completions"]) {
        const answer = await chat(neap, say("mine"), headers, path + query);
        assert.equal(answer.status, 200, `${path}: ${answer.text}`);
      }
      for (const path of ["/v1/models", "/models", "/v1/models/mine"]) {
        assert.equal((await get(neap, path + query, headers)).status, 200, path);
      }
      assert.equal(up.last.key, PROVIDER_KEY, "the provider gets its own key");
      assert.ok(!up.last.head.includes(SECRET), "and never the client's");
    });

    await t.test(`${name} with a wrong secret: 401`, async () => {
      const calls = up.calls.length;
      const [headers, query] = way(WRONG);
      for (const answer of [
        await chat(neap, say("mine"), headers, `/v1/chat/completions${query}`),
        await get(neap, `/v1/models${query}`, headers),
      ]) {
        assert.equal(answer.status, 401, answer.text);
        assert.equal(answer.json.error.type, "invalid_request_error");
        assert.equal(answer.json.error.code, "invalid_api_key");
        assert.ok(!answer.text.includes(WRONG), "the secret is not repeated");
      }
      assert.equal(up.calls.length, calls, "no provider was asked");
    });
  }

  await t.test("empty headers hide no token behind them", async () => {
    const empty = { authorization: "Bearer ", "x-api-key": "", "x-goog-api-key": "" };
    assert.equal((await get(neap, `/v1/models?key=${SECRET}`, empty)).status, 200);
    const other = { ...empty, "x-goog-api-key": SECRET };
    assert.equal((await get(neap, "/v1/models", other)).status, 200);
    assert.equal((await get(neap, "/v1/models", empty)).status, 401);
  });

  await t.test("no token at all: 401", async () => {
    const answer = await chat(neap, say("mine"));
    assert.equal(answer.status, 401, answer.text);
    assert.equal(answer.json.error.param, null);
    assert.match(answer.headers["www-authenticate"], /^Bearer\b/);
  });

  await t.test("a body is not waited for when the token is wrong", async () => {
    const asked = open(neap, "/v1/chat/completions", {
      headers: {
        authorization: `Bearer ${WRONG}`,
        "content-type": "application/json",
        "content-length": 1000000,
      },
      write: (request) => request.flushHeaders(),
    });
    const answer = await (await asked).whole();
    assert.equal(answer.status, 401);
  });

  await t.test("somebody else's group: 403", async () => {
    const answer = await chat(neap, say("theirs"), { authorization: `Bearer ${SECRET}` });
    assert.equal(answer.status, 403, answer.text);
    assert.equal(answer.json.error.type, "permission_error");
  });

  await t.test("a model that nobody has: 404 model_not_found", async () => {
    const answer = await chat(neap, say("no-such-model"), { authorization: `Bearer ${SECRET}` });
    assert.equal(answer.status, 404, answer.text);
    assert.equal(answer.json.error.code, "model_not_found");
  });

  await t.test("provider/model and a bare model need the provider's right", async () => {
    for (const model of ["a/m", "m"]) {
      const mine = await chat(neap, say(model), { authorization: `Bearer ${SECRET}` });
      assert.ok([403, 404].includes(mine.status), `${model}: ${mine.status}`);
      const theirs = await chat(neap, say(model), { authorization: `Bearer ${ENV_SECRET}` });
      assert.equal(theirs.status, 200, `${model}: ${theirs.text}`);
      assert.equal(up.last.json.model, "m");
    }
  });

  await t.test("the log names the token, the key's id, and no secret", async () => {
    const answer = await chat(neap, say("mine"), {}, `/v1/chat/completions?key=${SECRET}`);
    const line = await neap.line(answer);
    assert.equal(line.token, "laptop");
    assert.equal(line.group, "mine");
    assert.equal(line.provider, "a");
    assert.match(line.key, /main/);
    for (const secret of [SECRET, ENV_SECRET, WRONG, PROVIDER_KEY]) {
      assert.ok(!neap.text().includes(secret), `${secret} stands in the log`);
    }
  });
});

test("a token without its secret is an error with file and line", async (t) => {
  await assert.rejects(
    serve(t, token("lost", { secret: raw('env "NEAP_E2E_NOT_SET"') }), { is_left: true }),
    /router\.lua:2/,
  );
});

test("a secret of less than 16 characters is refused", async (t) => {
  await assert.rejects(
    serve(t, token("short", { secret: "short" }), { is_left: true }),
    /router\.lua:2/,
  );
});
