/* Where neap may be led to: the address that is connected to decides, whatever the URL says,
 * a name leads to, or a provider asks for. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { can_fail, compile, environment } from "./support/faults.mjs";
import { group, provider } from "./support/lua.mjs";
import { head, upstream } from "./support/upstream.mjs";

const METADATA = "169.254.169.254";

/* A name server of the story's own: see support/names.c. */
function names(t, lines) {
  const library = compile(t, "names.c", "-shared", "-fPIC", "-ldl");
  return environment(library, { NEAP_TEST_NAMES: lines.join(" ") });
}

async function serve_admin_with(t, config, options) {
  const neap = await serve_admin(t, config, options);
  neap.as = await neap.admin.token("write", "keys");
  neap.make = (body) =>
    neap.admin.call("/api/v1/providers", {
      as: neap.as,
      body: { dialect: "openai", keyless: true, models: { m: {} }, ...body },
    });
  return neap;
}

const refused = async (neap, model) => {
  const seen = await chat(neap, say(model));
  assert.equal(seen.status, 502, seen.text);
  const [attempt] = (await neap.line(seen)).attempts;
  assert.equal(attempt.failure, "connect");
  assert.match(attempt.why ?? "", /may not be connected to/);
};

test("addresses that nobody may configure", async (t) => {
  const neap = await serve_admin_with(t, "", { first: { private_upstreams: "true" } });
  for (const host of [
    METADATA,
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "0.0.0.0",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
  ]) {
    const seen = await neap.make({ name: "bad", url: `http://${host}/v1` });
    if (seen.status === 422) continue;
    // What is no address for whoever reads it is judged when it is connected to.
    assert.equal(seen.status, 201, `${host}: ${seen.text}`);
    await refused(neap, "bad/m");
    await neap.admin.call("/api/v1/providers/bad", { as: neap.as, method: "DELETE" });
  }
  for (const url of ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://a.example/", "a.example"])
    assert.equal((await neap.make({ name: "bad", url })).status, 422, url);
});

test("names are judged by where they lead, each time", { skip: !can_fail }, async (t) => {
  const up = await upstream(t);
  const env = names(t, [
    `metadata.test=${METADATA}`,
    "private.test=127.0.0.1",
  ]);
  const at = (name) => `http://${name}:${up.port}/v1`;
  const options = { env, first: { private_upstreams: "true", workers: "1" } };
  const neap = await serve_admin_with(
    t,
    provider("written", at("metadata.test")) +
      provider("public", at("private.test"), { options: { private: false } }) +
      group("pool", ["written"]) +
      group("public", ["public"]),
    options,
  );
  await refused(neap, "pool");
  await refused(neap, "public");

  for (const name of ["metadata", "private"]) {
    const seen = await neap.make({ name, url: at(`${name}.test`) });
    assert.equal(seen.status, 201, seen.text);
  }
  await refused(neap, "metadata/m");
  assert.equal((await chat(neap, say("private/m"))).status, 200);
  const calls = up.calls.length;

  await t.test("also where neap asks by itself", async () => {
    for (const [path, body] of [
      ["models/preview", {}],
      ["keys", { secret: "sk-of-the-story-0001", check: true }],
      ["keys/import", { text: "sk-of-the-story-0002\n" }],
    ]) {
      const where = `/api/v1/providers/metadata/${path}`;
      const seen = await neap.admin.call(where, { as: neap.as, body });
      assert.ok(seen.status < 300 || /may not be connected to/.test(seen.text), seen.text);
    }
    assert.equal(up.calls.length, calls);
  });
});

test("a redirect is not followed, by requests and by what neap asks itself", async (t) => {
  const up = await upstream(t),
    other = await upstream(t);
  const neap = await serve_admin_with(t, "", { first: { private_upstreams: "true" } });
  assert.equal((await neap.make({ name: "p", url: up.url })).status, 201);
  for (const status of [301, 302, 303, 307, 308]) {
    up.always([head(status, { location: `${other.url}/chat/completions`, "content-length": 0 })]);
    const seen = await chat(neap, say("p/m"));
    assert.equal(seen.status, 502, seen.text);
    const calls = up.calls.length;
    await neap.admin.call("/api/v1/providers/p/models/preview", { as: neap.as, body: {} });
    assert.ok(up.calls.length > calls, "it was asked for its models");
  }
  assert.equal(other.calls.length, 0);
});
