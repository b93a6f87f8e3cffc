/* A provider of another dialect: its stream is translated event by event, and what is said
 * before and after the commit holds as for any other. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, chat_bytes, open_chat, say, wire } from "./support/client.mjs";
import { NO_BREAKER, group, provider, token } from "./support/lua.mjs";
import { is_sanitized, serve } from "./support/neap.mjs";
import { OpenAI, client_of } from "./support/sdk.mjs";
import {
  BYE,
  both,
  cost,
  env,
  hello,
  oops,
  said,
  say_it,
  shouter,
  shouts,
  stop,
  tell,
} from "./support/shout.mjs";
import { latch, patience, until, within } from "./support/story.mjs";
import {
  DONE,
  END,
  RESET,
  SILENCE,
  chunk,
  closed_after,
  completion,
  error,
  event,
  finish,
  piece,
  reply,
  role,
  stream,
  stream_head,
  talk,
  tool,
  upstream,
  usage,
} from "./support/upstream.mjs";

const MIB = 1024 * 1024;
const SETS = `local policy = require "neap.policy"
local own = policy.define { summary = "Sets a member." }
function own:run(request, next)
  return next(request:with { set = { temperature = 0.5 } })
end
return own
`;

/* "pool" has a provider that shouts first and one of OpenAI's dialect behind it. */
async function pool(t, fields = {}, timeouts = {}) {
  const loud = await upstream(t),
    plain = await upstream(t);
  const neap = await serve(
    t,
    shouter("loud", loud, { timeouts }) +
      provider("plain", plain, { timeouts }) +
      group("pool", ["loud", "plain"], { policies: NO_BREAKER, ...fields }) +
      group("reverse", ["plain", "loud"], { policies: NO_BREAKER, ...fields }) +
      group("sets", ["loud"], { policies: ["sets"] }),
    { env, files: { "policies/sets.lua": SETS }, first: { workers: 1 } },
  );
  return { loud, plain, neap };
}

const streamed = (neap, fields = {}) => chat(neap, say("pool", { stream: true, ...fields }));
const chunks = (seen) =>
  seen.events.filter((data) => data !== "[DONE]").map((data) => JSON.parse(data));

test("a request and its answer are translated", async (t) => {
  const { loud, neap } = await pool(t);

  await t.test("whole", async () => {
    loud.next(said("hello there"));
    const seen = await chat(neap, say("pool", { temperature: 1 }));
    assert.equal(seen.content, "HELLO THERE");
    assert.equal(seen.headers["content-type"], "application/json");
    assert.equal(seen.json.object, "chat.completion");
    assert.equal(seen.json.choices[0].finish_reason, "stop");
    assert.equal(seen.json.usage.total_tokens, 11);
    assert.equal(seen.headers["x-neap-provider"], "loud");
    const call = loud.last;
    assert.equal(call.path, "/loud/m");
    assert.equal(call.header("x-loud-key"), "sk-loud-secret-0001");
    assert.equal(call.header("authorization"), undefined);
    assert.deepEqual(call.json, { lines: [{ who: "user", said: "hello" }], heat: 1, voice: "m" });
  });

  await t.test("streamed", async () => {
    loud.next(shouts("hello", " there"));
    const seen = await streamed(neap);
    assert.equal(loud.last.path, "/loud/m/live");
    assert.match(seen.headers["content-type"], /^text\/event-stream/);
    assert.equal(seen.content, "HELLO THERE");
    assert.equal(seen.events.at(-1), "[DONE]");
    const parts = chunks(seen);
    assert.equal(parts[0].choices[0].delta.role, "assistant");
    assert.equal(parts.at(-1).choices[0].finish_reason, "stop");
    for (const part of parts) assert.equal(part.id, "shout-1");
    assert.ok(parts.every((part) => !part.usage), "no usage was asked for");
    const line = await neap.line(seen);
    assert.equal(line.outcome, "ok");
    assert.ok(
      Object.values(line.usage ?? {}).some((count) => count === 9),
      `usage in the log: ${JSON.stringify(line.usage)}`,
    );
  });

  await t.test("streamed, with the usage that is asked for", async () => {
    loud.next(shouts("x"));
    const seen = await streamed(neap, { stream_options: { include_usage: true } });
    const last = chunks(seen).at(-1);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.prompt_tokens, 9);
    assert.equal(last.usage.completion_tokens, 2);
  });

  await t.test("streamed, with a usage that is told several times", async () => {
    loud.next(stream(hello(), cost(), say_it("x"), cost(), stop(), cost(), BYE));
    const seen = await streamed(neap, { stream_options: { include_usage: true } });
    const parts = chunks(seen);
    assert.equal(parts.filter((part) => part.usage).length, 1);
    assert.equal(parts.at(-1).usage.prompt_tokens, 9);
  });

  await t.test("an end without a reason gets the one that it must have had", async () => {
    const call = tell("call", { at: 0, id: "c", name: "f", with: "{}" });
    for (const [said, reason] of [
      [say_it("x"), "stop"],
      [call, "tool_calls"],
    ]) {
      loud.next(stream(hello(), said, BYE));
      assert.equal(chunks(await streamed(neap)).at(-1).choices[0].finish_reason, reason);
    }
  });

  await t.test("with what a policy sets", async () => {
    loud.next(said("x"));
    await chat(neap, say("sets", { temperature: 1 }));
    assert.equal(loud.last.json.heat, 0.5);
  });

  await t.test("a whole answer longer than a gate holds", async () => {
    const text = "loud ".repeat(120000);
    loud.next(said(text), said(text));
    assert.equal((await chat(neap, say("pool"))).content, text.toUpperCase());
    assert.equal((await streamed(neap)).content, text.toUpperCase());
  });

  await t.test("a body too long to be translated is 413, with no attempt", async () => {
    const before = loud.calls.length;
    const seen = await chat(neap, say("pool", { user: "x".repeat(9 * MIB) }));
    assert.equal(seen.status, 413, seen.text);
    assert.equal(loud.calls.length, before);
  });

  await t.test("a whole answer that is none: the next target answers", async () => {
    loud.next(reply(200, '{"said":"x"'));
    const seen = await chat(neap, say("pool", {}));
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.headers["x-neap-attempts"], "2");
    assert.equal((await neap.line(seen)).attempts[0].failure, "protocol");
  });
});

