/* Headers and proxies of a stored provider may hold secrets: sent, and nowhere to be read. */
import test from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { run } from "./support/neap.mjs";
import { upstream } from "./support/upstream.mjs";

const SECRET = "Basic b3duZXI6dGhlLWhlYWRlcnMtc2VjcmV0";
const OTHER = "another-value-of-a-header-77";
const PASSWORD = "the-proxys-own-password";

function files_with(folder, text) {
  try {
    return execFileSync("grep", ["-rlaF", "-e", text, folder], { encoding: "utf8" }).trim();
  } catch (failure) {
    if (failure.status === 1) return "";
    throw failure;
  }
}

test("headers are sealed, sent, kept by patches, restarts and rotations", async (t) => {
  const up = await upstream(t);
  const neap = await serve_admin(t, "", { first: { private_upstreams: "true" } });
  const as = await neap.admin.token("write");
  const call = async (method, at, body, status) => {
    const done = await neap.admin.call(at, { as, method, body });
    assert.equal(done.status, status, done.text);
    return status === 204 ? undefined : done.json;
  };
  /* What the provider gets in these headers. */
  const sent = async (...names) => {
    const seen = await chat(neap, say("p/m"));
    assert.equal(seen.status, 200, seen.text);
    return names.map((name) => up.last.header(name));
  };
  const made = await call("POST", "/api/v1/providers", {
    name: "p",
    dialect: "openai",
    url: up.url,
    keyless: true,
    models: { m: {} },
    headers: { "x-upstream-auth": SECRET, "x-team": "blue" },
  }, 201);
  assert.deepEqual(made.headers, { "x-upstream-auth": "(hidden)", "x-team": "(hidden)" });
  assert.deepEqual(await sent("x-upstream-auth", "x-team"), [SECRET, "blue"]);

  await t.test("a patch keeps what is hidden, and changes the rest", async () => {
    const got = await call("GET", "/api/v1/providers/p", undefined, 200);
    await call("PATCH", "/api/v1/providers/p", { headers: got.headers, note: "x" }, 200);
    await call("PATCH", "/api/v1/providers/p", { headers: { "x-team": OTHER } }, 200);
    assert.deepEqual(await sent("x-upstream-auth", "x-team"), [SECRET, OTHER]);
    await call("PATCH", "/api/v1/providers/p", { headers: { "x-new": "(hidden)" } }, 422);
  });

  await t.test("a restart and a rotation lose nothing", async () => {
    await neap.admin.restart();
    assert.deepEqual(await sent("x-upstream-auth", "x-team"), [SECRET, OTHER]);
    const rotated = await run(t, ["key", "rotate", "-c", "router.lua"], { cwd: neap.folder });
    assert.equal(rotated.code, 0, rotated.text);
    await neap.reload();
    assert.deepEqual(await sent("x-upstream-auth", "x-team"), [SECRET, OTHER]);
    const got = await call("GET", "/api/v1/providers/p", undefined, 200);
    await call("PATCH", "/api/v1/providers/p", { headers: got.headers, note: "y" }, 200);
    assert.deepEqual(await sent("x-upstream-auth"), [SECRET]);
  });

  await t.test("an export and its import lose nothing", async () => {
    const document = await call("GET", "/api/v1/configuration/export", undefined, 200);
    const text = JSON.stringify(document);
    assert.ok(!text.includes(SECRET) && !text.includes(OTHER));
    await call("DELETE", "/api/v1/providers/p", undefined, 204);
    await call("POST", "/api/v1/configuration/import?mode=merge", document, 200);
    assert.deepEqual(await sent("x-upstream-auth", "x-team"), [SECRET, OTHER]);
  });

  await t.test("and no file, log or answer has it in clear", async () => {
    await call("POST", "/api/v1/providers", {
      name: "behind",
      dialect: "openai",
      url: up.url,
      keyless: true,
      proxy: [`http://me:${PASSWORD}@127.0.0.1:9`],
    }, 201);
    const shown = await neap.admin.call("/api/v1/providers", { as });
    const audit = await neap.admin.call("/api/v1/audit?limit=100", { as });
    assert.match(shown.text, /http:\/\/me:\*\*\*@127\.0\.0\.1:9/);
    await neap.stop();
    for (const secret of [SECRET, OTHER, PASSWORD]) {
      assert.equal(files_with(path.join(neap.folder, "data"), secret), "", secret);
      for (const text of [neap.text(), shown.text, audit.text]) assert.ok(!text.includes(secret));
    }
  });
});
