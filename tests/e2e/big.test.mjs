/* Bodies: big ones are spooled and can be sent again; bad ones are refused with the place. */
import test from "node:test";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { statSync } from "node:fs";
import path from "node:path";
import { chat, open, say, wire } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { is_sanitized, serve } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { DONE, END, RESET, chunk, error, head, upstream } from "./support/upstream.mjs";

const MIB = 1024 * 1024;
const PATH = "/v1/chat/completions";

/* size bytes, of which no two neighbours of 1 MiB are alike. */
function big_body(size) {
  const line = Buffer.from("0123456789 abcdefghijklmnopqrstuvwxyz ");
  const text = Buffer.alloc(size, line);
  for (let at = 0; at + 16 < size; at += MIB) text.write(String(at).padStart(16, "-"), at);
  return Buffer.concat([
    Buffer.from(`{"model":"pool","messages":[{"role":"user","content":"`),
    text,
    Buffer.from(`"}]}`),
  ]);
}

const renamed = (body, model) =>
  Buffer.concat([Buffer.from(`{"model":"${model}"`), body.subarray(`{"model":"pool"`.length)]);

test("20 MB arrive whole, also after a failover, and cost no memory", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) +
      provider("b", second) +
      group("pool", [
        { provider: "a", model: "aa" },
        { provider: "b", model: "bbbb" },
      ]),
  );
  const body = big_body(20 * MIB);
  assert.equal((await chat(neap, { ...say("pool") })).status, 200);
  first.forget();
  const before = neap.rss();

  const seen = await chat(neap, body);
  assert.equal(seen.status, 200, seen.text.slice(0, 300));
  assert.ok(first.last.body.equals(renamed(body, "aa")), "the first target has it byte for byte");

  first.next(error(500, "ill"));
  assert.equal((await chat(neap, body)).status, 200);
  assert.ok(first.last.body.equals(renamed(body, "aa")));
  assert.ok(second.last.body.equals(renamed(body, "bbbb")), "and the second one again");
  const grown = neap.rss() - before;
  t.diagnostic(`memory grew by ${(grown / MIB).toFixed(1)} MiB`);
  assert.ok(
    is_sanitized || grown < 14 * MIB,
    `memory grew by ${grown / MIB} MiB for a body of 20 MiB`,
  );
  assert.equal(
    statSync(path.join(neap.folder, "data")).mode & 0o777,
    0o700,
    "storage is the owner's alone",
  );
});

test("20 MB in chunks, the model last", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const text = big_body(20 * MIB);
  const start = `{"messages":[{"role":"user","content":"`,
    tail = `"}],"model":@}`;
  const middle = text.subarray(
    `{"model":"pool","messages":[{"role":"user","content":"`.length,
    text.length - `"}]}`.length,
  );
  const whole = (model) =>
    Buffer.concat([
      Buffer.from(start),
      middle,
      Buffer.from(tail.replace("@", JSON.stringify(model))),
    ]);
  const seen = await (
    await open(neap, PATH, {
      headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
      write: (request) => {
        const bytes = whole("pool");
        for (let at = 0; at < bytes.length; at += 100000)
          request.write(bytes.subarray(at, at + 100000));
        request.end();
      },
    })
  ).whole();
  assert.equal(seen.status, 200, seen.text.slice(0, 300));
  assert.ok(up.last.body.equals(whole("m")));
});

test("a body at the border of memory and file", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  for (const size of [2 * MIB - 200, 2 * MIB - 60, 2 * MIB, 2 * MIB + 1]) {
    const body = big_body(size);
    assert.equal((await chat(neap, body)).status, 200);
    assert.ok(up.last.body.equals(renamed(body, "m")), `${size} bytes`);
  }
});

test("a provider that answers before it has read the body, or resets in it", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", first) + provider("b", second) + group("pool", ["a", "b"]),
  );
  const body = big_body(4 * MIB);
  first.next([RESET]);
  assert.equal((await chat(neap, body)).status, 200);
  assert.ok(second.last.body.equals(renamed(body, "m")));
});

test("over the limit: 413, before it is read", async (t) => {
  const neap = await serve(t, "");
  const head_of = (more) =>
    `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${600 * MIB}\r\n${more}\r\n`;
  const one = await wire(t, neap.port);
  one.send(head_of(""));
  await one.has("HTTP/1.1 413");
  const two = await wire(t, neap.port);
  two.send(head_of("Expect: 100-continue\r\n"));
  await two.has("HTTP/1.1 413");
  assert.ok(!two.text.includes("100 Continue"), two.text);
  await two.closed();
});

