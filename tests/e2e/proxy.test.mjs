/* A provider behind a proxy, or behind a list of them. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { socks } from "./support/socks.mjs";
import { error, refusing, upstream } from "./support/upstream.mjs";

test("an http proxy gets the whole URL, resolves the name, and is told no secret but the key", async (t) => {
  const via = await upstream(t);
  const neap = await serve(
    t,
    provider("a", "http://provider.invalid/v1", { proxy: via.root }) + group("pool", ["a"]),
  );
  for (const stream of [false, true]) {
    const seen = await chat(neap, say("pool", { stream }));
    assert.equal(seen.status, 200, seen.text);
    assert.equal(seen.content, "ok");
    assert.equal(via.last.path, "http://provider.invalid/v1/chat/completions");
    assert.equal(via.last.header("host"), "provider.invalid");
  }
});

test("an http proxy tunnels https", async (t) => {
  const via = await upstream(t);
  via.always(error(403, "not through here"));
  const neap = await serve(
    t,
    provider("a", "https://provider.invalid/v1", { proxy: via.root }) + group("pool", ["a"]),
  );
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 502, seen.text);
  assert.equal(via.last.method, "CONNECT");
  assert.equal(via.last.path, "provider.invalid:443");
  assert.ok(!via.last.head.includes("sk-a-secret"), "the key is inside of the tunnel");
});

test("a socks5 proxy", async (t) => {
  const up = await upstream(t),
    via = await socks(t);
  const neap = await serve(
    t,
    [
      provider("a", up, { proxy: `socks5://127.0.0.1:${via.port}` }),
      group("pool", ["a"]),
      provider("far", `http://provider.invalid:${up.port}/v1`, {
        proxy: `socks5h://127.0.0.1:${via.port}`,
      }),
      group("far", ["far"]),
    ].join(""),
  );
  const seen = await chat(neap, say("pool", { stream: true }));
  assert.equal(seen.content, "ok");
  assert.deepEqual(via.asked, [{ kind: "address", host: "127.0.0.1", port: up.port }]);
  assert.equal(up.last.path, "/v1/chat/completions");

  assert.equal((await chat(neap, say("far"))).status, 200);
  assert.deepEqual(
    via.asked[1],
    { kind: "name", host: "provider.invalid", port: up.port },
    "socks5h leaves the name to the proxy",
  );
});

test("a list of proxies is used in turn", async (t) => {
  const up = await upstream(t),
    one = await socks(t),
    two = await socks(t);
  const neap = await serve(
    t,
    provider("a", up, { proxy: [one, two].map((via) => `socks5://127.0.0.1:${via.port}`) }) +
      group("pool", ["a"]),
  );
  for (let round = 0; round < 8; round++) assert.equal((await chat(neap, say("pool"))).status, 200);
  assert.ok(
    one.asked.length > 0 && two.asked.length > 0,
    `${one.asked.length} and ${two.asked.length}`,
  );
});

test("a proxy that is not there: connect, and the next target answers", async (t) => {
  const up = await upstream(t),
    dead = await refusing();
  const neap = await serve(
    t,
    provider("a", up, { proxy: dead.root }) +
      provider("b", up) +
      group("alone", ["a"]) +
      group("pool", ["a", "b"]),
  );
  const seen = await chat(neap, say("alone"));
  assert.equal(seen.status, 502, seen.text);
  assert.equal((await neap.line(seen)).attempts[0].failure, "connect");
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "b");
});

test("a proxy that wants a password: connect, and the client is not asked for it", async (t) => {
  const up = await upstream(t),
    via = await upstream(t);
  via.always(error(407, "who are you", { "proxy-authenticate": "Basic realm=x" }));
  const neap = await serve(
    t,
    provider("a", up, { proxy: via.root }) +
      provider("b", up) +
      group("alone", ["a"], { policies: NO_BREAKER }) +
      group("pool", ["a", "b"]),
  );
  const seen = await chat(neap, say("alone"));
  assert.equal(seen.status, 502, seen.text);
  assert.match((await neap.line(seen)).attempts[0].why, /the proxy wants another user/);
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "b");
});

test("proxies of the environment are not used", async (t) => {
  const up = await upstream(t),
    dead = await refusing();
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]), {
    env: { http_proxy: dead.root, HTTPS_PROXY: dead.root, ALL_PROXY: dead.root },
  });
  assert.equal((await chat(neap, say("pool"))).status, 200);
});
