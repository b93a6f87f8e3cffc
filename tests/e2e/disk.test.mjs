/* The disk of the storage: without room, outgrown, and with readers that died. */
import test from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import path from "node:path";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { compile, small_disk } from "./support/faults.mjs";
import { group, lua, provider } from "./support/lua.mjs";
import { start_again } from "./support/neap.mjs";
import { deep, later, patience, until } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

async function serve_stored(t, first = {}) {
  const up = await upstream(t);
  const neap = await serve_admin(t, provider("a", up) + group("pool", ["a"]), {
    first: { private_upstreams: "true", ...first },
  });
  neap.as = await neap.admin.token("write");
  neap.call = (path, options) => neap.admin.call(path, { as: neap.as, ...options });
  neap.read = async (path) => {
    const seen = await neap.call(path);
    assert.equal(seen.status, 200, seen.text);
    return seen;
  };
  return neap;
}

const journal_of = async (neap) => (await neap.health()).neap.journal;
const groups_of = async (neap) =>
  (await neap.read("/api/v1/groups")).json.items.map((one) => one.name);
const metric = (text, name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);

/* A group that is stored, with a note that needs pages. */
const big_group = (name) => ({
  name,
  targets: [{ provider: "a", model: "m" }],
  note: "n".repeat(1500),
});

/* A disk without room, and with room again: room.fill() and room.empty(). */
async function fill_and_empty(neap, room) {
  assert.equal((await chat(neap, say("pool"))).status, 200);
  assert.equal((await neap.call("/api/v1/groups", { body: big_group("before") })).status, 201);
  const from = neap.lines.length;
  room.fill();

  // There may be free pages left in the file: these are used up first.
  let refused,
    tries = 0;
  for (; !refused && tries < 100; tries++) {
    const name = `late-${tries}`;
    const seen = await neap.call("/api/v1/groups", { body: big_group(name) });
    if (seen.status !== 201) refused = { name, seen };
  }
  assert.equal(refused?.seen.status, 507, refused?.seen.text);
  assert.equal(refused.seen.json.error.code, "storage_full");
  assert.ok(!(await groups_of(neap)).includes(refused.name), "nothing of it is in force");
  assert.equal((await chat(neap, say(refused.name))).status, 404);

  const journal = await until(
    async () => {
      assert.equal((await chat(neap, say("pool"))).status, 200, "requests go on");
      const journal = await journal_of(neap);
      return journal.dropped > 0 && journal;
    },
    "a record that was dropped",
    patience(20000),
  );
  assert.ok(journal.error, "the reason is shown");
  await neap.says(/records were dropped/, from);
  const metrics = (await neap.read("/metrics")).text;
  assert.ok(metric(metrics, "neap_journal_records_dropped_total") >= journal.dropped);
  assert.equal(metric(metrics, "neap_journal_up"), 0);
  const shown = (await neap.read("/api/v1/health")).json.journal;
  assert.ok(shown.dropped >= journal.dropped && shown.error, JSON.stringify(shown));

  room.empty();
  const again = await neap.call("/api/v1/groups", { body: big_group(refused.name) });
  assert.equal(again.status, 201, again.text);
  assert.equal((await chat(neap, say(refused.name))).status, 200);
  const seen = await chat(neap, say("pool"));
  const id = seen.headers["x-request-id"];
  await until(
    async () => (await neap.read(`/api/v1/records?text=${id}`)).json.items.length === 1,
    "the record of a request after that",
  );
  const after = await journal_of(neap);
  assert.equal(after.error, undefined);
  assert.equal(metric((await neap.read("/metrics")).text, "neap_journal_up"), 1);

  await neap.admin.restart();
  assert.equal((await chat(neap, say(refused.name))).status, 200);
  assert.equal((await chat(neap, say("before"))).status, 200);
  const names = await groups_of(neap);
  assert.equal(names.filter((name) => name.startsWith("late-")).length, tries);
}

test("a disk without room: requests go on, writes are refused, and it recovers", async (t) => {
  const disk = small_disk(t, 8);
  if (!disk) return t.skip("no file system may be mounted here");
  const neap = await serve_stored(t, { storage: lua(disk.place) });
  await fill_and_empty(neap, disk);
});

test("files that may not grow: the same", async (t) => {
  const neap = await serve_stored(t);
  const limit = (size) =>
    execFileSync("prlimit", [`--pid=${neap.pid}`, `--fsize=${size}:unlimited`]);
  await fill_and_empty(neap, { fill: () => limit(4096), empty: () => limit("unlimited") });
});

/* The state begins with 16 MiB of room. */
test("a store that outgrows its map grows under way, and no write fails", async (t) => {
  const neap = await serve_stored(t);
  const line = "-- a policy of many words, each version of which stays\n";
  const text = `local policy = require "neap.policy"
return policy.define { summary = "Many words." }
${line.repeat(Math.floor((250 * 1024) / line.length))}`;
  const names = ["one", "two", "three", "four"]; // written together: one load is for all
  let put = 0;
  const write = async (name) => {
    const body = { text: `${text}-- ${put}\n` };
    const seen = await neap.call(`/api/v1/policies/${name}`, { method: "PUT", body });
    assert.equal(seen.status, 200, `${seen.text}\n${neap.tail()}`);
  };
  const is_grown = () => neap.lines.some((said) => /data\/state has room for 32 MiB/.test(said));
  for (; !is_grown(); put++) {
    assert.ok(put < 25, "25 MB of texts, and the map has not grown");
    await Promise.all(names.map(write));
    assert.equal((await chat(neap, say("pool"))).status, 200);
  }
  const is_whole = async () => {
    for (const name of names) {
      const path = `/api/v1/policies/${name}`;
      assert.equal((await neap.read(`${path}/versions`)).json.items.length, put);
      assert.ok((await neap.read(path)).json.text.endsWith(`-- ${put - 1}\n`));
    }
  };
  await is_whole();
  await neap.admin.restart();
  await is_whole();
});

/* Another process that reads a store; each has a slot in the store's table of readers. */
async function reader(t, program, store) {
  const child = spawn(program, ["read", store], { stdio: ["ignore", "pipe", "inherit"] });
  later(t, () => child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  await until(() => said.includes("reading"), `a reader of ${store}`);
  return {
    kill: () =>
      new Promise((resolve) => {
        child.once("close", resolve);
        child.kill("SIGKILL");
      }),
  };
}

test("readers that died are forgotten", async (t) => {
  const neap = await serve_stored(t);
  const program = compile(t, "stale_reader.c", "-llmdb");
  const stores = ["state", "journal"].map((name) => path.join(neap.folder, "data", name));
  const slots = (store) => Number(execFileSync(program, ["count", store], { encoding: "utf8" }));
  for (const store of stores) {
    const before = slots(store);
    const one = await reader(t, program, store);
    assert.equal(slots(store), before + 1);
    await one.kill();
    assert.equal(slots(store), before + 1, "its slot is still taken");
  }

  await t.test("when neap starts", async () => {
    await neap.kill();
    await start_again(neap, neap.options);
    await neap.admin.ready();
    for (const store of stores) assert.ok(slots(store) <= 1, `readers of ${store}`);
  });

  await t.test("each minute", { skip: !deep }, async () => {
    for (const store of stores) await (await reader(t, program, store)).kill();
    const from = neap.lines.length;
    for (const name of ["state", "journal"]) {
      const line = new RegExp(`data/${name}: 1 readers that had died were forgotten`);
      await until(
        () => neap.lines.slice(from).some((said) => line.test(said)),
        () => `${line}; the log ends with\n${neap.tail()}`,
        patience(70000),
      );
    }
  });
});
