/* The first target fails in every way that there is before the commit; the second one
 * answers and the client notices nothing. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { client_of } from "./support/sdk.mjs";
import { latch, patience, soon } from "./support/story.mjs";
import {
  DONE,
  END,
  LAST,
  RESET,
  SILENCE,
  answer,
  completion,
  error,
  event,
  finish,
  head,
  refusing,
  reply,
  role,
  stream,
  stream_head,
  upstream,
} from "./support/upstream.mjs";

/* Short ones, but longer than a slow machine needs for what does answer. */
const TIMEOUTS = Object.fromEntries(
  Object.entries({ connect: 1, first_byte: 0.3, first_event: 0.4, idle: 1, total: 1 }).map(
    ([name, time]) => [name, patience(time)],
  ),
);
const half = (bytes) => bytes.subarray(0, bytes.length >> 1);
const whole = reply(200, completion("never seen"))[0];

/* name: [script, what the log must say of the first attempt, only streamed or not] */
const faults = {
  "answers 500": [error(500, "ill"), 500],
  "answers 502 with HTML": [
    reply(502, "<html>bad gateway</html>", { "content-type": "text/html" }),
    502,
  ],
  "answers 503": [error(503, "later"), 503],
  "answers 529": [error(529, "overloaded"), 529],
  "answers 429": [error(429, "slow down", { "retry-after": "60" }), 429],
  "answers 401": [error(401, "bad key"), 401],
  "answers 402": [error(402, "no money"), 402],
  "answers 403": [error(403, "forbidden"), 403],
  "answers 404": [error(404, "no such model", {}, { code: "model_not_found" }), 404],
  "answers 408": [error(408, "timeout"), 408],
  "answers 409": [error(409, "conflict"), 409],
  "answers 425": [error(425, "too early"), 425],
  "resets before the head": [[RESET], "reset"],
  "closes before the head": [[END], "reset|protocol|connect"],
  "resets in mid-head": [
    [half(Buffer.from(head(200, { "content-type": "application/json" }))), RESET],
    "reset|protocol",
  ],
  "speaks no HTTP": [["220 smtp.example ESMTP\r\n", END], "protocol|reset"],
  redirects: [
    [head(302, { location: "http://127.0.0.1:1/", "content-length": 0 })],
    "protocol|302",
  ],
  "says nothing at all": [[SILENCE], "timeout"],
  "breaks off in a whole body": [[half(whole), RESET], "reset", "whole"],
  "ends a whole body early": [[half(whole), END], "reset|protocol", "whole"],
  "stalls in a whole body": [[half(whole), SILENCE], "timeout", "whole"],
  "answers with an empty completion": [reply(200, completion("")), "empty", "whole"],
  "answers with null content": [reply(200, completion(null)), "empty", "whole"],
  "answers with no choices": [reply(200, { ...completion(""), choices: [] }), "empty", "whole"],
  "answers with nothing under 200": [reply(200, ""), "empty|protocol"],
  "answers an error object under 200": [
    reply(200, { error: { message: "overloaded", type: "server_error", code: 503 } }),
    "503|502",
  ],
  "sends an error event under 200": [
    stream(event({ error: { message: "overloaded", type: "server_error", code: 503 } })),
    "503",
    "stream",
  ],
  "sends an error event with a role before it": [
    stream(role(), event({ error: { message: "boom" } })),
    "502",
    "stream",
  ],
  "sends a named error event": [
    stream(`event: error\n${event({ error: { message: "boom", code: 500 } })}`),
    "50.",
    "stream",
  ],
  "streams a finish without content": [stream(role(), finish(), DONE), "empty", "stream"],
  "streams only [DONE]": [stream(DONE), "empty", "stream"],
  "streams only comments": [
    stream(": OPENROUTER PROCESSING\n\n", ": OPENROUTER PROCESSING\n\n"),
    "empty|protocol|reset",
    "stream",
  ],
  "ends a stream before any content": [[stream_head(), END], "reset|empty|protocol", "stream"],
  "resets a stream behind the role": [stream(role(), RESET), "reset", "stream"],
  "stalls behind the head": [[stream_head(), SILENCE], "timeout", "stream"],
  "stalls behind the role": [stream(role(), SILENCE), "timeout", "stream"],
  "breaks the chunk framing": [[stream_head(), "zz\r\nnonsense\r\n"], "reset|protocol", "stream"],
};

