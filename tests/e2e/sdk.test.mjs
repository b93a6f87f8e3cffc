/* The official OpenAI client against neap. */
import test from "node:test";
import assert from "node:assert/strict";
import { say } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { OpenAI, client_of } from "./support/sdk.mjs";
import { latch, soon } from "./support/story.mjs";
import {
  DONE,
  SILENCE,
  answer,
  chunk,
  completion,
  error,
  finish,
  reply,
  role,
  stream,
  talk,
  tool,
  upstream,
  usage,
} from "./support/upstream.mjs";

const SECRET = "client-secret-0123456789";
const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];

test("the openai client", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", up),
      group("pool", ["a"]),
      token("client", { secret: SECRET, groups: ["pool"] }),
    ].join(""),
  );
  const client = client_of(neap);
  const chat = client.chat.completions;

  await t.test("creates", async () => {
    up.next(answer("Hello there"));
    const { data, response, request_id } = await chat.create(say("pool")).withResponse();
    assert.equal(data.choices[0].message.content, "Hello there");
    assert.equal(data.usage.total_tokens, 11);
    assert.equal(up.last.json.model, "m");
    assert.ok(request_id, "x-request-id reaches _request_id");
    assert.equal(response.headers.get("x-neap-provider"), "a");
    assert.equal(response.headers.get("x-neap-attempts"), "1");
  });

  await t.test("streams, each part as it comes", async () => {
    const steps = [latch(), latch()];
    up.next(
      stream(
        role(),
        chunk("one"),
        steps[0],
        chunk(" two"),
        steps[1],
        chunk(" three"),
        finish(),
        DONE,
      ),
    );
    let text = "";
    for await (const part of await chat.create(say("pool", { stream: true }))) {
      text += part.choices[0].delta.content ?? "";
      if (text === "one") steps[0].release();
      if (text === "one two") steps[1].release();
    }
    assert.equal(text, "one two three");
  });

  await t.test("streams with usage when it asks for it, and without when not", async () => {
    up.next(talk("x"), talk("x"));
    const parts = async (fields) => {
      const seen = [];
      for await (const part of await chat.create(say("pool", { stream: true, ...fields })))
        seen.push(part);
      return seen;
    };
    assert.equal(
      (await parts({ stream_options: { include_usage: true } })).at(-1).usage.total_tokens,
      11,
    );
    assert.ok(
      (await parts({})).every((part) => part.choices.length === 1),
      "no usage chunk",
    );
  });

  await t.test(".stream() helper", async () => {
    up.next(talk("Hel", "lo"));
    const events = [];
    const runner = chat.stream(say("pool")).on("content", (text) => events.push(text));
    const final = await runner.finalChatCompletion();
    assert.equal(final.choices[0].message.content, "Hello");
    assert.deepEqual(events, ["Hel", "lo"]);
  });

  await t.test("tools, whole", async () => {
    const tool_calls = [
      {
        id: "call_1",
        type: "function",
        function: { name: "weather", arguments: '{"city":"Bern"}' },
      },
    ];
    up.next(reply(200, completion(null, { tool_calls })));
    const made = await chat.create(say("pool", { tools: TOOLS }));
    assert.deepEqual(made.choices[0].message.tool_calls, tool_calls);
    assert.deepEqual(up.last.json.tools, TOOLS);
  });

  await t.test("tools, streamed in pieces", async () => {
    up.next(
      stream(
        role(),
        tool({
          index: 0,
          id: "call_1",
          type: "function",
          function: { name: "weather", arguments: "" },
        }),
        tool({ index: 0, function: { arguments: '{"city":' } }),
        tool({ index: 0, function: { arguments: '"Bern"}' } }),
        tool({
          index: 1,
          id: "call_2",
          type: "function",
          function: { name: "weather", arguments: "{}" },
        }),
        finish("tool_calls"),
        DONE,
      ),
    );
    const final = await chat.stream(say("pool", { tools: TOOLS })).finalChatCompletion();
    assert.deepEqual(
      final.choices[0].message.tool_calls.map((call) => [call.id, call.function.arguments]),
      [
        ["call_1", '{"city":"Bern"}'],
        ["call_2", "{}"],
      ],
    );
  });

  await t.test("a tool's result goes up as it is", async () => {
    const messages = [
      { role: "user", content: "weather?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "call_1", type: "function", function: { name: "weather", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
    ];
    await chat.create({ model: "pool", messages });
    assert.deepEqual(up.last.json.messages, messages);
  });

  await t.test("aborts before the answer, and the provider notices", async () => {
    up.next([SILENCE]);
    const before = up.calls.length;
    const controller = new AbortController();
    const asked = chat.create(say("pool"), { signal: controller.signal });
    const call = await up.call(before);
    controller.abort();
    await assert.rejects(asked, OpenAI.APIUserAbortError);
    await soon(call.closed, "the provider to see the abort");
  });

  await t.test("aborts in mid-stream, and the provider notices", async () => {
    up.next(stream(role(), chunk("one"), SILENCE));
    const running = await chat.create(say("pool", { stream: true }));
    for await (const part of running) {
      if (part.choices[0].delta.content) running.controller.abort();
    }
    await soon(up.last.closed, "the provider to see the abort");
  });

  const classes = [
    [
      400,
      error(400, "bad temperature", {}, { type: "invalid_request_error", param: "temperature" }),
      OpenAI.BadRequestError,
      /bad temperature/,
    ],
    [
      404,
      error(404, "no such model", {}, { code: "model_not_found" }),
      OpenAI.NotFoundError,
      /no such model/,
    ],
    [422, error(422, "cannot process"), OpenAI.UnprocessableEntityError, /cannot process/],
    [500, error(500, "the provider is ill"), OpenAI.InternalServerError, /ill/],
  ];
  for (const [status, script, type, message] of classes) {
    await t.test(`${status} is ${type.name}`, async () => {
      up.next(script);
      await assert.rejects(chat.create(say("pool")), (failure) => {
        assert.ok(failure instanceof type, `${failure.constructor.name}: ${failure.message}`);
        assert.equal(failure.status, status);
        assert.match(failure.message, message);
        return true;
      });
    });
  }

  await t.test("a model that does not exist is NotFoundError", async () => {
    await assert.rejects(
      chat.create(say("nothing")),
      (failure) => failure instanceof OpenAI.NotFoundError && failure.code === "model_not_found",
    );
  });

  await t.test("a wrong token is AuthenticationError", async () => {
    await assert.rejects(
      client_of(neap, { apiKey: "some-wrong-secret-000" }).chat.completions.create(say("pool")),
      OpenAI.AuthenticationError,
    );
  });

  await t.test("429 is RateLimitError with retry-after", async () => {
    up.next(error(429, "slow down", { "retry-after": "7" }));
    await assert.rejects(chat.create(say("pool")), (failure) => {
      assert.ok(failure instanceof OpenAI.RateLimitError, failure.message);
      assert.ok(Number(failure.headers.get("retry-after")) > 0, "retry-after is there");
      return true;
    });
  });
});

test("the client's own retries do not multiply neap's", async (t) => {
  for (const status of [408, 409, 500]) {
    await t.test(`after a ${status}`, async (t) => {
      const up = await upstream(t);
      const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
      up.always(error(status, "ill"));
      const { completions } = client_of(neap, { maxRetries: 2 }).chat;
      await assert.rejects(completions.create(say("pool")), { status });
      assert.equal(up.calls.length, 1, "x-should-retry: false keeps the client from asking again");
    });
  }
});
