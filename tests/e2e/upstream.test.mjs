/* The scripted upstream itself, without neap between: what the other stories stand on. */
import test from "node:test";
import assert from "node:assert/strict";
import { client_of } from "./support/sdk.mjs";
import { latch, soon } from "./support/story.mjs";
import { forget_connections, start } from "./support/client.mjs";
import {
  DONE,
  RESET,
  SILENCE,
  chunk,
  error,
  finish,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

const hello = { model: "m", messages: [{ role: "user", content: "hello" }] };

test("the SDK takes its completions and streams", async (t) => {
  const up = await upstream(t);
  t.after(forget_connections);
  const client = client_of(up);

  const completion = await client.chat.completions.create(hello);
  assert.equal(completion.choices[0].message.content, "ok");
  assert.equal(up.calls[0].path, "/v1/chat/completions");
  assert.deepEqual(up.calls[0].json, hello);
  assert.equal(up.calls[0].key, "client-secret-0123456789");

  const runner = client.chat.completions.stream({
    ...hello,
    stream_options: { include_usage: true },
  });
  assert.equal((await runner.finalChatCompletion()).choices[0].message.content, "ok");
  assert.equal((await runner.totalUsage()).total_tokens, 11);
});

test("it plays steps: waits, breaks off, stays silent", async (t) => {
  const up = await upstream(t);
  t.after(forget_connections);
  const client = client_of(up);

  const go = latch();
  up.next(stream(role(), chunk("one"), go, chunk(" two"), finish(), DONE));
  let text = "";
  for await (const part of await client.chat.completions.create({ ...hello, stream: true })) {
    text += part.choices[0].delta.content ?? "";
    if (text === "one") go.release();
  }
  assert.equal(text, "one two");

  up.next(error(429, "slow down", { "retry-after": "7" }));
  await assert.rejects(
    client.chat.completions.create(hello),
    (failure) =>
      failure.status === 429 &&
      failure.headers.get("retry-after") === "7" &&
      /slow down/.test(failure.message),
  );

  up.next([RESET]);
  await assert.rejects(client.chat.completions.create(hello), /Connection error/);

  up.next([SILENCE]);
  const asked = start(up, "/v1/chat/completions", { body: hello });
  const call = await up.call(3);
  const left = asked.leave();
  assert.ok((await soon(call.closed, "the call to see its client leave")) >= left - 1);
});