test("events come as they like", async (t) => {
  const { loud, neap } = await pool(t);
  const text = [hello(), say_it("grüße "), say_it("to 你好"), stop(), BYE].join("");
  const want = "GRüßE TO 你好";

  await t.test("split at each byte", async () => {
    const bytes = Buffer.from(text);
    for (let at = 1; at < bytes.length; at++) {
      loud.next([
        stream_head(),
        piece(bytes.subarray(0, at)),
        () => new Promise(setImmediate),
        piece(bytes.subarray(at)),
        "0\r\n\r\n",
      ]);
      const seen = await streamed(neap);
      assert.equal(seen.content, want, `split at ${at}: ${seen.text}`);
      assert.equal(seen.events.at(-1), "[DONE]", `split at ${at}`);
    }
  });

  const shapes = {
    "byte by byte": stream(...[...Buffer.from(text)].map((byte) => Buffer.from([byte]))),
    "all in one": stream(text),
    "with CRLF and comments": stream(
      `: hi\r\n\r\n${text.replaceAll("\n\n", "\n\n: between\n\n").replaceAll("\n", "\r\n")}`,
    ),
    "with CR": stream(text.replaceAll("\n", "\r")),
    "with events that nobody knows": stream(
      tell("news", {}),
      text.replace(stop(), tell("news", {}) + stop()),
    ),
  };
  for (const [name, script] of Object.entries(shapes)) {
    await t.test(name, async () => {
      loud.next(script);
      const seen = await streamed(neap);
      assert.equal(seen.content, want, seen.text);
      assert.equal(seen.events.at(-1), "[DONE]");
    });
  }

  await t.test("each is passed on as it comes", async () => {
    const go = latch();
    loud.next(stream(hello(), say_it("one"), go, say_it("two"), BYE));
    const seen = await open_chat(neap, say("pool", { stream: true }));
    await seen.has("ONE");
    go.release();
    assert.equal((await seen.whole()).content, "ONETWO");
  });

  await t.test("thousands in one read do not use up a run's time", async () => {
    loud.next(stream(hello(), say_it("x").repeat(20000), stop(), BYE));
    const seen = await streamed(neap);
    assert.equal(seen.content.length, 20000);
    assert.equal(seen.events.at(-1), "[DONE]");
  });

  await t.test("an end without the terminator is a clean one", async () => {
    loud.next(stream(hello(), say_it("one"), stop()));
    const seen = await streamed(neap);
    assert.equal(seen.content, "ONE");
    assert.equal(seen.events.at(-1), "[DONE]");
    assert.equal((await neap.line(seen)).outcome, "ok");
  });

  await t.test("what comes behind the terminator is nobody's", async () => {
    loud.next(stream(hello(), say_it("one"), BYE, say_it("two"), RESET));
    const seen = await streamed(neap);
    assert.equal(seen.content, "ONE");
    assert.equal((await neap.line(seen)).outcome, "ok");
  });
});

