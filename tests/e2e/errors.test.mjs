/* Which failure becomes which answer when no target is left. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, get, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { patience } from "./support/story.mjs";
import {
  END,
  RESET,
  SILENCE,
  completion,
  error,
  event,
  head,
  refusing,
  reply,
  stream,
  upstream,
} from "./support/upstream.mjs";

/* Short ones, but longer than a slow machine needs for what does answer. */
const TIMEOUTS = Object.fromEntries(
  Object.entries({ connect: 1, first_byte: 0.3, first_event: 0.3, idle: 0.5, total: 0.6 }).map(
    ([name, time]) => [name, patience(time)],
  ),
);

test("failures of the last target", async (t) => {
  const up = await upstream(t);
  const dead = await refusing();
  const neap = await serve(
    t,
    [
      provider("a", up, { timeouts: TIMEOUTS }),
      provider("dead", dead),
      group("pool", ["a"]),
      group("dead", ["dead"]),
    ].join(""),
  );

  const failures = {
    "a refused connection": ["dead", null, 502, "connect"],
    "a reset": ["pool", [RESET], 502, "reset"],
    "a body that ends early": [
      "pool",
      [head(200, { "content-type": "application/json", "content-length": 500 }), "{", END],
      502,
      "reset|protocol",
    ],
    "no HTTP": ["pool", ["hello\r\n\r\n", END], 502, "protocol|reset"],
    "a redirect": [
      "pool",
      [head(307, { location: "http://127.0.0.1:1/", "content-length": 0 })],
      502,
      "protocol",
    ],
    "a head of 100 KB": [
      "pool",
      [head(200, { "x-long": "x".repeat(100000), "content-length": 2 }), "{}"],
      502,
      "protocol",
    ],
    "an empty answer": ["pool", reply(200, completion("")), 502, "empty"],
    silence: ["pool", [SILENCE], 504, "timeout"],
  };
  for (const [name, [model, script, status, failure]] of Object.entries(failures)) {
    for (const is_stream of [false, true]) {
      await t.test(`${name}${is_stream ? ", streamed" : ""}: ${status}`, async () => {
        if (script) up.next(script);
        const seen = await chat(neap, say(model, { stream: is_stream }));
        assert.equal(seen.status, status, seen.text);
        assert.match(seen.headers["content-type"], /^application\/json/);
        assert.equal(seen.json.error.type, "server_error");
        assert.equal(typeof seen.json.error.message, "string");
        assert.equal(seen.headers["x-should-retry"], "false");
        assert.ok(seen.headers["x-request-id"]);
        const line = await neap.line(seen);
        assert.equal(line.outcome, "failed");
        assert.equal(line.status, status);
        assert.match(line.attempts.at(-1).failure, new RegExp(`^(${failure})$`));
        assert.equal(line.first_event_ms, null, "no event came");
      });
    }
  }

  for (const [name, code, status] of [
    ["503", 503, 503],
    ["no code of its own", undefined, 502],
    ["a code that is no status", "boom", 502],
    ["429", 429, 429], // last: the key rests after it
  ]) {
    await t.test(`an error event under 200 with ${name}: ${status}`, async () => {
      up.next(stream(event({ error: { message: "the reason is here", type: "x", code } })));
      const seen = await chat(neap, say("pool", { stream: true }));
      assert.equal(seen.status, status, seen.text);
      assert.match(seen.json.error.message, /the reason is here/);
    });
  }
});

test("an error that is no JSON object is told in a shape that clients read", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"], { policies: [] }));
  const bodies = [
    ["<html>\n<b>busy</b></html>", "text/html", /busy/],
    ["", "text/plain", /nothing/],
    ['"404 page not found"', "application/json", /page not found/],
    ['[{"error":{"code":500,"message":"no quota"}}]', "application/json", /^no quota$/],
  ];
  for (const [body, type, message] of bodies) {
    for (const stream of [false, true]) {
      up.next(reply(500, body, { "content-type": type, "retry-after": "3" }));
      const seen = await chat(neap, say("pool", { stream }));
      assert.equal(seen.status, 500);
      assert.equal(seen.headers["content-type"], "application/json");
      assert.equal(seen.headers["retry-after"], "3");
      assert.match(seen.json.error.message, message);
      assert.equal(seen.json.error.type, "server_error");
    }
  }
  const own = '{ "code":50505, "message":"busy" }';
  up.next(reply(503, own));
  assert.equal((await chat(neap, say("pool"))).text, own, "an object passes as it came");
});

