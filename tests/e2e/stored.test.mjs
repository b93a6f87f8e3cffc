/* Configuration that is stored: in force after a reload in every worker, behind router.lua,
 * and never in the way of a start; and the master key is rotated under way. */
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { chat, get, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { root, run, serve, start_again } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";

const env = { NEAP_LUA: path.join(root, "tests/dialects"), NEAP_DIALECTS: "probe" };

/* A neap with the provider "probe", which runs Lua for the test. */
async function probed(t, config = "", first = {}) {
  const up = await upstream(t);
  up.always(answer("ok"));
  const neap = await serve(t, provider("probe", up, { dialect: "probe" }) + config, {
    env,
    first: { private_upstreams: true, workers: 2, ...first },
  });
  /* What the Lua text returns, as text. */
  neap.lua = async (text, headers) => {
    const from = neap.log.length;
    const seen = await chat(neap, { ...say("probe/m"), user: text }, headers);
    assert.equal(seen.status, 200, `${seen.text}\n${neap.tail()}`);
    return until(
      () => neap.log.slice(from).find((line) => line.area === "probe")?.message,
      () => `the probe's answer; the log ends with\n${neap.tail()}`,
    );
  };
  return { up, neap };
}

const put = (key, value, table = "config") =>
  `assert(require("neap.host").store_write { { "put", "${table}", [=[${key}]=], [=[${JSON.stringify(value)}]=] } })`;
const RELOAD = 'local id, why = require("neap.host").reload() return id or why';

const stored_provider = (up) => ({ version: 1, dialect: "openai", url: up.url, keyless: true });

test("what is stored is in force once a reload has come back, in every worker", async (t) => {
  const { up, neap } = await probed(t);
  assert.equal((await chat(neap, say("fast"))).status, 404);
  const text =
    put("provider/a", stored_provider(up)) +
    put("group/fast", { targets: [{ provider: "a", model: "m" }] }) +
    RELOAD;
  assert.equal(await neap.lua(text), "2");
  for (let round = 0; round < 20; round++)
    assert.equal((await chat(neap, say("fast"))).status, 200);
  assert.equal(await neap.generation(), 2);
});

test("it is there again after kill -9, since the write had come back", async (t) => {
  const { up, neap } = await probed(t);
  await neap.lua(
    put("provider/a", stored_provider(up)) +
      put("group/fast", { targets: [{ provider: "a", model: "m" }] }),
  );
  await neap.kill();
  await start_again(neap, { env });
  assert.equal((await chat(neap, say("fast"))).status, 200);
});

test("a broken record is logged and left out; router.lua wins over one of its name", async (t) => {
  const other = await upstream(t);
  other.always(answer("other"));
  const { neap } = await probed(t, group("pool", ["probe"]));
  const why = await neap.lua(
    put("provider/probe", stored_provider(other)) +
      put("provider/bad", { dialect: "openai" }) +
      put("group/none", { targets: [{ provider: "bad", model: "m" }] }) +
      put("group/odd", { targets: [{ provider: "probe", model: "m" }], policies: ["no_such"] }) +
      put("group/fine", { targets: [{ provider: "probe", model: "m" }] }) +
      RELOAD,
  );
  assert.match(why, /provider\/bad: .*no url/, "who has stored it is told, and nothing changes");
  assert.equal(await neap.generation(), 1);
  await neap.reload();
  await neap.says(/left out: provider\/bad: .*no url/);
  await neap.says(/left out: group\/none: .*no provider/);
  await neap.says(/left out: group\/odd: there is no policy/);
  assert.equal((await chat(neap, say("fine"))).status, 200);
  for (const name of ["odd", "none"]) assert.equal((await chat(neap, say(name))).status, 404);
  assert.equal(other.calls.length, 0);
  await neap.kill();
  await start_again(neap, { env });
  assert.equal((await chat(neap, say("pool"))).status, 200);
});

test("a stored token lets in who has it, and nobody without one", async (t) => {
  const { up, neap } = await probed(t);
  const token = await neap.lua(
    'local token, digest = require("neap.host").token_new() ' +
      'require("neap.store").put("token", "t", ' +
      '{ digest = require("neap.store").digest_text(digest) }) ' +
      'require("neap.host").reload() return token',
  );
  const seen = up.calls.length;
  assert.equal((await chat(neap, say("probe/m"))).status, 401);
  assert.equal(up.calls.length, seen);
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await chat(neap, say("probe/m"), headers)).status, 200);
  await neap.kill();
  await start_again(neap, { env });
  assert.equal((await chat(neap, say("probe/m"))).status, 401);
  assert.equal((await chat(neap, say("probe/m"), headers)).status, 200);
  // A record that nobody can read closes neap, too.
  await neap.lua(put("token/t", []), headers);
  await neap.reload();
  assert.equal((await chat(neap, say("probe/m"))).status, 401);
  assert.equal((await chat(neap, say("probe/m"), headers)).status, 401);
});