test("Expect: 100-continue is answered before the body", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const body = JSON.stringify(say("pool"));
  const one = await wire(t, neap.port);
  one.send(
    `POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
  );
  await one.has("HTTP/1.1 100 Continue\r\n\r\n");
  one.send(body);
  await one.has("HTTP/1.1 200");
  await one.closed();
});

test("bodies that are refused with the place", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const deep = (depth) => `{"model":"pool","x":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  const bad = {
    "a comma too many": `{"model":"pool",}`,
    "a colon missing": `{"model" "pool"}`,
    "a bracket missing": `{"model":"pool","messages":[}`,
    "a literal misspelt": `{"model":"pool","stream":ture}`,
    "a number with a leading zero": `{"model":"pool","x":01}`,
    "single quotes": `{'model':'pool'}`,
    "a comment": `{"model":"pool" /* here */ }`,
    "two documents": `{"model":"pool"}{"model":"pool"}`,
    "an end too early": `{"model":"pool","messages":[{"role":"us`,
    "two models": `{"model":"pool","model":"other"}`,
    "two models, one escaped": `{"model":"pool","m\\u006fdel":"other"}`,
    "an escaped top-level name": `{"mod\\u0065l":"pool"}`,
    "65 levels": deep(70),
  };
  for (const [name, body] of Object.entries(bad)) {
    await t.test(`${name}: 400`, async () => {
      const seen = await chat(neap, body);
      assert.equal(seen.status, 400, seen.text);
      assert.equal(seen.json.error.type, "invalid_request_error");
      assert.match(seen.json.error.message, /\d+/, "the message names the offset");
    });
  }
  assert.equal(up.calls.length, 0, "no provider saw any of them");

  await t.test("malformed chunks are no matter of JSON", async () => {
    const client = await wire(t, neap.port);
    client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    );
    await client.has(/^HTTP\/1\.1 400 [^]*"message":"the chunks are malformed"/);
  });

  const good = {
    "60 levels": deep(60),
    "names twice below the top": `{"model":"pool","x":{"a":1,"a":2}}`,
    "an escape inside of the model": `{"model":"p\\u006fol","messages":[]}`,
    "a lone surrogate in a message": `{"model":"pool","messages":[{"role":"user","content":"\\ud800"}]}`,
  };
  for (const [name, body] of Object.entries(good)) {
    await t.test(`${name}: passes`, async () => {
      const seen = await chat(neap, body);
      assert.equal(seen.status, 200, seen.text);
    });
  }
});

test("a gzip bomb from a provider costs no memory", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const bomb = gzipSync(Buffer.alloc(200 * MIB, " "));
  up.next([
    head(200, {
      "content-type": "application/json",
      "content-encoding": "gzip",
      "content-length": bomb.length,
    }),
    bomb,
    END,
  ]);
  const before = neap.rss();
  let is_whole;
  try {
    const seen = await chat(neap, say("pool"));
    is_whole = seen.status === 200 && seen.is_complete;
  } catch {
    is_whole = false;
  }
  assert.ok(!is_whole, "200 MB out of 200 KB are not passed on as if nothing were");
  assert.ok(
    is_sanitized || neap.rss() - before < 64 * MIB,
    `memory grew by ${(neap.rss() - before) / MIB} MiB`,
  );
});

test("a slow reader costs no memory, and gets every byte", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up, { timeouts: { idle: 60 } }) + group("pool", ["a"]));
  const TOTAL = 64 * MIB;
  const event_text = chunk("x".repeat(8000));
  const flood = event_text.repeat(64);
  let wrote = 0;
  up.next([
    `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n`,
    async (call) => {
      while (wrote < TOTAL && !call.socket.destroyed) {
        await call.write(flood);
        wrote += flood.length;
      }
    },
    DONE,
    END,
  ]);
  const before = neap.rss();
  const seen = await open(neap, PATH, { body: say("pool", { stream: true }) });
  seen.response.pause();
  let last = -1,
    still = 0;
  await until(() => {
    still = wrote === last && wrote > 0 ? still + 1 : 0;
    last = wrote;
    return still >= 60;
  }, "the provider's writes to stall");
  assert.ok(wrote < TOTAL, "the provider is held back");
  const grown = neap.rss() - before;
  t.diagnostic(
    `stalled after ${(wrote / MIB).toFixed(1)} MiB, memory grew by ${(grown / MIB).toFixed(1)} MiB`,
  );
  assert.ok(is_sanitized || grown < 8 * MIB, `memory grew by ${grown / MIB} MiB`);
  seen.response.resume();
  await seen.whole();
  assert.equal(seen.body.length, wrote + DONE.length);
  assert.ok(seen.body.equals(Buffer.from(event_text.repeat(wrote / event_text.length) + DONE)));
});
