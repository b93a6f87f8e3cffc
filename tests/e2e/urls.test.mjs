/* From a provider's url to the URL that is asked. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { upstream } from "./support/upstream.mjs";

const rules = {
  "": "/v1/chat/completions",
  "/v1": "/v1/chat/completions",
  "/v1/": "/v1/chat/completions",
  "/": "/chat/completions",
  "/openai": "/openai/v1/chat/completions",
  "/openai/v1": "/openai/v1/chat/completions",
  "/api/v3/": "/api/v3/chat/completions",
  "/exactly/this#": "/exactly/this",
  "/v1/chat/completions#": "/v1/chat/completions",
  "/exactly/this?api-version=1#": "/exactly/this?api-version=1",
};

test("base URLs", async (t) => {
  const up = await upstream(t);
  const urls = Object.keys(rules);
  const neap = await serve(
    t,
    urls
      .map(
        (path, index) => provider(`p${index}`, up.root + path) + group(`g${index}`, [`p${index}`]),
      )
      .join(""),
  );
  for (const [index, path] of urls.entries()) {
    await t.test(`…${path} asks ${rules[path]}`, async () => {
      assert.equal((await chat(neap, say(`g${index}`))).status, 200);
      assert.equal(up.last.path, rules[path]);
      assert.equal(up.last.method, "POST");
      assert.equal(up.last.header("host"), `127.0.0.1:${up.port}`);
    });
  }
  assert.ok(up.calls.every((call) => !call.path.includes("/v1/v1")));
});

test("a query of the client does not reach the provider", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  assert.equal(
    (
      await chat(
        neap,
        say("pool"),
        {},
        "/v1/chat/completions?key=0123456789abcdef&api_base=http://evil.example",
      )
    ).status,
    200,
  );
  assert.equal(up.last.path, "/v1/chat/completions");
});

test("urls that neap refuses to load", async (t) => {
  for (const url of [
    "ftp://example.com/v1",
    "example.com",
    "http://169.254.169.254/latest",
    "http://[fe80::1]/v1",
    "file:///etc/passwd",
  ]) {
    await t.test(url, async (t) => {
      let neap;
      try {
        neap = await serve(t, provider("a", url) + group("pool", ["a"]), { is_left: true });
      } catch (error) {
        assert.match(error.message, /router\.lua:2/);
        return;
      }
      /* An address may also be refused when it is asked for. */
      const seen = await chat(neap, say("pool"));
      assert.equal(seen.status, 502, seen.text);
    });
  }
});
