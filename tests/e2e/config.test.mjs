/* router.lua: where keys come from, which providers are on, how a model is resolved. */
import test from "node:test";
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { chat, get, say } from "./support/client.mjs";
import { group, provider, raw } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { error, upstream } from "./support/upstream.mjs";

test("keys", async (t) => {
  const up = await upstream(t);
  const alone = (name, fields) => provider(name, up, fields) + group(`g_${name}`, [name]);
  const neap = await serve(
    t,
    [
      alone("env", { keys: [raw('env "NEAP_E2E_UNSET"'), raw('env "NEAP_E2E_KEY"')] }),
      alone("file", { keys: [raw('file "secrets/key.txt"')] }),
      alone("off", { keys: [raw('env "NEAP_E2E_UNSET"')] }),
      alone("keyless", { keys: undefined, keyless: true }),
      group("skips", ["off", "env"]),
    ].join(""),
    {
      env: { NEAP_E2E_KEY: "sk-from-the-environment" },
      files: { "secrets/key.txt": "sk-from-a-file-0123456789\n" },
    },
  );

  await t.test("from the environment, named after it; an unset one is left out", async () => {
    const seen = await chat(neap, say("g_env"));
    assert.equal(seen.status, 200, seen.text);
    assert.equal(up.last.key, "sk-from-the-environment");
    assert.equal((await neap.line(seen)).key, "NEAP_E2E_KEY");
  });

  await t.test("from a file beside router.lua, without its line end", async () => {
    assert.equal((await chat(neap, say("g_file"))).status, 200);
    assert.equal(up.last.key, "sk-from-a-file-0123456789");
  });

  await t.test("a provider without any is off", async () => {
    const calls = up.calls.length;
    const seen = await chat(neap, say("g_off"));
    assert.ok([404, 503].includes(seen.status), `${seen.status}: ${seen.text}`);
    assert.equal(up.calls.length, calls);
    assert.equal((await chat(neap, say("skips"))).headers["x-neap-provider"], "env");
  });

  await t.test("a keyless one gets no Authorization", async () => {
    assert.equal((await chat(neap, say("g_keyless"))).status, 200);
    assert.equal(up.last.header("authorization"), undefined);
  });

  assert.ok(!/sk-from/.test(neap.text()), "no secret in the log");
});

test("a model is resolved as group, provider/model, then a model that a provider offers", async (t) => {
  const a = await upstream(t);
  const b = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", a, { models: { shared: {}, "only-a": {}, named: {} } }),
      provider("b", b, { models: { shared: {}, "vendor/x": {} } }),
      group("named", ["b"]),
    ].join(""),
  );
  const ask = async (model) => {
    const seen = await chat(neap, say(model));
    assert.equal(seen.status, 200, `${model}: ${seen.text}`);
    const at = seen.headers["x-neap-provider"];
    return [at, { a, b }[at].last.json.model];
  };

  assert.deepEqual(await ask("named"), ["b", "m"], "the group goes before the model");
  assert.deepEqual(await ask("a/named"), ["a", "named"]);
  assert.deepEqual(await ask("b/vendor/x"), ["b", "vendor/x"]);
  assert.deepEqual(await ask("vendor/x"), ["b", "vendor/x"]);
  assert.deepEqual(await ask("only-a"), ["a", "only-a"]);
  assert.equal((await ask("shared"))[1], "shared");

  await t.test("an implicit group fails over too", async () => {
    a.next(error(500, "ill"));
    b.next(error(500, "ill"));
    const seen = await chat(neap, say("shared"));
    assert.equal(seen.headers["x-neap-attempts"], "2", "both providers were tried");
  });

  assert.equal((await chat(neap, say("b/"))).status, 404);
  assert.equal((await chat(neap, say("nobody/m"))).status, 404);
});

test("storage is made if it is missing, for its owner alone; policies need not be there", async (t) => {
  const neap = await serve(t, "", { first: { storage: '"deep/in/here"' } });
  assert.equal((await get(neap, "/readyz")).status, 200);
  const storage = path.join(neap.folder, "deep/in/here");
  assert.ok(existsSync(storage));
  assert.equal(statSync(storage).mode & 0o777, 0o700);
  assert.ok(!existsSync(path.join(neap.folder, "policies")));
});