test("the client's own mistakes come back as they are", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) + provider("b", second) + group("pool", ["a", "b"]),
  );
  for (const status of [400, 413, 422]) {
    for (const is_stream of [false, true]) {
      const body = `{ "error" : {"message":"status ${status} \\u00fc", "type":"invalid_request_error","param":"x","code":null }, "more": 1.0 }`;
      first.next(reply(status, body, { "x-ratelimit-remaining-requests": "3" }));
      const seen = await chat(neap, say("pool", { stream: is_stream }));
      assert.equal(seen.status, status);
      assert.equal(seen.text, body, "byte for byte");
      assert.equal(seen.headers["x-ratelimit-remaining-requests"], "3");
    }
  }
  assert.equal(second.calls.length, 0, "no other target was asked");
});

test("the provider's 401, 402 and 403 for our key are not the client's: 503", async (t) => {
  const up = await upstream(t);
  const keys = ["one", "two", "six", "ten"].map((id) => ({ id, secret: `sk-secret-${id}-000000` }));
  const neap = await serve(
    t,
    keys
      .map(
        (key, index) =>
          provider(`p${index}`, up, { keys: [key] }) + group(`g${index}`, [`p${index}`]),
      )
      .join(""),
  );
  for (const [index, status] of [401, 402, 403].entries()) {
    up.next(error(status, `Incorrect API key provided: ${keys[index].secret}`));
    const seen = await chat(neap, say(`g${index}`));
    assert.equal(seen.status, 503, seen.text);
    assert.equal(seen.json.error.type, "server_error");
    assert.ok(seen.json.error.message.length > 10, "the message says what is wrong");
    assert.ok(!seen.text.includes(keys[index].secret), "without the key");
    const line = await neap.line(seen);
    assert.equal(line.attempts[0].status, status, "the log has the true status");
  }
  assert.ok(!neap.text().includes("sk-secret-"), "no key in the log");
});

test("the last real answer is what the client gets", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) + provider("b", second) + group("pool", ["a", "b"]),
  );
  first.next(error(404, "a has no such model"));
  second.next(error(503, "b is down", { "retry-after": "5" }));
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 503);
  assert.match(seen.json.error.message, /b is down/);
  assert.equal(seen.headers["retry-after"], "5");
  first.next(error(500, "a is ill"));
  second.next(error(404, "b has no such model"));
  const last = await chat(neap, say("pool"));
  assert.equal(last.status, 404);
  assert.match(last.json.error.message, /b has no such model/);
});

test("requests that neap itself refuses", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const refusals = {
    "no model": [{ messages: [] }, 400],
    "a model that is no string": [{ model: 7, messages: [] }, 400],
    "an empty model": [{ model: "", messages: [] }, [400, 404]],
    "an array": ["[1]", 400],
    "an empty body": ["", 400],
    "an unknown model": [{ model: "nothing", messages: [] }, 404],
  };
  for (const [name, [body, status]] of Object.entries(refusals)) {
    await t.test(`${name}: ${status}`, async () => {
      const seen = await chat(neap, body);
      assert.ok([status].flat().includes(seen.status), `${seen.status}: ${seen.text}`);
      assert.equal(seen.json.error.type, "invalid_request_error");
    });
  }
  await t.test("another method: 405 or 404", async () => {
    const seen = await get(neap, "/v1/chat/completions");
    assert.ok([404, 405].includes(seen.status), String(seen.status));
    assert.equal(typeof seen.json.error.message, "string");
  });
  assert.equal(up.calls.length, 0);
});