test("a slow client stops the provider, and all bytes arrive", async (t) => {
  const { loud, neap } = await pool(t);
  const part = say_it("y".repeat(4000)).repeat(25);
  const total = 240; // × 100 kB
  let written = 0;
  loud.next(
    stream(
      hello(),
      say_it("warm"),
      async (call) => {
        for (; written < total; written++) await call.write(piece(part));
      },
      stop(),
      BYE,
    ),
  );
  const one = await wire(t, neap.port);
  one.socket.pause();
  one.send(chat_bytes(say("pool", { stream: true }), { connection: "close" }));
  await loud.call(0);
  const before = neap.rss();
  let last = -1,
    still = 0;
  await until(() => {
    still = written === last && written > 0 ? still + 1 : 0;
    last = written;
    return still >= 40;
  }, "the provider to be stopped");
  assert.ok(written < total, "the provider was stopped before its end");
  const grown = neap.rss() - before;
  assert.ok(is_sanitized || grown < 24 * MIB, `memory grew by ${(grown / MIB).toFixed(1)} MiB`);
  one.socket.resume();
  await one.has("data: [DONE]", 20000);
  const texts = one.text.match(/"content":"Y+/g);
  const count = texts.reduce((sum, text) => sum + text.length - '"content":"'.length, 0);
  assert.equal(count, total * 100000, "each byte has arrived");
});

test("what breaks in mid-stream is shown broken", async (t) => {
  const { loud, plain, neap } = await pool(t, {}, { idle: patience(1) });
  const client = client_of(neap);
  const begin = hello() + say_it("one");
  const breaks = {
    "an error event": [
      stream(begin, oops(529, "too hoarse"), say_it("two"), BYE),
      "failed",
      /hoarse/,
    ],
    "a reset": [stream(begin, RESET), "truncated", /broke off/],
    "a close in the middle of the framing": [
      [stream_head(), piece(begin), END],
      "truncated",
      /broke off/,
    ],
    "an end before its time": [stream(begin), "truncated", /broke off/],
    "a reset in the middle of an event": [
      stream(begin, say_it("two").slice(0, 20), RESET),
      "truncated",
      /broke off/,
    ],
    "an event longer than a gate holds": [
      stream(begin, say_it("x".repeat(300000)), BYE),
      "truncated",
      /broke off/,
    ],
    "a stall": [stream(begin, SILENCE), "truncated", /stalled/],
  };
  for (const [name, [script, outcome, message]] of Object.entries(breaks)) {
    await t.test(name, async () => {
      loud.next(script);
      const seen = await streamed(neap);
      assert.equal(seen.status, 200);
      assert.ok(!seen.text.includes("[DONE]"), seen.text);
      assert.ok(!seen.text.includes("TWO"), seen.text);
      const last = JSON.parse(seen.events.at(-1));
      assert.match(last.error.message, message);
      assert.equal(typeof last.error.type, "string");
      assert.equal((await neap.line(seen)).outcome, outcome);

      loud.next(script);
      await assert.rejects(async () => {
        for await (const part of await client.chat.completions.create(
          say("pool", { stream: true }),
        ))
          void part;
      }, message);
    });
  }

  await t.test("an event that the dialect cannot read: the answer is cut, and logged", async () => {
    loud.next(stream(begin, tell("cost", 7), tell("say", 7), BYE));
    const seen = await streamed(neap);
    assert.ok(!seen.is_complete, seen.text);
    assert.ok(!seen.text.includes("[DONE]"));
    assert.equal((await neap.line(seen)).outcome, "truncated");
  });
  assert.equal(plain.calls.length, 0, "nothing was retried");
});

test("before the commit it fails over, in both directions", async (t) => {
  const { loud, plain, neap } = await pool(t, {}, { first_event: patience(1) });
  const ills = {
    "an error": [error(500, "ill"), error(500, "ill")],
    "an error event": [stream(oops(500, "ill")), stream(event({ error: { message: "ill" } }))],
    "an empty stream": [stream(hello(), stop(), BYE), stream(role(), finish(), DONE)],
    "a reset": [stream(hello(), RESET), stream(role(), RESET)],
    silence: [stream(hello(), SILENCE), stream(role(), SILENCE)],
  };
  for (const [name, [loudly, plainly]] of Object.entries(ills)) {
    await t.test(name, async () => {
      loud.next(loudly);
      plain.next(talk("well"));
      const one = await streamed(neap);
      assert.equal(one.content, "well", one.text);
      assert.equal(one.headers["x-neap-provider"], "plain");
      assert.deepEqual(plain.last.json.messages, say("pool").messages);

      plain.next(plainly);
      loud.next(both("well"));
      const other = await chat(neap, say("reverse", { stream: true }));
      assert.equal(other.content, "WELL", other.text);
      assert.equal(other.headers["x-neap-attempts"], "2");
    });
  }

  await t.test("an error of the client's own comes in the client's shape", async () => {
    loud.next(reply(400, { oops: { code: 400, what: "speak up" } }));
    const seen = await streamed(neap);
    assert.equal(seen.status, 400);
    assert.match(seen.json.error.message, /speak up/);
  });

  // The last one: it puts the key to rest.
  await t.test("a limit", async () => {
    loud.next(error(429, "slow down"));
    plain.next(talk("well"));
    assert.equal((await streamed(neap)).content, "well");
  });
});

test("a provider that answers otherwise than asked", async (t) => {
  const { loud, plain, neap } = await pool(t, {}, { idle: patience(1) });
  const call = { id: "call_1", name: "weather", with: '{"city":"Rome"}' };

  await t.test("a whole answer becomes a stream", async () => {
    loud.next(said("hello", { calls: [call], why: "calls" }));
    const seen = await streamed(neap, { stream_options: { include_usage: true } });
    assert.equal(seen.content, "HELLO");
    assert.equal(seen.events.at(-1), "[DONE]");
    const parts = chunks(seen);
    assert.equal(parts.at(-1).usage.total_tokens, 11);
    const tools = parts.flatMap((part) => part.choices[0]?.delta.tool_calls ?? []);
    assert.equal(tools[0].function.arguments, call.with);
  });

  await t.test("so does one of the client's own dialect, long or short", async () => {
    for (const text of ["plain", "x".repeat(600000)]) {
      plain.next(reply(200, completion(text)));
      const seen = await chat(neap, say("reverse", { stream: true }));
      assert.equal(seen.content, text);
      assert.equal(seen.events.at(-1), "[DONE]");
      assert.ok(chunks(seen).every((part) => !part.usage));
    }
  });

  await t.test("a stream becomes a whole answer", async () => {
    loud.next(
      stream(
        hello(),
        say_it("hel"),
        say_it("lo"),
        tell("call", { at: 0, id: call.id, name: call.name, with: '{"city":' }),
        tell("more", { at: 0, with: '"Rome"}' }),
        stop("calls"),
        cost(),
        BYE,
      ),
    );
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.content, "HELLO");
    assert.equal(seen.json.usage.total_tokens, 11);
    const [choice] = seen.json.choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.tool_calls[0].function.arguments, call.with);
    assert.equal((await neap.line(seen)).outcome, "ok");
  });

  await t.test("so does one of the client's own dialect", async () => {
    const made = { index: 0, id: "c", type: "function", function: { name: "f", arguments: "{" } };
    plain.next(
      stream(
        role(),
        chunk("plain"),
        chunk(" text"),
        tool(made),
        tool({ index: 0, function: { arguments: "}" } }),
        finish("tool_calls"),
        usage(),
        DONE,
      ),
    );
    const seen = await chat(neap, say("reverse"));
    assert.equal(seen.content, "plain text");
    assert.equal(seen.headers["content-type"], "application/json");
    assert.equal(seen.json.choices[0].message.tool_calls[0].function.arguments, "{}");
    assert.equal(seen.json.usage.total_tokens, 11);
  });

  await t.test("members of a wrong kind harm nobody", async () => {
    const odd = [
      { choices: [null] },
      { choices: 7 },
      { choices: [{ delta: { content: ["x"], tool_calls: 7 }, finish_reason: 1 }] },
      { choices: [{ delta: 7 }], usage: 7, model: null },
    ];
    plain.next(stream(role(), chunk("plain"), odd.map(event), finish(), DONE));
    const seen = await chat(neap, say("reverse"));
    assert.equal(seen.content, "plain", seen.text);
    plain.next(reply(200, { ...completion("whole"), id: null, model: 7, usage: [] }));
    assert.equal((await chat(neap, say("reverse", { stream: true }))).content, "whole");
  });

  for (const [name, tail, status] of [
    ["breaks off", RESET, 502],
    ["ends before its time", "", 502],
    ["stalls", SILENCE, 504],
    ["has an error", event({ error: { message: "the model fell over", code: 500 } }), 500],
    ["refuses neap's key", event({ error: { message: "who is it?", code: 401 } }), 503],
  ]) {
    await t.test(`a stream that was not asked for and ${name}: ${status}`, async () => {
      plain.next(stream(role(), chunk("one"), tail));
      const seen = await chat(neap, say("reverse"));
      assert.equal(seen.status, status, seen.text);
      assert.equal(typeof seen.json.error.message, "string");
      assert.doesNotMatch((await neap.line(seen)).error, /\b(\w+): \1\b/, "nothing is said twice");
    });
  }

  await t.test("what has no choices: the next target answers", async () => {
    plain.next(reply(200, { code: 20012, message: "model does not exist", data: null }));
    loud.next(both("well"));
    const seen = await chat(neap, say("reverse", { stream: true }));
    assert.equal(seen.content, "WELL", seen.text);
  });

  await t.test("a long whole answer that breaks off: 502, for nothing was sent", async () => {
    const bytes = said("x".repeat(600000))[0];
    loud.next([bytes.subarray(0, 400000), END]);
    const seen = await chat(neap, say("pool"));
    assert.equal(seen.status, 502, seen.text.slice(0, 300));
  });
});