test("the second target answers", async (t) => {
  const good = await upstream(t);
  good.always(answer("from the second"));
  const dead = await refusing();
  const cases = [];
  for (const [name, [script, wanted, only]] of Object.entries(faults)) {
    for (const kind of ["whole", "stream"]) {
      if (!only || only === kind)
        cases.push({ name: `${name}, ${kind}`, script, wanted: String(wanted), kind });
    }
  }
  /* Each case has a provider of its own, so that no rest of one case reaches the next. */
  const bad = [];
  for (const each of cases) bad.push(await upstream(t));
  const config = [
    provider("good", good, { timeouts: { total: 20 } }),
    provider("dead", dead),
    group("dead", ["dead", "good"], { policies: NO_BREAKER }),
    ...cases.map(
      (each, index) =>
        provider(`bad_${index}`, bad[index], { timeouts: TIMEOUTS }) +
        group(`case_${index}`, [`bad_${index}`, "good"]),
    ),
  ].join("");
  const neap = await serve(t, config);
  const client = client_of(neap);

  const ask = async (model, kind) => {
    if (kind === "whole") return client.chat.completions.create(say(model)).withResponse();
    const runner = client.chat.completions.stream(say(model));
    return { data: await runner.finalChatCompletion() };
  };

  for (const kind of ["whole", "stream"]) {
    await t.test(`refuses the connection, ${kind}`, async () => {
      assert.equal((await ask("dead", kind)).data.choices[0].message.content, "from the second");
    });
  }

  for (const [index, { name, script, wanted, kind }] of cases.entries()) {
    await t.test(name, async () => {
      bad[index].next(script);
      const { data } = await ask(`case_${index}`, kind);
      assert.equal(data.choices[0].message.content, "from the second");
      assert.equal(bad[index].calls.length, 1, "the first target was asked once");

      const line = await neap_line(neap, `case_${index}`);
      assert.equal(line.outcome, "ok");
      assert.equal(line.status, 200);
      assert.equal(line.provider, "good");
      assert.equal(line.attempts.length, 2, JSON.stringify(line.attempts));
      const first = line.attempts[0];
      assert.match(
        String(first.failure ?? first.status),
        new RegExp(`^(${wanted})$`),
        JSON.stringify(line.attempts),
      );
      assert.match(first.target, new RegExp(`bad_${index}`));
    });
  }

  await t.test("the answer says who gave it and how many were tried", async () => {
    const seen = await chat(neap, say("dead"));
    assert.equal(seen.headers["x-neap-provider"], "good");
    assert.equal(seen.headers["x-neap-attempts"], "2");
  });
});

const neap_line = async (neap, name) => {
  await neap.says(new RegExp(`"group": ?"${name}"`));
  return neap.requests().find((line) => line.group === name);
};

test("the same bytes go to every target, with each one's own model and key", async (t) => {
  const first = await upstream(t),
    second = await upstream(t),
    third = await upstream(t);
  first.always(error(500, "ill"));
  second.always([RESET]);
  const neap = await serve(
    t,
    [
      provider("a", first),
      provider("b", second),
      provider("c", third),
      group("pool", [
        { provider: "a", model: "model-a" },
        { provider: "b", model: "model-b" },
        { provider: "c", model: "model-c" },
      ]),
    ].join(""),
  );
  const body = `{ "messages":[{"role":"user","content":"h\\u00e9llo \\ud83e\\udd8a"}],\n "model" : "pool", "x": 1.0e0 }`;
  const seen = await chat(neap, body);
  assert.equal(seen.status, 200, seen.text);
  for (const [up, name, key] of [
    [first, "model-a", "sk-a-secret-0001"],
    [second, "model-b", "sk-b-secret-0001"],
    [third, "model-c", "sk-c-secret-0001"],
  ]) {
    assert.equal(up.calls.length, 1);
    assert.equal(up.last.body.toString(), body.replace("pool", name));
    assert.equal(up.last.key, key);
  }
  assert.equal(seen.headers["x-neap-attempts"], "3");
});

