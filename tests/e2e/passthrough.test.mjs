/* The same dialect on both sides: bytes through, with model and include_usage spliced in and
 * nothing else. */
import test from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { chat, open_chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch } from "./support/story.mjs";
import {
  DONE,
  END,
  LAST,
  chunk,
  completion,
  finish,
  head,
  piece,
  reasoning,
  reply,
  role,
  stream,
  stream_head,
  upstream,
  usage,
} from "./support/upstream.mjs";

async function pair(t) {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]) + group("m", ["a"]));
  return { up, neap };
}

const asked = { stream: true, stream_options: { include_usage: true } };
const ask_text = JSON.stringify(say("pool", asked));
const part = (text) => `{"choices":[{"index":0,"delta":{"content":${JSON.stringify(text)}}}]}`;

test("whole answers come back byte for byte", async (t) => {
  const { up, neap } = await pair(t);
  const plain = JSON.stringify(completion("hi"));
  const bodies = {
    "white space and odd numbers": `\r\n{ "choices" :\t[{"message":{"content":"hi"}, "x":1.0e0,"y":-0,"big":123456789012345678901234567890}] }\n\n`,
    "escapes, unpaired surrogates, slashes": String.raw`{"choices":[{"message":{"content":"\ud83d \/ \u0000 é é"}}]}`,
    "duplicate names below the top": `{"choices":[{"message":{"content":"hi","content":"ho"}}],"a":[],"b":{}}`,
    "300 KB": plain.replace("hi", "0123456789".repeat(30000)),
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.test(name, async () => {
      up.next(reply(200, body));
      const seen = await chat(neap, say("pool"));
      assert.equal(seen.status, 200, seen.text.slice(0, 300));
      assert.ok(seen.body.equals(Buffer.from(body)), "the body is the provider's");
    });
  }
  await t.test("bytes that are no UTF-8", async () => {
    const body = Buffer.concat([
      Buffer.from(`{"choices":[{"message":{"content":"`),
      Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
      Buffer.from(`"}}]}`),
    ]);
    up.next(reply(200, body));
    assert.ok((await chat(neap, say("pool"))).body.equals(body));
  });
});

test("an answer that comes encoded although none was asked for is decoded", async (t) => {
  const { up, neap } = await pair(t);
  const body = JSON.stringify(completion("packed"));
  up.next(reply(200, gzipSync(body), { "content-encoding": "gzip" }));
  const seen = await chat(neap, say("pool"), { "accept-encoding": "gzip" });
  assert.equal(seen.text, body);
  assert.equal(seen.headers["content-encoding"], undefined);
  assert.match(up.last.header("accept-encoding") ?? "identity", /identity/);

  const text = role() + chunk("one") + finish() + DONE;
  up.next([
    head(200, {
      "content-type": "text/event-stream",
      "content-encoding": "gzip",
      connection: "close",
    }),
    gzipSync(text),
    END,
  ]);
  assert.equal((await chat(neap, ask_text)).text, text);
});

