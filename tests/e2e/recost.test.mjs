/* Costs made anew for a span of time: records, sums and prices agree afterwards. */
import test from "node:test";
import assert from "node:assert/strict";
import { serve_admin } from "./support/admin.mjs";
import { chat, say } from "./support/client.mjs";
import { NO_BREAKER } from "./support/lua.mjs";
import { until } from "./support/story.mjs";
import { END, chunk, error, role, stream, upstream } from "./support/upstream.mjs";

const PATH = "/api/v1/statistics/recompute";
const BEGINNING = "2020-01-01T00:00:00Z";

/* A provider and a group that are stored, so that prices change as they do in earnest. */
async function priced(t, prices) {
  const up = await upstream(t);
  const neap = await serve_admin(t, "", { first: { private_upstreams: "true" } });
  neap.read = await neap.admin.token("read");
  neap.write = await neap.admin.token("read", "write");
  const made = async (path, body) => {
    const done = await neap.admin.call(path, { as: neap.write, body });
    assert.equal(done.status, 201, done.text);
  };
  await made("/api/v1/providers", {
    name: "p",
    dialect: "openai",
    url: up.url,
    keyless: true,
    models: { m: prices },
  });
  await made("/api/v1/groups", {
    name: "g",
    targets: [{ provider: "p", model: "m" }],
    policies: NO_BREAKER,
  });
  return { up, neap };
}

async function all(neap) {
  const found = await neap.admin.call("/api/v1/records?limit=200", { as: neap.read });
  return found.json.items;
}

async function requests(neap, up, count) {
  const before = (await all(neap)).length;
  for (let index = 0; index < count; index++) {
    if (index % 5 === 3) up.next(error(500, "ill"));
    if (index % 5 === 4) up.next(stream(role(), chunk("one"), END));
    await chat(neap, say("g", { stream: index % 2 === 0 }));
  }
  await until(
    async () => (await all(neap)).length === before + count,
    "all records to be written",
  );
}

const total = (list) => list.reduce((sum, one) => sum + (one.cost_micros ?? 0), 0);

/* The costs of all records, after it is sure that every sum says the same. */
async function costs(neap) {
  const list = await all(neap);
  const read = async (path) => (await neap.admin.call(path, { as: neap.read })).json;
  const overview = await read("/api/v1/statistics/overview");
  assert.equal(overview.cost_micros, total(list));
  assert.equal(overview.priced, list.filter((one) => one.cost_micros !== null).length);
  for (const [by, name] of [
    ["model", "target_model"],
    ["provider", "provider"],
    ["group", "group"],
  ]) {
    const { values } = await read(`/api/v1/statistics/breakdown?by=${by}`);
    for (const value of values)
      assert.equal(
        value.cost_micros,
        total(list.filter((one) => one[name] === value.value)),
        `${by} ${value.value}`,
      );
  }
  /* Of one value by another dimension, out of the records. */
  const crossed = await read("/api/v1/statistics/breakdown?by=model&group=g");
  assert.equal(crossed.total.requests, list.length);
  assert.equal(crossed.total.cost_micros, total(list));
  assert.equal(crossed.values.find((one) => one.value === "m").cost_micros, total(list));
  assert.equal((await read("/api/v1/statistics/breakdown?by=model&group=none")).count, 0);
  return new Map(list.map((one) => [one.id, one.cost_micros]));
}

/* Recomputes to the end; what the job says of it. */
async function recompute(neap, body) {
  const begun = await neap.admin.call(PATH, { as: neap.write, body });
  assert.equal(begun.status, 202, begun.text);
  assert.equal(begun.json.name, "costs");
  const { last } = await until(async () => {
    const { items } = (await neap.admin.call("/api/v1/jobs", { as: neap.read })).json;
    const job = items.find((one) => one.name === "costs");
    return !job.running && job.last && job;
  }, "the job to end");
  assert.equal(last.outcome, "ok", last.text);
  return last.text;
}

test("costs are made anew with the prices in force, and with those of now", async (t) => {
  const { up, neap } = await priced(t, { input: 2, output: 10 });
  await requests(neap, up, 20);
  const first = await costs(neap);
  assert.ok([...first.values()].filter((cost) => cost > 0).length >= 12);

  assert.match(await recompute(neap, { from: BEGINNING }), /^20 records, 0 changed/);
  assert.deepEqual(await costs(neap), first);

  const patched = await neap.admin.call("/api/v1/providers/p", {
    as: neap.write,
    method: "PATCH",
    body: { models: { m: { input: 6, output: 30 } } },
  });
  assert.equal(patched.status, 200, patched.text);
  await requests(neap, up, 10);
  const mixed = await costs(neap);
  for (const [id, cost] of first) assert.equal(mixed.get(id), cost);

  await t.test("what was in force changes nothing", async () => {
    assert.match(await recompute(neap, { from: BEGINNING }), /^30 records, 0 changed/);
    assert.deepEqual(await costs(neap), mixed);
  });

  await t.test("those of now make what is older dearer", async () => {
    await recompute(neap, { from: BEGINNING, prices: "current" });
    const now = await costs(neap);
    for (const [id, cost] of mixed)
      assert.equal(now.get(id), first.has(id) && cost !== null ? cost * 3 : cost);
  });

  await t.test("and back, over a restart", async () => {
    await neap.admin.restart();
    await recompute(neap, { from: BEGINNING, prices: "in_force" });
    assert.deepEqual(await costs(neap), mixed);
  });

  await t.test("of a span alone", async () => {
    const edge = (await all(neap))[9]; // the last of the ten newest
    const from = new Date(edge.start_us / 1000 - 1).toISOString();
    assert.match(
      await recompute(neap, { from: BEGINNING, until: from, prices: "current" }),
      /^20 records/,
    );
    assert.match(await recompute(neap, { from, prices: "current" }), /^10 records, 0 changed/);
  });

  await t.test("refused where it makes no sense, and audited", async () => {
    const status = async (body, as = neap.write) =>
      (await neap.admin.call(PATH, { as, body })).status;
    assert.equal(await status({ from: BEGINNING }, neap.read), 403);
    assert.equal(await status({}), 422);
    assert.equal(await status({ from: "yesterday" }), 422);
    assert.equal(await status({ from: BEGINNING, prices: "old" }), 422);
    assert.equal(await status({ from: BEGINNING, until: "2019-01-01T00:00:00Z" }), 400);
    const run = await neap.admin.call("/api/v1/jobs/costs/run", { as: neap.write, method: "POST" });
    assert.equal(run.status, 202);
    const audit = await neap.admin.call("/api/v1/audit?action=recompute", { as: neap.read });
    assert.ok(audit.json.items.length >= 5);
    assert.equal(audit.json.items[0].object, "statistics/costs");
    assert.equal(audit.json.items[0].after.prices, "current");
  });
});