test("targets are tried by priority, not in the order written", async (t) => {
  const low = await upstream(t),
    high = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("low", low),
      provider("high", high),
      group("pool", [
        { provider: "low", priority: 2 },
        { provider: "high", priority: 1 },
      ]),
    ].join(""),
  );
  for (let round = 0; round < 3; round++)
    assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "high");
  assert.equal(low.calls.length, 0);
});

test("retry_on decides what moves on", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", first),
      provider("b", second),
      `group "pool" { policies = { use("priority_failover", { retry_on = { "5xx" } }), "key_rotation" },
      targets = { { "a", "m", priority = 1 }, { "b", "m", priority = 2 } } }\n`,
    ].join(""),
  );
  first.next(error(404, "not here"));
  assert.equal((await chat(neap, say("pool"))).status, 404);
  first.next(error(503, "later"));
  assert.equal((await chat(neap, say("pool"))).status, 200);
  assert.equal(second.calls.length, 1);
});

test("a page of HTML is no answer to who asked for a stream", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) +
      provider("b", second) +
      group("alone", ["a"], { policies: NO_BREAKER }) +
      group("pool", ["a", "b"], { policies: NO_BREAKER }),
  );
  first.always(reply(200, "<html>please log in</html>", { "content-type": "text/html" }));
  const seen = await chat(neap, say("pool", { stream: true }));
  assert.equal(seen.status, 200, seen.text);
  assert.equal(seen.content, "ok");
  assert.equal(seen.headers["x-neap-provider"], "b");
  const refused = await chat(neap, say("alone", { stream: true }));
  assert.equal(refused.status, 502, refused.text);
  assert.equal(refused.json.error.code, "protocol");
  assert.match((await neap.line(refused)).attempts[0].why, /unexpected "<" at byte 0/);
  const passed = await chat(neap, say("pool"));
  assert.equal(passed.text, "<html>please log in</html>", "who asked for none gets it as it is");
});

for (const carrier of ["", "curl"])
  test(`what comes on an idle connection is nobody's answer${carrier && ", by curl"}`, async (t) => {
    const up = await upstream(t);
    const is_idle = latch();
    const neap = await serve(t, provider("a", up) + group("pool", ["a"]), {
      first: { workers: "1" },
      env: { NEAP_TRANSFER: carrier },
    });
    up.next((call) => [...answer("first")(call), is_idle, head(408, { "content-length": 0 })]);
    assert.equal((await chat(neap, say("pool"))).content, "first");
    is_idle.release();
    await soon(up.last.closed, "neap to let go of the connection");
    assert.equal((await chat(neap, say("pool"))).content, "ok");
  });

test("an answer that streams although none was asked for, and the reverse, pass", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  up.next(
    stream(
      role(),
      event({
        ...completion(""),
        choices: [{ index: 0, delta: { content: "streamed" }, finish_reason: null }],
      }),
      finish(),
      DONE,
    ),
  );
  const streamed = await chat(neap, say("pool"));
  assert.match(streamed.text, /streamed/);
  up.next(reply(200, completion("whole")));
  const whole_answer = await chat(neap, say("pool", { stream: true }));
  assert.match(whole_answer.text, /whole/);
});

test("an answer without its last chunk of framing is broken, one that ends by closing is not", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const body = JSON.stringify(completion("by closing"));
  up.next([head(200, { "content-type": "application/json", connection: "close" }), body, END]);
  assert.equal((await chat(neap, say("pool"))).content, "by closing");
  up.next([
    head(200, { "content-type": "application/json", "transfer-encoding": "chunked" }),
    `${body.length.toString(16)}\r\n${body}\r\n`,
    LAST,
  ]);
  assert.equal((await chat(neap, say("pool"))).content, "by closing");
});
