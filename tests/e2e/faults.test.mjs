/* A machine whose system calls fail now and then: the disk says EIO, memory runs out. A
 * write that was refused is not there, one that was acknowledged is, and requests go on. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { can_fail, faults } from "./support/faults.mjs";
import { group, provider } from "./support/lua.mjs";
import { is_sanitized, start_again } from "./support/neap.mjs";
import { deep, patience, until } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

const ENOMEM = 12;
const EIO = 5;
const SYNC = "posix/io/sync/fdatasync";
const WRITES = ["posix/io/rw/pwrite", "posix/io/rw/writev"];

async function serve_faulty(t, options = {}) {
  const up = await upstream(t);
  const faulty = faults(t);
  const neap = await serve_admin(t, provider("a", up) + group("pool", ["a"]), {
    ...options,
    env: faulty.env,
    first: { private_upstreams: "true", workers: "2" },
  });
  neap.as = await neap.admin.token("write");
  neap.call = (path, options) => neap.admin.call(path, { as: neap.as, ...options });
  neap.make = (name) =>
    neap.call("/api/v1/groups", { body: { name, targets: [{ provider: "a", model: "m" }] } });
  neap.groups = async () => {
    const seen = await neap.call("/api/v1/groups");
    assert.equal(seen.status, 200, seen.text);
    return seen.json.items.map((one) => one.name).sort();
  };
  return { neap, faulty };
}

const journal_of = async (neap) => (await neap.health()).neap.journal;

async function is_recorded(neap) {
  const id = (await chat(neap, say("pool"))).headers["x-request-id"];
  await until(
    async () => (await neap.call(`/api/v1/records?text=${id}`)).json.items.length === 1,
    () => `the record of ${id}; the log ends with\n${neap.tail()}`,
  );
  assert.equal((await journal_of(neap)).error, undefined);
}

const options = { skip: !can_fail };

test("a disk that cannot sync: writes are refused, records counted", options, async (t) => {
  const { neap, faulty } = await serve_faulty(t);
  assert.equal((await neap.make("before")).status, 201);
  const generation = await neap.generation();
  faulty.fail(neap, SYNC, EIO);

  const refused = await neap.make("lost");
  assert.equal(refused.status, 503, refused.text);
  assert.equal(refused.json.error.code, "storage_failed");
  await neap.says(/"level":"error","area":"admin".*the disk is failing/);
  assert.equal(await neap.generation(), generation);
  assert.equal((await chat(neap, say("lost"))).status, 404, "nothing of it is in force");
  assert.deepEqual(await neap.groups(), ["before", "pool"]);
  const gone = await neap.call("/api/v1/groups/before", { method: "DELETE" });
  assert.equal(gone.status, 503, gone.text);
  assert.equal((await chat(neap, say("before"))).status, 200);

  const journal = await until(async () => {
    assert.equal((await chat(neap, say("pool"))).status, 200, "requests go on");
    const journal = await journal_of(neap);
    return journal.dropped > 0 && journal;
  }, "a record that was dropped");
  assert.match(journal.error, /the disk is failing/);

  faulty.heal(neap, SYNC);
  await is_recorded(neap);
  assert.equal((await neap.make("lost")).status, 201);
  assert.equal((await chat(neap, say("lost"))).status, 200);
  await neap.admin.restart();
  assert.deepEqual(await neap.groups(), ["before", "lost", "pool"]);
});

/* Each write of the database may fail, also that of its root, after which the library gives
 * an environment up. */
test("a disk that fails now and then: what was acknowledged is there", options, async (t) => {
  const { neap, faulty } = await serve_faulty(t);
  const made = ["pool"];
  let refused = 0;
  faulty.fail_some(neap, 0.2, EIO, SYNC, ...WRITES);
  const count = deep ? 200 : 30;
  const is_reopened = () =>
    neap.lines.some((line) => /data\/state: .*opened again: well/.test(line));
  for (let number = 0; number < count || !refused || !is_reopened(); number++) {
    assert.ok(number < count + 200, `${refused} refused, ${made.length - 1} made`);
    const name = `g${number}`;
    const seen = await neap.make(name);
    assert.equal((await chat(neap, say("pool"))).status, 200, "requests go on");
    if (seen.status === 201) made.push(name);
    else {
      assert.equal(seen.status, 503, `${seen.text}\n${neap.tail()}`);
      refused++;
    }
  }
  assert.ok(made.length > 1);
  assert.deepEqual(await neap.groups(), made.sort());
  faulty.heal(neap, SYNC, ...WRITES);
  await is_recorded(neap);
  assert.equal((await neap.make("after")).status, 201);
  await neap.admin.restart();
  assert.deepEqual(await neap.groups(), [...made, "after"].sort());
  for (const name of made) assert.equal((await chat(neap, say(name))).status, 200);
});

/* Sanitizers have a malloc of their own, which comes first. */
const not_sanitized = { skip: is_sanitized };

test("without memory neap ends with a line, and is whole after that", not_sanitized, async (t) => {
  const { neap, faulty } = await serve_faulty(t, { is_left: true });
  assert.equal((await neap.make("before")).status, 201);
  await is_recorded(neap);
  const from = neap.lines.length;
  // The call that asks for it may not come back any more.
  try {
    for (const name of ["malloc", "calloc", "realloc"])
      faulty.fail(neap, `libc/mm/${name}`, ENOMEM);
  } catch {
    /* neap says below how it ended */
  }
  chat(neap, say("pool")).catch(() => {});
  assert.equal(await neap.ended(patience(20000)), "SIGABRT");
  await neap.says(/out of memory: \d+ bytes refused/, from);
  await start_again(neap, neap.options);
  await neap.admin.ready();
  assert.deepEqual(await neap.groups(), ["before", "pool"]);
  await is_recorded(neap);
});