for (const leave of ["cancel", "drain", "detach"]) {
  test(`the client leaves in mid-stream, on_disconnect = "${leave}"`, async (t) => {
    const { loud, neap } = await pool(t, { on_disconnect: leave });
    const go = latch();
    loud.next(stream(hello(), say_it("one"), go, say_it("two"), stop(), cost(), BYE));
    const seen = await open_chat(neap, say("pool", { stream: true }));
    await seen.has("ONE");
    const left = seen.leave();
    if (leave === "cancel") {
      const took = await closed_after(loud.calls[0], left);
      assert.ok(took <= within(100), `closed after ${took.toFixed(1)} ms`);
    } else {
      await until(
        async () => (await neap.open()).connections <= neap.idle.connections,
        "neap to see the client go",
      );
      assert.ok(!loud.calls[0].socket.destroyed, "the provider's side goes on");
      go.release();
    }
    const line = await neap.line(seen);
    assert.equal(line.outcome, "aborted");
    assert.equal(line.status, 499);
    if (leave !== "cancel")
      assert.ok(Object.values(line.usage ?? {}).some((count) => count === 9), JSON.stringify(line));
  });
}

test("a reload leaves a translated stream to its own generation", async (t) => {
  const { loud, neap } = await pool(t);
  const go = latch();
  loud.next(stream(hello(), say_it("one"), go, say_it("two"), stop(), cost(), BYE));
  const seen = await open_chat(neap, say("pool", { stream: true }));
  await seen.has("ONE");
  const before = await neap.generation();
  await neap.reload();
  loud.next(shouts("new"));
  assert.equal((await streamed(neap)).content, "NEW");
  go.release();
  assert.equal((await seen.whole()).content, "ONETWO");
  assert.equal(seen.events.at(-1), "[DONE]");
  const line = await neap.line(seen);
  assert.equal(line.outcome, "ok");
  if (line.generation !== undefined) assert.equal(line.generation, before);
});

test("the openai client on top", async (t) => {
  const loud = await upstream(t);
  const neap = await serve(
    t,
    shouter("loud", loud) +
      group("pool", ["loud"]) +
      token("client", { secret: "client-secret-0123456789", groups: ["pool"] }),
    { env },
  );
  const { completions } = client_of(neap).chat;
  loud.always(both("hello there"));
  const made = await completions.create(say("pool"));
  assert.equal(made.choices[0].message.content, "HELLO THERE");
  const running = completions.stream(say("pool", { stream_options: { include_usage: true } }));
  const whole = await running.finalChatCompletion();
  assert.equal(whole.choices[0].message.content, "HELLO THERE");
  assert.equal((await running.totalUsage()).total_tokens, 11);
  loud.next(error(400, "speak up"));
  await assert.rejects(completions.create(say("pool")), OpenAI.BadRequestError);
});
