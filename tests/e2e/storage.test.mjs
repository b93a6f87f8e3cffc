/* What is on disk: the state of keys and targets outlives neap, one neap has a folder. */
import test from "node:test";
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { run, serve, start_again } from "./support/neap.mjs";
import { folder, within } from "./support/story.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";

const K1 = { secret: "sk-key-one-000001", id: "k1" };
const K2 = { secret: "sk-key-two-000002", id: "k2" };

const config = (up, keys) => provider("a", up, { keys }) + group("pool", ["a"]);

/* A neap whose key k1 was told to rest for ten minutes. */
async function with_resting_key(t) {
  const up = await upstream(t);
  const slow = error(429, "slow down", { "retry-after": "600" });
  const play = (script, call) => (typeof script === "function" ? script(call) : script);
  up.always((call) => play(call.key === K1.secret ? slow : answer("ok"), call));
  const neap = await serve(t, config(up, [K1, K2]));
  for (let round = 0; round < 2; round++) assert.equal((await chat(neap, say("pool"))).status, 200);
  assert.equal(up.calls.filter((call) => call.key === K1.secret).length, 1);
  up.calls.length = 0;
  return { up, neap };
}

async function assert_rests_still(up, neap) {
  for (let round = 0; round < 4; round++) assert.equal((await chat(neap, say("pool"))).status, 200);
  assert.deepEqual(
    up.calls.map((call) => call.key),
    Array(4).fill(K2.secret),
  );
}

test("a key that rests still rests after kill -9, wherever it stands in router.lua", async (t) => {
  const { up, neap } = await with_resting_key(t);
  // What is not written yet is that of the last 20 ms: a request later it is.
  const since = performance.now();
  while (performance.now() - since < within(400)) await chat(neap, say("pool"));
  await neap.kill();
  up.calls.length = 0;
  neap.configure(config(up, [K2, { ...K1, id: "other" }]));
  await start_again(neap);
  await assert_rests_still(up, neap);
});

test("SIGTERM writes what was said last", async (t) => {
  const { up, neap } = await with_resting_key(t);
  assert.equal(await neap.stop(), 0);
  await start_again(neap);
  await assert_rests_still(up, neap);
});

test("a second neap on the same folder is refused and says so", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, config(up, [K1]));
  const second = await run(t, ["serve"], { cwd: neap.folder });
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`data/state is in use by process ${neap.pid}`));
  assert.equal((await chat(neap, say("pool"))).status, 200);
});

test("a storage that cannot be opened ends neap with its reason", async (t) => {
  const cwd = folder(t);
  writeFileSync(path.join(cwd, "router.lua"), 'listen = "127.0.0.1:1"\nstorage = "data"\n');
  writeFileSync(path.join(cwd, "data"), "a file");
  const ended = await run(t, ["serve"], { cwd });
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /data/);
});

test("a master key that others can read is refused", async (t) => {
  const cwd = folder(t);
  writeFileSync(path.join(cwd, "router.lua"), 'listen = "127.0.0.1:1"\nstorage = "data"\n');
  mkdirSync(path.join(cwd, "data"));
  writeFileSync(path.join(cwd, "data/master.key"), `${"00".repeat(32)}\n`);
  chmodSync(path.join(cwd, "data/master.key"), 0o644);
  const ended = await run(t, ["serve"], { cwd });
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /master\.key/);
});

test("check makes no storage", async (t) => {
  const cwd = folder(t);
  writeFileSync(path.join(cwd, "router.lua"), 'storage = "data"\n');
  assert.equal((await run(t, ["check"], { cwd })).code, 0);
  assert.ok(!existsSync(path.join(cwd, "data")));
});
