/* Which headers cross, in both directions. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { completion, reply, upstream } from "./support/upstream.mjs";

const SECRET = "client-secret-0123456789";

test("request headers", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", up, {
        forward: ["X-Custom"],
        headers: { "X-Fixed": "from router.lua", "OpenAI-Beta": "ours" },
      }),
      provider("plain", up),
      group("pool", ["a"]),
      group("plain", ["plain"]),
      token("client", { secret: SECRET, groups: ["pool", "plain"] }),
    ].join(""),
  );

  const passes = {
    "openai-organization": "org-1",
    "openai-project": "proj-1",
    "openai-beta": "assistants=v2",
    "idempotency-key": "idem-1",
    "user-agent": "my-app/1.0",
  };
  const stays = {
    authorization: `Bearer ${SECRET}`,
    "x-api-key": SECRET,
    "x-goog-api-key": SECRET,
    cookie: "session=1",
    "x-forwarded-for": "1.2.3.4",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    forwarded: "for=1.2.3.4",
    "x-real-ip": "1.2.3.4",
    via: "1.1 proxy",
    referer: "https://app.example/",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "1",
    "x-stainless-timeout": "600",
    "keep-alive": "timeout=5",
    te: "trailers",
    "proxy-authorization": "Basic eDp5",
    upgrade: "h2c",
    "accept-encoding": "gzip, br",
    "x-unknown": "1",
    "x-neap-anything": "1",
    "x-custom": "wanted by nobody",
  };

  await t.test("the allow-list passes, the rest stays", async () => {
    assert.equal((await chat(neap, say("plain"), { ...passes, ...stays })).status, 200);
    for (const [name, value] of Object.entries(passes))
      assert.equal(up.last.header(name), value, name);
    for (const [name, value] of Object.entries(stays)) {
      assert.ok(
        up.last.header(name) === undefined || up.last.header(name) !== value,
        `${name}: ${up.last.header(name)}`,
      );
    }
    assert.equal(up.last.header("authorization"), "Bearer sk-plain-secret-0001");
    assert.equal(up.last.header("content-type"), "application/json");
    assert.ok(!up.last.head.includes(SECRET), "the client's token is nowhere");
    assert.ok(
      !/evil\.example|1\.2\.3\.4|stainless/i.test(up.last.head.toString()),
      up.last.head.toString(),
    );
  });

  await t.test("no header twice", async () => {
    const names = up.last.fields.map(([name]) => name.toLowerCase());
    assert.equal(new Set(names).size, names.length, String(names));
  });

  await t.test("a list that is told in several fields goes up whole", async () => {
    await chat(neap, say("plain"), { ...stays, "OpenAI-Beta": ["one=1", "two=2"] });
    const values = up.last.fields
      .filter(([name]) => name.toLowerCase() === "openai-beta")
      .map(([, value]) => value);
    assert.deepEqual(values, ["one=1", "two=2"]);
  });

  await t.test("a body of known length goes up with its length, not in chunks", async () => {
    assert.equal(up.last.header("content-length"), String(up.last.body.length));
    assert.equal(up.last.header("transfer-encoding"), undefined);
    assert.equal(up.last.header("expect"), undefined);
  });

  await t.test(
    "forward adds to the list; the provider's headers are set, over the client's",
    async () => {
      await chat(neap, say("pool"), {
        authorization: `Bearer ${SECRET}`,
        "x-custom": "wanted",
        "x-fixed": "from the client",
        "openai-beta": "theirs",
      });
      assert.equal(up.last.header("x-custom"), "wanted");
      assert.equal(up.last.header("x-fixed"), "from router.lua");
      assert.equal(up.last.header("openai-beta"), "ours");
    },
  );

  await t.test("api_base and base_url in the body choose nothing", async () => {
    const seen = await chat(
      neap,
      say("pool", { api_base: "http://127.0.0.1:1", base_url: "http://127.0.0.1:1" }),
      { authorization: `Bearer ${SECRET}` },
    );
    assert.equal(seen.status, 200);
  });
});

test("a provider's own headers may name another host, and be cookies", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up, { headers: { host: "virtual.example", Cookie: "site=7" } }) +
      group("pool", ["a"]),
  );
  assert.equal((await chat(neap, say("pool"), { cookie: "client=1" })).status, 200);
  assert.equal(up.last.header("host"), "virtual.example");
  assert.equal(up.last.header("cookie"), "site=7");
});

test("an Authorization of the provider's, or of a policy, goes out alone", async (t) => {
  const up = await upstream(t);
  const own = `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
  return next(request:with { headers = { authorization = "Basic policy" } })
end
return own
`;
  const neap = await serve(
    t,
    provider("a", up, { headers: { Authorization: "Basic provider" } }) +
      group("plain", ["a"]) +
      group("ruled", ["a"], { policies: ["own"] }),
    { files: { "policies/own.lua": own } },
  );
  for (const [model, shown] of [
    ["plain", "Basic provider"],
    ["ruled", "Basic policy"],
  ]) {
    assert.equal((await chat(neap, say(model))).status, 200);
    const shown_up = up.last.fields.filter(([name]) => /^authorization$/i.test(name));
    assert.deepEqual(
      shown_up.map(([, value]) => value),
      [shown],
    );
  }
});

test("answer headers", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const passes = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "6m0s",
    "openai-processing-ms": "12",
    "openai-organization": "org-1",
    "openai-version": "2020-10-01",
    "retry-after": "3",
    "retry-after-ms": "3000",
  };
  const stays = {
    "set-cookie": "__cf_bm=1",
    server: "cloudflare",
    "strict-transport-security": "max-age=1",
    "alt-svc": 'h3=":443"',
    "access-control-allow-origin": "*",
    "x-powered-by": "them",
    "keep-alive": "timeout=4242",
    "cf-ray": "1",
  };
  up.next(
    reply(200, completion("hi"), {
      ...passes,
      ...stays,
      "x-request-id": "req_upstream",
      "content-type": "application/json; charset=utf-8",
    }),
  );
  const seen = await chat(neap, say("pool"), { "x-request-id": "req-of-the-client.1" });

  for (const [name, value] of Object.entries(passes)) assert.equal(seen.headers[name], value, name);
  for (const [name, value] of Object.entries(stays)) {
    assert.ok(![seen.headers[name]].flat().includes(value), `${name}: ${seen.headers[name]}`);
  }
  assert.equal(seen.headers["content-type"], "application/json; charset=utf-8");
  assert.equal(seen.headers["x-request-id"], "req-of-the-client.1", "the client's id comes back");
  assert.equal(seen.headers["x-neap-upstream-request-id"], "req_upstream");
  assert.equal(seen.headers["x-neap-provider"], "a");
  assert.equal(seen.headers["x-neap-attempts"], "1");
  assert.equal((await neap.line("req-of-the-client.1")).status, 200);

  await t.test("without one neap makes an id, another each time", async () => {
    const ids = [];
    for (let round = 0; round < 3; round++)
      ids.push((await chat(neap, say("pool"))).headers["x-request-id"]);
    assert.equal(new Set(ids).size, 3, String(ids));
    assert.ok(ids.every((id) => id.length >= 8));
  });

  await t.test("an id that is no id is not taken", async () => {
    const long = "x".repeat(5000);
    const answered = await chat(neap, say("pool"), { "x-request-id": long });
    assert.equal(answered.status, 200);
    assert.notEqual(answered.headers["x-request-id"], long);
    assert.ok(answered.headers["x-request-id"].length < 500);
  });

  await t.test("x-should-retry of the provider passes", async () => {
    up.next(reply(400, { error: { message: "no" } }, { "x-should-retry": "true" }));
    assert.equal((await chat(neap, say("pool"))).headers["x-should-retry"], "true");
  });

  await t.test("each answer of neap's own has an id too", async () => {
    assert.ok((await chat(neap, say("nothing"))).headers["x-request-id"]);
    assert.ok((await chat(neap, "{")).headers["x-request-id"]);
  });
});
