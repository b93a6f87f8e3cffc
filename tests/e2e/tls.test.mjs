/* TLS on both sides. */
import test from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { certificate } from "./support/certificate.mjs";
import { chat, get, open_chat, say, start } from "./support/client.mjs";
import { group, lua, provider } from "./support/lua.mjs";
import { run, serve } from "./support/neap.mjs";
import { folder, latch, soon, within } from "./support/story.mjs";
import {
  DONE,
  SILENCE,
  chunk,
  closed_after,
  completion,
  finish,
  reply,
  role,
  stream,
  upstream,
} from "./support/upstream.mjs";

test("the listener", async (t) => {
  const up = await upstream(t),
    made = certificate(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]), {
    first: { tls: lua({ certificate: made.cert_path, key: made.key_path }) },
    tls: { ca: made.cert },
  });

  await t.test("answers, whole and streamed", async () => {
    assert.equal((await chat(neap, say("pool"))).content, "ok");
    const go = latch();
    up.next(stream(role(), chunk("one"), go, chunk("two"), finish(), DONE));
    const seen = await open_chat(neap, say("pool", { stream: true }));
    await seen.has("one");
    go.release();
    assert.equal((await seen.whole()).content, "onetwo");
  });

  await t.test("2 MB each way", async () => {
    const text = "0123456789".repeat(200000);
    up.next((call) => reply(200, completion(call.json.messages[0].content)));
    assert.equal(
      (await chat(neap, say("pool", { messages: [{ role: "user", content: text }] }))).content,
      text,
    );
  });

  await t.test("a client that leaves is noticed", async () => {
    up.next([SILENCE]);
    const before = up.calls.length;
    const asked = start(neap, "/v1/chat/completions", { body: say("pool") });
    const call = await up.call(before);
    const took = await closed_after(call, asked.leave());
    assert.ok(took <= within(100), `closed after ${took} ms`);
  });

  await t.test("plain HTTP on the TLS port is told so, and harms nobody", async () => {
    const socket = net.connect(neap.port, "127.0.0.1");
    let heard = "";
    socket.on("error", () => {}).on("data", (data) => (heard += data));
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await soon(
      new Promise((resolve) => socket.on("close", resolve)),
      "the plain connection to be closed",
    );
    const [head, body] = heard.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 400 /);
    assert.equal(Number(/Content-Length: (\d+)/.exec(head)[1]), body.length);
    assert.match(JSON.parse(body).error.message, /TLS.*https/);
    assert.equal((await get(neap, "/healthz")).status, 200);
  });

  await t.test("a client of HTTP/1.0 that says so in the handshake is served", async () => {
    const socket = tls.connect({
      port: neap.port,
      host: "127.0.0.1",
      ca: made.cert,
      ALPNProtocols: ["http/1.0"],
    });
    let heard = "";
    socket.on("data", (data) => (heard += data));
    socket.write("GET /healthz HTTP/1.0\r\n\r\n");
    await soon(
      new Promise((resolve, reject) => socket.on("close", resolve).on("error", reject)),
      "the answer and its end",
    );
    assert.equal(socket.alpnProtocol, "http/1.0");
    assert.match(heard, /^HTTP\/1\.1 200 /);
  });
});

test("a certificate that is not there is an error at the start", async (t) => {
  await assert.rejects(
    serve(t, "", { first: { tls: lua({ certificate: "no.pem", key: "no.pem" }) }, is_left: true }),
    /no\.pem/,
  );
});

test("files that a listener cannot use: check and serve say which, with the line", async (t) => {
  const own = certificate(t),
    other = certificate(t);
  const cases = [
    [own.key_path, own.key_path, /router\.lua:2: tls: .* is no PEM certificate that can be used/],
    [own.cert_path, other.key_path, /router\.lua:2: tls: .* is no PEM key of the certificate/],
  ];
  for (const [at, key, pattern] of cases) {
    const file = path.join(folder(t), "router.lua");
    writeFileSync(file, `listen = "127.0.0.1:1"\ntls = ${lua({ certificate: at, key })}\n`);
    for (const command of ["check", "serve"]) {
      const ended = await run(t, [command, "-c", file]);
      assert.equal(ended.code, 78, ended.text);
      assert.match(ended.text, pattern);
    }
  }
});

test("an upstream whose certificate nobody vouches for: tls, and the next target answers", async (t) => {
  const up = await upstream(t, { tls: certificate(t) }),
    second = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + provider("b", second) + group("alone", ["a"]) + group("pool", ["a", "b"]),
  );
  const seen = await chat(neap, say("alone"));
  assert.equal(seen.status, 502, seen.text);
  assert.equal((await neap.line(seen)).attempts[0].failure, "tls");
  assert.equal((await chat(neap, say("pool"))).content, "ok");
  assert.equal(up.calls.length, 0, "no request was ever sent to it");
});

test("an upstream that resets in the handshake", async (t) => {
  const second = await upstream(t);
  const server = net.createServer((socket) =>
    socket.on("error", () => {}).once("data", () => socket.resetAndDestroy()),
  );
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const neap = await serve(
    t,
    provider("a", `https://127.0.0.1:${server.address().port}/v1`) +
      provider("b", second) +
      group("alone", ["a"]) +
      group("pool", ["a", "b"]),
  );
  const seen = await chat(neap, say("alone"));
  assert.equal(seen.status, 502, seen.text);
  assert.match((await neap.line(seen)).attempts[0].failure, /tls|reset|connect/);
  assert.equal((await chat(neap, say("pool"))).content, "ok");
});
