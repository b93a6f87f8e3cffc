/* A provider that streams where a whole answer was asked for, or the reverse: the client gets
 * what it asked for, and all that the answer says. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { client_of } from "./support/sdk.mjs";
import { DONE, USAGE, completion, event, reply, stream, upstream, usage } from "./support/upstream.mjs";

const STEM = { id: "c-1", object: "chat.completion.chunk", created: 7, model: "m" };
const part = (index, delta, fields = {}) =>
  event({ ...STEM, choices: [{ index, delta, finish_reason: null, ...fields }] });
const fragment = (index, fields) => part(0, { tool_calls: [{ index, ...fields }] });
const spoken = (token) => ({ content: [{ token, logprob: -1, bytes: null, top_logprobs: [] }] });
const image = (url) => ({ type: "image_url", image_url: { url } });

async function pool(t) {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"], { policies: NO_BREAKER }));
  return { up, neap };
}

test("a stream becomes one answer", async (t) => {
  const { up, neap } = await pool(t);
  const ask = async (...events) => {
    up.next(stream(...events, DONE));
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.headers["content-type"], "application/json");
    return seen.json;
  };
  const end = (index, reason) => part(index, {}, { finish_reason: reason });

  await t.test("with several choices, in their order", async () => {
    const answer = await ask(
      part(1, { role: "assistant", content: "" }),
      part(0, { role: "assistant", content: "A" }),
      part(1, { content: "B" }),
      part(0, { content: "a" }),
      end(0, "length"),
      part(1, { content: "b" }),
      end(1, "stop"),
      usage(),
    );
    assert.deepEqual(
      answer.choices.map((one) => [one.index, one.message.content, one.finish_reason]),
      [
        [0, "Aa", "length"],
        [1, "Bb", "stop"],
      ],
    );
    assert.deepEqual(answer.usage, USAGE);
    assert.equal(answer.object, "chat.completion");
  });

  await t.test("with reasonings, a refusal, images, logprobs and members of its own", async () => {
    const answer = await ask(
      event({ ...STEM, service_tier: "flex", choices: [] }),
      part(0, { role: "assistant", reasoning: "h", reasoning_details: [{ text: "h" }] }),
      part(0, { reasoning: "m", reasoning_details: [{ text: "m" }], reasoning_content: "so" }),
      part(0, { content: "x" }, { logprobs: spoken("x") }),
      part(0, { content: "y", images: [image("data:1")] }, { logprobs: spoken("y") }),
      part(0, { refusal: "no" }),
      part(0, { refusal: "pe", images: [image("data:2")] }),
      end(0, "stop"),
    );
    const [choice] = answer.choices;
    assert.deepEqual(choice.message, {
      role: "assistant",
      content: "xy",
      refusal: "nope",
      reasoning: "hm",
      reasoning_content: "so",
      reasoning_details: [{ text: "h" }, { text: "m" }],
      images: [image("data:1"), image("data:2")],
    });
    assert.deepEqual(
      choice.logprobs.content.map((one) => one.token),
      ["x", "y"],
    );
    assert.deepEqual([answer.id, answer.created, answer.service_tier], ["c-1", 7, "flex"]);
    assert.equal(answer.usage, undefined, "nobody told it");
  });

  const call = (id, name, text) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  });
  const calls = {
    "in pieces that mix": [
      [
        fragment(0, call("c1", "f", "")),
        fragment(1, call("c2", "g", '{"b"')),
        fragment(0, { function: { arguments: '{"a":1}' } }),
        fragment(1, { id: "", function: { name: "", arguments: ":2}" } }),
      ],
      [call("c1", "f", '{"a":1}'), call("c2", "g", '{"b":2}')],
    ],
    "that all are the first": [
      [fragment(0, call("c1", "f", "{}")), fragment(0, call("c2", "f", "{}"))],
      [call("c1", "f", "{}"), call("c2", "f", "{}")],
    ],
    "without an index, or with -1": [
      [
        fragment(undefined, call("c1", "f", "{")),
        fragment(undefined, { function: { arguments: "}" } }),
        fragment(-1, call("c2", "g", "{}")),
      ],
      [call("c1", "f", "{}"), call("c2", "g", "{}")],
    ],
    "from index 1 on, without arguments": [
      [fragment(1, call("c1", "f", "")), fragment(2, { id: "c2", function: { name: "g" } })],
      [call("c1", "f", "{}"), call("c2", "g", "{}")],
    ],
  };
  for (const [name, [events, wanted]] of Object.entries(calls)) {
    await t.test(`with calls ${name}`, async () => {
      const answer = await ask(...events, end(0, "tool_calls"));
      assert.deepEqual(answer.choices[0].message.tool_calls, wanted);
      assert.equal(answer.choices[0].finish_reason, "tool_calls");
    });
  }

  await t.test("unless it says an error: that is the answer, without the key", async () => {
    const problem = { code: "context_length_exceeded", type: "invalid_request_error", param: "x" };
    const told = { ...problem, message: "too long for sk-a-secret-0001" };
    up.next(stream(part(0, { content: "a" }), event({ error: told })));
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.status, 400);
    assert.deepEqual(seen.json.error, { ...problem, message: "too long for [key a-1]" });
  });

  await t.test("with a custom tool's call", async () => {
    const custom = (fields) => fragment(0, fields);
    const answer = await ask(
      custom({ id: "c1", type: "custom", custom: { name: "f", input: "" } }),
      custom({ custom: { input: "raw " } }),
      custom({ custom: { input: "text" } }),
      end(0, "tool_calls"),
    );
    assert.deepEqual(answer.choices[0].message.tool_calls, [
      { id: "c1", type: "custom", custom: { name: "f", input: "raw text" } },
    ]);
  });

  await t.test("with parts beside texts", async () => {
    const thought = (text) => ({ type: "thinking", thinking: [{ type: "text", text }] });
    const answer = await ask(
      part(0, { role: "assistant", content: "" }),
      part(0, { content: [thought("hm")] }),
      part(0, { content: [thought("m")] }),
      part(0, { content: null }),
      part(0, { content: "the " }),
      part(0, { content: "answer" }),
      end(0),
    );
    assert.deepEqual(answer.choices[0].message.content, [
      thought("hm"),
      thought("m"),
      { type: "text", text: "the answer" },
    ]);
  });

  await t.test("with a call of the old kind", async () => {
    const answer = await ask(
      part(0, { function_call: { name: "f", arguments: "{" } }),
      part(0, { function_call: { arguments: "}" } }),
      end(0, "function_call"),
    );
    assert.deepEqual(answer.choices[0].message.function_call, { name: "f", arguments: "{}" });
  });
});

test("a whole answer becomes a stream", async (t) => {
  const { up, neap } = await pool(t);
  const message = {
    role: "assistant",
    content: "hello",
    refusal: null,
    reasoning: "hm",
    images: [image("data:1")],
    tool_calls: [
      { id: "c1", type: "function", function: { name: "f", arguments: "{}" } },
      { id: "c2", type: "function", function: { name: "g", arguments: "{}" } },
    ],
  };
  const whole = {
    ...completion(""),
    system_fingerprint: "fp",
    choices: [
      { index: 0, message, logprobs: spoken("hello"), finish_reason: "tool_calls" },
      { index: 1, message: { role: "assistant", content: "B" }, finish_reason: "length" },
    ],
  };
  const asked = { stream: true, stream_options: { include_usage: true } };

  await t.test("that says the same", async () => {
    up.next(reply(200, whole));
    const seen = await chat(neap, say("pool", asked));
    const parts = seen.events.slice(0, -1).map((data) => JSON.parse(data));
    assert.equal(seen.events.at(-1), "[DONE]");
    const deltas = parts.map((one) => one.choices[0]?.delta ?? {});
    assert.deepEqual(deltas[0], { role: "assistant", content: "" });
    assert.deepEqual(deltas.find((delta) => delta.images)?.images, message.images);
    assert.ok(deltas.some((delta) => delta.reasoning === "hm"));
    assert.deepEqual(
      parts.filter((one) => one.choices[0]?.finish_reason).map((one) => one.choices[0].finish_reason),
      ["tool_calls", "length"],
    );
    assert.ok(parts.every((one) => one.id === whole.id && one.system_fingerprint === "fp"));
    assert.ok(parts.every((one) => one.object === "chat.completion.chunk"));
    assert.deepEqual([parts.at(-1).choices, parts.at(-1).usage], [[], USAGE]);
    assert.equal(parts.filter((one) => one.usage).length, 1);
  });

  await t.test("that the SDK puts together again", async () => {
    up.next(reply(200, whole));
    const got = await client_of(neap)
      .chat.completions.stream(say("pool", asked))
      .finalChatCompletion();
    const calls = got.choices[0].message.tool_calls;
    assert.deepEqual(
      calls.map((one) => [one.id, one.function.name, one.function.arguments]),
      [
        ["c1", "f", "{}"],
        ["c2", "g", "{}"],
      ],
    );
    assert.equal(got.choices[0].logprobs.content[0].token, "hello");
    assert.equal(got.choices[1].message.content, "B");
    assert.deepEqual(got.usage, USAGE);
  });

  await t.test("also with what no number can be, but without what neap does not know", async () => {
    const odd = JSON.stringify(whole).replace('"fp"', "1e400");
    up.next(reply(200, odd));
    const seen = await chat(neap, say("pool", asked));
    assert.equal(seen.content, "hello", seen.text);
    assert.equal(seen.events.at(-1), "[DONE]");
    up.next(stream(odd.includes("1e400") && `data: ${odd.replaceAll("message", "delta")}\n\n`, DONE));
    assert.equal((await chat(neap, say("pool"))).content, "hello");
  });

  await t.test("without the usage that was not asked for", async () => {
    up.next(reply(200, whole));
    const seen = await chat(neap, say("pool", { stream: true }));
    assert.doesNotMatch(seen.text, /usage/);
    assert.ok((await neap.line(seen)).usage, "it is in the log");
  });
});