test("a stored provider may be at a private address where router.lua says so alone", async (t) => {
  const { up, neap } = await probed(t, "", { private_upstreams: false });
  const by_name = up.url.replace("127.0.0.1", "localhost.localdomain");
  await neap.lua(
    put("provider/a", stored_provider(up)) +
      put("provider/b", { ...stored_provider(up), url: by_name }),
  );
  await neap.reload();
  await neap.says(/left out: provider\/a: .*private_upstreams/);
  const calls = up.calls.length;
  assert.equal((await chat(neap, say("b/m"))).status, 502);
  assert.equal(up.calls.length, calls, "the name led to this machine, and nothing was sent");
});

test("failure keywords and the breaker's threshold are stored settings", async (t) => {
  const up = await upstream(t);
  const { neap } = await probed(
    t,
    provider("a", up) + provider("b", up) + group("pool", ["a", "b"]),
  );
  await neap.lua(
    put("keyword/1", { text: "quota" }) + put("setting/failure_threshold", { value: 1 }) + RELOAD,
  );
  up.next(answer("no Quota left"), answer("fine"), answer("fine"));
  assert.match((await chat(neap, say("pool"))).text, /fine/);
  assert.match((await chat(neap, say("pool"))).text, /fine/);
  assert.equal(up.calls.length, 3, "one failure rested the first target");
});

test("reloads that are asked for together are one", async (t) => {
  const { neap } = await probed(t);
  const before = await neap.generation();
  const text =
    'local host, done = require "neap.host", 0 for _ = 1, 10 do ' +
    "host.spawn(function() host.reload() done = done + 1 end) end " +
    "repeat host.sleep(0.01) until done == 10 return host.generations().current";
  const after = Number(await neap.lua(text));
  assert.ok(after > before && after <= before + 5, `${before}, then ${after}`);
  const loads = await neap.lua(
    'local loads = require("neap.host").generations().loads ' +
      "return loads[#loads].cause .. loads[1].cause",
  );
  assert.equal(loads, "startapi");
});

test("a reload that is refused says why and changes nothing", async (t) => {
  const { neap } = await probed(t);
  neap.configure("provider {");
  const why = await neap.lua(RELOAD);
  assert.match(why, /router\.lua:\d+: /);
  assert.equal(await neap.generation(), 1);
});

const master_key = (neap) => readFileSync(path.join(neap.folder, "data/master.key"), "utf8");

test("key rotate, while neap runs: no request fails and tokens stay what they are", async (t) => {
  const { neap } = await probed(t);
  const before = master_key(neap);
  const digest = 'return require("neap.store").digest_text(require("neap.host").digest("x"))';
  const known = await neap.lua(digest);
  let rotated = null;
  const rotation = run(t, ["key", "rotate"], { cwd: neap.folder, env }).then((ended) => {
    rotated = ended;
  });
  while (!rotated) assert.equal((await chat(neap, say("probe/m"))).status, 200);
  await rotation;
  assert.equal(rotated.code, 0, rotated.text);
  const after = master_key(neap);
  assert.notEqual(after, before);
  assert.equal(after.length, before.length, "the old key is gone");
  await neap.says(/the master key is rotated/);
  await neap.kill();
  await start_again(neap, { env });
  assert.equal(await neap.lua(digest), known);
});

test("key rotate without a neap, and after one that was cut off", async (t) => {
  const { neap } = await probed(t);
  assert.equal(await neap.stop(), 0);
  const before = master_key(neap);
  const ended = await run(t, ["key", "rotate", "-c", "router.lua"], { cwd: neap.folder, env });
  assert.equal(ended.code, 0, ended.text);
  assert.notEqual(master_key(neap), before);
  await start_again(neap, { env });
  assert.equal((await get(neap, "/readyz")).status, 200);
});

test("key rotate says what it cannot do", async (t) => {
  const { neap } = await probed(t);
  assert.equal(await neap.stop(), 0);
  const wrong = await run(t, ["key", "lose"], { cwd: neap.folder, env });
  assert.equal(wrong.code, 2);
  const nothing = await run(t, ["key"], { cwd: neap.folder, env });
  assert.equal(nothing.code, 2);
  neap.first_line = neap.first_line.replace('"data"', '"elsewhere"');
  neap.configure("");
  const empty = await run(t, ["key", "rotate"], { cwd: neap.folder, env });
  assert.equal(empty.code, 1);
  assert.match(empty.stderr, /nothing is stored yet/);
  await start_again(neap, { env });
});
