/* Connections: kept, pipelined, slow, too many fields. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { chat_bytes, get, open, say, wire } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, patience } from "./support/story.mjs";
import { answer, chunk, completion, reply, role, stream, upstream } from "./support/upstream.mjs";

async function pool(t) {
  const up = await upstream(t);
  return { up, neap: await serve(t, provider("a", up) + group("pool", ["a"])) };
}

test("a connection is kept over answers, whole, streamed and refused", async (t) => {
  const { neap } = await pool(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ports = new Set();
  for (const body of [
    say("pool"),
    say("pool", { stream: true }),
    say("nothing"),
    "{",
    say("pool"),
  ]) {
    const seen = await open(neap, "/v1/chat/completions", { agent, body });
    ports.add(seen.request.socket.localPort);
    await seen.whole();
  }
  assert.equal(ports.size, 1, `one connection for all: ${[...ports]}`);
  agent.destroy();
});

test("the connection to a provider is kept too", async (t) => {
  const { up, neap } = await pool(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < 10; round++)
    await (await open(neap, "/v1/chat/completions", { agent, body: say("pool") })).whole();
  agent.destroy();
  assert.ok(
    up.connections <= 2,
    `${up.connections} connections for 10 requests, one after the other`,
  );
});

test("pipelined requests are answered in order", async (t) => {
  const { up, neap } = await pool(t);
  const go = latch();
  up.next(
    async () => {
      await go;
      return reply(200, completion("first"));
    },
    answer("second"),
    stream(role(), chunk("third"), "data: [DONE]\n\n"),
  );
  const one = await wire(t, neap.port);
  one.send(
    Buffer.concat([
      chat_bytes(say("pool")),
      chat_bytes(say("pool")),
      chat_bytes(say("pool", { stream: true })),
      Buffer.from("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ]),
  );
  await up.call(0);
  assert.equal(one.text, "", "nothing is answered before the first answer");
  go.release();
  await one.closed();
  const at = ["first", "second", "third"].map((text) => one.text.indexOf(text));
  assert.ok(at[0] > 0 && at[0] < at[1] && at[1] < at[2], one.text);
  assert.equal(one.text.match(/HTTP\/1\.1 200/g).length, 4);
});

test("HEAD, HTTP/1.0, absolute form, a target with a query", async (t) => {
  const { neap } = await pool(t);
  const ask = async (text) => {
    const one = await wire(t, neap.port);
    one.send(text);
    return (await one.closed()).text;
  };
  const head = await ask("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 200 /);
  assert.ok(head.endsWith("\r\n\r\n"), head);
  assert.match(
    await ask("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    /^HTTP\/1\.[01] 200 /,
  );
  assert.match(
    await ask(
      `GET http://127.0.0.1:${neap.port}/healthz HTTP/1.1\r\nHost: 127.0.0.1:${neap.port}\r\nConnection: close\r\n\r\n`,
    ),
    /^HTTP\/1\.1 200 /,
  );
  assert.match(
    await ask("GET /healthz?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    /^HTTP\/1\.1 200 /,
  );
});

test("limits of the head: 431", async (t) => {
  const { neap } = await pool(t);
  const heads = {
    "a field of 70 KB": `X-Long: ${"x".repeat(70000)}\r\n`,
    "129 fields": Array.from({ length: 129 }, (_, index) => `X-${index}: 1\r\n`).join(""),
    "a target of 70 KB": null,
  };
  for (const [name, fields] of Object.entries(heads)) {
    const one = await wire(t, neap.port);
    one.send(
      fields
        ? `GET /healthz HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
        : `GET /${"x".repeat(70000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    );
    await one.has(/^HTTP\/1\.1 (431|414) /);
    await one.closed();
    assert.ok(true, name);
  }
  const fits = await get(neap, "/healthz", { "x-long": "x".repeat(50000) });
  assert.equal(fits.status, 200, "50 KB fit");
});

test("clients that are too slow", { concurrency: true, timeout: patience(60000) }, async (t) => {
  await Promise.all([
    t.test(
      "a head that does not end within 10 s: 408, and good traffic is not disturbed",
      async (t) => {
        const { neap } = await pool(t);
        const slow = await Promise.all(Array.from({ length: 100 }, () => wire(t, neap.port)));
        const begin = performance.now();
        for (const one of slow) one.send("POST /v1/chat/completions HTTP/1.1\r\nHost: local");
        assert.equal((await get(neap, "/healthz")).status, 200);
        await Promise.all(slow.map((one) => one.closed(patience(20000))));
        const took = performance.now() - begin;
        assert.ok(took > 9000, `closed after ${took} ms`);
        assert.ok(
          slow.every((one) => one.text === "" || /^HTTP\/1\.1 408 /.test(one.text)),
          slow[0].text,
        );
      },
    ),
    t.test("a body that comes slower than the least rate: 408", async (t) => {
      const { up, neap } = await pool(t);
      const one = await wire(t, neap.port);
      one.send(
        'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"model":',
      );
      await one.has(/^HTTP\/1\.1 408 /, patience(30000));
      await one.closed();
      assert.equal(up.calls.length, 0);
    }),
  ]);
});
