/* What users of NexusAI Hub do: add platforms and models by its admin paths, chat with a
 * personalized key, and look at what it came to. */
import test from "node:test";
import assert from "node:assert/strict";
import { PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, get, say } from "./support/client.mjs";
import { until } from "./support/story.mjs";
import { error, upstream, USAGE } from "./support/upstream.mjs";

const PERSONAL = "personal-key-of-team-a",
  OTHER = "personal-key-of-team-b";
const bearer = (secret) => ({ authorization: `Bearer ${secret}` });

/* A neap with two platforms, the second at a URL of its own; call() is a logged-in script. */
async function start(t) {
  const one = await upstream(t);
  const two = await upstream(t);
  const neap = await serve_admin(t, "", { first: { private_upstreams: "true" } });
  const logged_in = await neap.admin.login();
  assert.equal(logged_in.status, 200, logged_in.text);
  const cookie = logged_in.headers["set-cookie"][0].split(";")[0];
  const call = async (method, path, body) => {
    const answer = await neap.admin.call(path, { method, body, headers: { cookie } });
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`);
    return answer.json;
  };
  const add = async (fields) => {
    const made = await call("POST", "/providers", { description: "", ...fields });
    assert.equal(made.status, "success");
    const { providers } = await call("GET", "/providers");
    return providers.find((row) => row[1] === fields.name)[0];
  };
  const ids = {
    one: await add({
      name: "One",
      server_url: one.url,
      server_key: "sk-platform-one-000001",
      personalized_key: PERSONAL,
      description: "the first",
    }),
    two: await add({
      name: "Two",
      server_url: `${two.root}/api/v4/`,
      server_key: "sk-platform-two-000002",
      personalized_key: PERSONAL,
    }),
  };
  for (const [provider, model_name] of [
    ["one", "gpt-small"],
    ["one", "gpt-big"],
    ["two", "glm"],
  ]) {
    const body = { provider_id: ids[provider], model_name, description: model_name };
    assert.equal((await call("POST", "/provider_models", body)).status, "success");
  }
  return { one, two, neap, call, ids };
}

test("nobody manages anything without a login", async (t) => {
  const { neap, ids } = await start(t);
  for (const [method, path] of [
    ["GET", "/providers"],
    ["POST", "/providers"],
    ["GET", `/providers/${ids.one}`],
    ["DELETE", `/providers/${ids.one}`],
    ["GET", "/stats/total"],
    ["GET", "/stats/conversation/c"],
  ]) {
    for (const headers of [{}, bearer(PERSONAL)]) {
      const answer = await neap.admin.call(path, { method, headers });
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.equal(typeof answer.json.detail, "string", "where its clients look for the reason");
    }
  }
  assert.equal((await neap.admin.login(`not ${PASSWORD}`)).status, 401);
});

test("platforms and models: listed in its shapes, changed and removed by their numbers", async (t) => {
  const { neap, call, ids } = await start(t);
  const { providers } = await call("GET", "/providers");
  assert.deepEqual(
    providers.map((row) => [row[0], row[1], row[5]]),
    [
      [ids.one, "One", "the first"],
      [ids.two, "Two", ""],
    ],
  );
  assert.ok(!JSON.stringify(providers).includes("sk-platform-one"), "keys are masked");
  const shown = await call("GET", `/providers/${ids.one}`);
  assert.equal(shown.name, "One");
  assert.match(shown.server_key, /…0001$/);
  const { models } = await call("GET", `/providers/${ids.one}/models`);
  assert.deepEqual(
    models.map((row) => row.slice(1)),
    [
      [ids.one, "gpt-small", "gpt-small"],
      [ids.one, "gpt-big", "gpt-big"],
    ],
  );

  const [small] = models;
  await call("PUT", `/provider_models/${small[0]}`, {
    provider_id: ids.one,
    model_name: "gpt-tiny",
  });
  assert.equal((await call("GET", `/provider_models/${small[0]}`)).model_name, "gpt-tiny");
  const answer = await chat(neap, say("gpt-tiny"), bearer(PERSONAL));
  assert.equal(answer.status, 200, "in force at once");

  // What a form does: everything is sent back as it was shown, but for the name.
  await call("PUT", `/providers/${ids.two}`, {
    ...(await call("GET", `/providers/${ids.two}`)),
    id: undefined,
    name: "Second",
  });
  assert.equal((await chat(neap, say("glm"), bearer(PERSONAL))).status, 200, "its keys stayed");
  await call("DELETE", `/providers/${ids.one}`);
  assert.deepEqual(
    (await call("GET", "/providers")).providers.map((row) => row.slice(0, 2)),
    [[ids.two, "Second"]],
    "the right one is gone",
  );
  assert.deepEqual((await call("GET", `/providers/${ids.one}/models`)).models, []);
  const gone = await neap.admin.call(`/providers/${ids.one}`, {
    session: await neap.admin.session(),
  });
  assert.equal(gone.status, 404);
  assert.equal((await chat(neap, say("glm"), bearer(PERSONAL))).status, 200);
  assert.equal((await chat(neap, say("gpt-big"), bearer(PERSONAL))).status, 404);

  await neap.admin.restart();
  assert.equal((await chat(neap, say("glm"), bearer(PERSONAL))).status, 200);
});

test("a personalized key: the models of its platforms, and no others", async (t) => {
  const { one, two, neap, call, ids } = await start(t);
  const list = async (key) => {
    const answer = await get(neap, "/models", bearer(key));
    assert.equal(answer.status, 200, answer.text);
    return answer.json.data;
  };
  const models = await list(PERSONAL);
  assert.deepEqual(
    models.map((model) => [model.id, model.owned_by]),
    [
      ["glm", "Two"],
      ["gpt-big", "One"],
      ["gpt-small", "One"],
    ],
  );
  assert.equal(models[0].permission[0].id, "modelperm-glm");
  assert.equal(models[0].root, "glm");
  assert.equal((await get(neap, "/v1/models")).status, 401, "a key is needed");

  for (const path of ["/v1/chat/completions", "/chat/completions"]) {
    assert.equal((await chat(neap, say("gpt-big"), bearer(PERSONAL), path)).status, 200);
    assert.equal(one.last.path, "/v1/chat/completions", "no /v1/v1");
    assert.equal(one.last.key, "sk-platform-one-000001");
    assert.equal(one.last.json.model, "gpt-big", "the model's name goes on as it is");
    assert.equal((await chat(neap, say("glm"), bearer(PERSONAL), path)).status, 200);
    assert.equal(two.last.path, "/api/v4/chat/completions", "behind a / only the operation");
  }

  await call("PUT", `/providers/${ids.two}`, {
    ...(await call("GET", `/providers/${ids.two}`)),
    id: undefined,
    personalized_key: OTHER,
  });
  assert.deepEqual((await list(OTHER)).map((model) => model.id), ["glm"]);
  assert.equal((await chat(neap, say("glm"), bearer(OTHER))).status, 200);
  assert.equal((await chat(neap, say("glm"), bearer(PERSONAL))).status, 404);
  assert.equal((await chat(neap, say("glm"), bearer("nobody-has-this-key"))).status, 401);
});

test("errors and limits of a platform reach the client as they are", async (t) => {
  const { one, neap } = await start(t);
  one.next(error(400, "max_tokens is too large", { "x-ratelimit-remaining": "7" }));
  const refused = await chat(neap, say("gpt-big", { stream: true }), bearer(PERSONAL));
  assert.equal(refused.status, 400, "no 200 with an error in the stream");
  assert.equal(refused.json.error.message, "max_tokens is too large");
  assert.equal(refused.headers["x-ratelimit-remaining"], "7");
  assert.equal((await chat(neap, { messages: [] }, bearer(PERSONAL))).status, 400, "no model");
});

test("conversations and totals tie out with what was said", async (t) => {
  const { neap, call } = await start(t);
  assert.equal((await call("GET", "/stats/total")).total_rounds, 0);
  const ask = async (text, fields = {}, headers = {}) => {
    const body = { model: "gpt-big", messages: [{ role: "user", content: text }], ...fields };
    const answer = await chat(neap, body, { ...bearer(PERSONAL), ...headers });
    assert.equal(answer.status, 200, answer.text);
    if (fields.stream) assert.equal(answer.events.filter((data) => data === "[DONE]").length, 1);
    return answer.headers["x-conversation-id"];
  };
  assert.equal((await get(neap, "/models", bearer(PERSONAL))).status, 200); // no round
  const id = await ask("What is the highest mountain of the world?");
  assert.ok(id, "whole answers have it, too");
  assert.equal(await ask("What is the highest mountain of the world?", { stream: true }), id);
  await ask("Something else that has nothing to do with it", {}, { "x-conversation-id": "mine" });

  const total = await until(async () => {
    const now = await call("GET", "/stats/total");
    return now.total_rounds === 3 && now;
  }, "three rounds in /stats/total");
  assert.deepEqual(total, {
    total_conversations: 2,
    total_rounds: 3,
    prompt_tokens: 3 * USAGE.prompt_tokens,
    completion_tokens: 3 * USAGE.completion_tokens,
    total_tokens: 3 * USAGE.total_tokens,
  });
  const told = await call("GET", `/stats/conversation/${id}`);
  assert.equal(told.rounds, 2);
  assert.equal(told.total_tokens, 2 * USAGE.total_tokens, "a stream counts as well");
  assert.deepEqual(
    told.messages.map(({ role, tokens_count }) => [role, tokens_count]),
    [
      ["user", USAGE.prompt_tokens],
      ["assistant", USAGE.completion_tokens],
      ["user", USAGE.prompt_tokens],
      ["assistant", USAGE.completion_tokens],
    ],
  );
  const unknown = await call("GET", "/stats/conversation/never");
  assert.deepEqual([unknown.rounds, unknown.total_tokens, unknown.messages], [0, 0, []]);

  const as = await neap.admin.token("read");
  const by = async (dimension) => {
    const answer = await neap.admin.call(`/api/v1/statistics/breakdown?by=${dimension}`, { as });
    const values = answer.json.values.filter(({ value }) => value); // without one: /models
    return values.map(({ value, requests }) => [value, requests]);
  };
  assert.deepEqual(await by("provider"), [["One", 3]], "what its README promises besides");
  assert.deepEqual(await by("model"), [["gpt-big", 3]]);
});