test("streams come back byte for byte", async (t) => {
  const { up, neap } = await pair(t);
  const streams = {
    LF: `data: ${part("one")}\n\ndata: ${part("two")}\n\ndata: [DONE]\n\n`,
    CRLF: `data: ${part("one")}\r\n\r\ndata: ${part("two")}\r\n\r\ndata: [DONE]\r\n\r\n`,
    CR: `data: ${part("one")}\r\rdata: ${part("two")}\r\rdata: [DONE]\r\r`,
    "mixed ends": `data: ${part("one")}\r\n\ndata: ${part("two")}\n\r\ndata: [DONE]\n\n`,
    "data:{ without a space": `data:${part("one")}\n\ndata:${part("two")}\n\ndata:[DONE]\n\n`,
    "comments before, between and behind": `: OPENROUTER PROCESSING\n\n: again\ndata: ${part("one")}\n\n: keep-alive\n\ndata: [DONE]\n\n: bye\n\n`,
    "a byte order mark": `\ufeffdata: ${part("one")}\n\ndata: [DONE]\n\n`,
    "event, id, retry and unknown fields": `retry: 10\nid: 1\nevent: message\nx-own: y\ndata: ${part("one")}\n\ndata: [DONE]\n\n`,
    "data over several lines": `data: {"choices":[{"index":0,\ndata: "delta":{"content":"one"}}]}\n\ndata: [DONE]\n\n`,
    "a first chunk without choices (filter results)": `data: {"choices":[],"prompt_filter_results":[{"x":1}]}\n\ndata: ${part("one")}\n\ndata: [DONE]\n\n`,
    "four-byte characters": `data: ${part("🦊🦊🦊 日本語 ümlaut")}\n\ndata: [DONE]\n\n`,
    "no [DONE]": `data: ${part("one")}\n\n${finish()}`,
    "no blank line at the end": `data: ${part("one")}\n\ndata: [DONE]`,
    "something behind [DONE] that is only white space": `data: ${part("one")}\n\ndata: [DONE]\n\n\n\n`,
    "reasoning, then content": `${role()}${reasoning("hmm")}${chunk("one")}${finish()}${usage()}${DONE}`,
    "usage on every chunk": `data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n${DONE}`,
    "an obfuscation member": `data: {"choices":[{"index":0,"delta":{"content":"x"}}],"obfuscation":"aZ9"}\n\n${DONE}`,
    "a long event of 100 KB": `data: ${part("x".repeat(100000))}\n\n${DONE}`,
    "a first event that no gate holds": `data:${part("x".repeat(700000))}\n\n${DONE}`,
    "the same behind a role, and an image": `${role()}data: {"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"${"x".repeat(300000)}"}}]}}]}\n\n${chunk("see")}${finish()}${DONE}`,
  };
  const framings = {
    "one chunk": (bytes) => [stream_head(), piece(bytes), LAST],
    "chunks of 7 bytes": (bytes) => [stream_head(), Buffer.concat(cut(bytes, 7).map(piece)), LAST],
    "until the close": (bytes) => [
      head(200, { "content-type": "text/event-stream; charset=utf-8" }),
      bytes,
      END,
    ],
  };
  for (const [name, text] of Object.entries(streams)) {
    await t.test(name, async () => {
      const bytes = Buffer.from(text);
      for (const [framing, script] of Object.entries(framings)) {
        up.next(script(bytes));
        const seen = await chat(neap, ask_text);
        assert.equal(seen.status, 200, seen.text.slice(0, 300));
        assert.ok(seen.is_complete, "the answer ends well");
        assert.equal(seen.text, bytes.toString(), framing);
      }
    });
  }
});

const cut = (bytes, size) => {
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return parts;
};

test("the head of a stream is what SSE clients need", async (t) => {
  const { up, neap } = await pair(t);
  up.next(stream(role(), chunk("x"), finish(), DONE));
  const seen = await chat(neap, ask_text);
  assert.match(seen.headers["content-type"], /^text\/event-stream/);
  assert.equal(seen.headers["content-length"], undefined);
  assert.equal(seen.headers["cache-control"], "no-cache");
  assert.equal(seen.headers["x-accel-buffering"], "no");
});

test("a stream is sent as it comes, not gathered", async (t) => {
  const { up, neap } = await pair(t);
  const go = latch();
  up.next(stream(role(), chunk("first"), go, chunk("second"), finish(), DONE));
  const seen = await open_chat(neap, ask_text);
  await seen.has("first");
  assert.ok(!seen.text.includes("second"));
  go.release();
  await seen.whole();
  assert.match(seen.text, /second/);
});

test("a character that is split over two reads comes out whole", async (t) => {
  const { up, neap } = await pair(t);
  const bytes = Buffer.from(`data: ${part("a🦊b")}\n\n${DONE}`);
  const at = bytes.indexOf(Buffer.from("🦊"));
  for (const offset of [1, 2, 3]) {
    const first = piece(bytes.subarray(0, at + offset)),
      rest = piece(bytes.subarray(at + offset));
    up.next([stream_head(), first, rest, LAST]);
    assert.equal((await chat(neap, ask_text)).text, bytes.toString());
  }
});

