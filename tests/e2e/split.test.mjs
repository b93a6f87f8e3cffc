/* A stream that is split at every byte gives the same answer. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { chat_bytes, open, say, wire } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { deep, until } from "./support/story.mjs";
import { LAST, piece, stream_head, upstream } from "./support/upstream.mjs";

const part = (text) => `{"choices":[{"index":0,"delta":{"content":"${text}"}}]}`;
const KEPT = `: hi\n\ndata: ${part("é🦊")}\r\n\r\nid: 1\ndata:${part("b")}\n\n`;
const USAGE = `data: {"choices":[],"usage":{"total_tokens":3}}\n\n`;
const END = "data: [DONE]\n\n";
const STREAM = Buffer.from(KEPT + USAGE + END);

/* Two writes a moment apart become two segments, which neap as a rule reads one by one. The
 * millisecond is no wait for anything: where both arrive together the answer must be the
 * same all the more. */
const split_at = (offset) => [
  stream_head(),
  piece(STREAM.subarray(0, offset)),
  breath,
  piece(STREAM.subarray(offset)),
  LAST,
];
const breath = () => new Promise((resolve) => setTimeout(resolve, 1));

test(`a stream of ${STREAM.length} bytes, split at every offset`, async (t) => {
  const up = await upstream(t);
  const policies = [
    "priority_failover",
    "key_rotation",
    use("keyword_retry", { keywords: ["never said"] }),
  ];
  const neap = await serve(t, provider("a", up) + group("pool", ["a"], { policies }));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ask = async (fields) =>
    (
      await open(neap, "/v1/chat/completions", {
        agent,
        body: say("pool", { stream: true, ...fields }),
      })
    ).whole();

  await t.test("with the usage chunk", async () => {
    for (let offset = 1; offset < STREAM.length; offset++) {
      up.next(split_at(offset));
      const seen = await ask({ stream_options: { include_usage: true } });
      assert.equal(seen.text, STREAM.toString(), `split at ${offset}`);
    }
  });

  await t.test("and with it hidden", async () => {
    for (let offset = 1; offset < STREAM.length; offset++) {
      up.next(split_at(offset));
      assert.equal((await ask({})).text, KEPT + END, `split at ${offset}`);
    }
  });

  await t.test("and byte by byte", async () => {
    for (const fields of [{}, { stream_options: { include_usage: true } }]) {
      const steps = [...STREAM].flatMap((byte) => [piece(Buffer.from([byte])), breath]);
      up.next([stream_head(), ...steps, LAST]);
      assert.equal(
        (await ask(fields)).text,
        fields.stream_options ? STREAM.toString() : KEPT + END,
      );
    }
  });

  await t.test("the framing of the chunks too", { skip: !deep && "in the deep form" }, async () => {
    const bytes = Buffer.concat([Buffer.from(stream_head()), piece(STREAM), Buffer.from(LAST)]);
    for (let offset = 1; offset < bytes.length; offset++) {
      up.next([bytes.subarray(0, offset), breath, bytes.subarray(offset)]);
      assert.equal((await ask({})).text, KEPT + END, `split at ${offset}`);
    }
  });
  agent.destroy();
});

const is_whole = (text) =>
  /transfer-encoding: chunked/i.test(text) ? text.endsWith("0\r\n\r\n") : text.endsWith("}}");

test("a request that is split at every offset", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const bytes = chat_bytes(say("pool"));
  const one = await wire(t, neap.port);
  for (let offset = 1; offset < bytes.length; offset++) {
    one.bytes = Buffer.alloc(0);
    one.send(bytes.subarray(0, offset));
    await breath();
    one.send(bytes.subarray(offset));
    const call = await up.call(offset - 1);
    assert.deepEqual(call.json, say("m"), `split at ${offset}`);
    await until(
      () => is_whole(one.text),
      () => `an answer to the request split at ${offset}: ${one.text}`,
    );
    assert.match(one.text, /^HTTP\/1\.1 200 /);
  }
  one.socket.destroy();
});