test("the usage chunk", async (t) => {
  const { up, neap } = await pair(t);
  const content = `${role()}${chunk("one")}${finish()}`;
  const trials = {
    "asked for: stays": [asked, content + usage() + DONE, content + usage() + DONE],
    "not asked for: goes": [{ stream: true }, content + usage() + DONE, content + DONE],
    "asked for not to come: goes": [
      { stream: true, stream_options: { include_usage: false } },
      content + usage() + DONE,
      content + DONE,
    ],
    "CRLF: goes with its own line ends": [
      { stream: true },
      (content + usage() + DONE).replaceAll("\n", "\r\n"),
      (content + DONE).replaceAll("\n", "\r\n"),
    ],
    "on the last content chunk: stays": [
      { stream: true },
      `data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"total_tokens":3}}\n\n${DONE}`,
      null,
    ],
    "without choices: goes": [
      { stream: true },
      `${content}data: {"usage":{"total_tokens":3}}\n\n${DONE}`,
      content + DONE,
    ],
    "with choices null: goes": [
      { stream: true },
      `${content}data: {"choices":null,"usage":{"total_tokens":3}}\n\n${DONE}`,
      content + DONE,
    ],
    "choices [] with usage null is none: stays": [
      { stream: true },
      `${content}data: {"choices":[],"usage":null}\n\n${DONE}`,
      null,
    ],
    "choices [] without usage is none: stays": [
      { stream: true },
      `data: {"choices":[],"x":1}\n\n${content}${DONE}`,
      null,
    ],
    "with white space and another order: goes": [
      { stream: true },
      `${content}data: { "usage" : {"total_tokens":3} , "choices" : [ ] }\n\n${DONE}`,
      content + DONE,
    ],
  };
  for (const [name, [fields, sent, wanted]] of Object.entries(trials)) {
    await t.test(name, async () => {
      up.next(stream(sent));
      const seen = await chat(neap, say("pool", fields));
      assert.equal(seen.text, wanted ?? sent);
      assert.equal(
        up.last.json.stream_options.include_usage,
        true,
        "the provider is always asked for it",
      );
      const line = await neap.line(seen);
      if (/usage" ?: ?\{/.test(sent))
        assert.ok(
          Object.values(line.usage ?? {}).some((count) => count > 0),
          `usage in the log: ${JSON.stringify(line.usage)}`,
        );
    });
  }
});

test("request bodies go up byte for byte", async (t) => {
  const { up, neap } = await pair(t);
  /* @ stands for the model's text. */
  const bodies = {
    "white space, tabs, CRLF": ` \r\n{\t"model" :  @ ,\r\n "messages":[ ] , "x":1.0e0 }\r\n `,
    "the model last": `{"messages":[{"role":"user","content":"model: \\"pool\\" \\ud83d"}],"model":@}`,
    "the model in nested places": `{"metadata":{"model":"pool"},"model":@,"tools":[{"model":"pool"}],"messages":[]}`,
    "numbers that no double holds": `{"model":@,"seed":12345678901234567890,"temperature":0.10,"messages":[]}`,
    "unknown members": `{"model":@,"enable_thinking":false,"extra_body":{"a":[1,2,{}]},"messages":[]}`,
    "stream: false": `{"model":@,"stream": false,"messages":[]}`,
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.test(name, async () => {
      const seen = await chat(neap, body.replace("@", '"pool"'));
      assert.equal(seen.status, 200, seen.text);
      assert.equal(up.last.body.toString(), body.replace("@", '"m"'));
    });
  }

  await t.test("a group of the model's own name changes nothing", async () => {
    const body = `{ "model":"m", "messages":[] }`;
    await chat(neap, body);
    assert.equal(up.last.body.toString(), body);
  });

  await t.test("a stream gains include_usage and nothing else", async () => {
    const rest = `"messages":[ {"role":"user","content":"\\u00fc"} ],"stream":true, "x":1.0e0 }`;
    const seen = await chat(neap, `{ "model":"pool", ${rest}`);
    assert.equal(seen.status, 200, seen.text);
    const sent = up.last.body.toString();
    assert.ok(sent.includes(rest.slice(0, -2)), `the rest is untouched: ${sent}`);
    assert.deepEqual(up.last.json, {
      ...JSON.parse(`{ "model":"m", ${rest}`),
      stream_options: { include_usage: true },
    });
  });

  const options = {
    null: [null, { include_usage: true }],
    empty: [{}, { include_usage: true }],
    false: [{ include_usage: false }, { include_usage: true }],
    "another member": [
      { include_obfuscation: false },
      { include_obfuscation: false, include_usage: true },
    ],
    "true already": [{ include_usage: true }, { include_usage: true }],
  };
  for (const [name, [given, wanted]] of Object.entries(options)) {
    await t.test(`stream_options that are ${name}`, async () => {
      await chat(neap, say("pool", { stream: true, stream_options: given }));
      assert.deepEqual(up.last.json.stream_options, wanted);
    });
  }

  await t.test("stream_options that are there and right are not touched", async () => {
    const body = `{"model":"m","messages":[],"stream":true,"stream_options":{ "include_usage" : true }}`;
    await chat(neap, body);
    assert.equal(up.last.body.toString(), body);
  });
});
