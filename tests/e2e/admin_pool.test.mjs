/* Pools of keys and groups that change while clients are served: no request fails, a provider's
 * outage costs no key, and what the provider says is left decides which key is used. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { serve_admin } from "./support/admin.mjs";
import { chat, open, say } from "./support/client.mjs";
import { deep, later, patience, until, within } from "./support/story.mjs";
import { RESET, SILENCE, answer, error, reply, upstream } from "./support/upstream.mjs";

const FIRST = { private_upstreams: "true", workers: "2" };

async function make(admin, as, path, body) {
  const made = await admin.call(path, { as, body });
  assert.ok([200, 201].includes(made.status), `${path}: ${made.text}`);
  return made;
}

const provide = (admin, as, name, up, fields = {}) =>
  make(admin, as, "/api/v1/providers", { name, dialect: "openai", url: up.url, ...fields });

const ACCOUNT = "/v1/user/info";
const KEYS = "/api/v1/providers/pool/keys";

/* A provider with a pool of keys whose balance it tells; balances: by the key's last character. */
async function serve_pool(t, count, fields = {}) {
  const up = await upstream(t);
  up.balances = {};
  up.account = (call) => reply(200, { data: { totalBalance: up.balances[call.key.at(-1)] ?? 5 } });
  up.always((call) => (call.path === ACCOUNT ? up.account(call) : answer("ok")(call)));
  const neap = await serve_admin(t, "", { first: FIRST });
  const as = await neap.admin.token("write", "keys");
  const balance = { path: ACCOUNT, member: "data.totalBalance" };
  await provide(neap.admin, as, "pool", up, { balance, ...fields });
  const text = Array.from({ length: count }, (_, index) => `sk-of-the-pool-${index}`).join("\n");
  const done = await make(neap.admin, as, `${KEYS}/import`, { text });
  assert.equal(done.json.added, count);
  return { up, neap, as };
}

async function keys_of({ neap, as }) {
  const items = [];
  let cursor = "";
  do {
    const page = await neap.admin.call(`${KEYS}?limit=500${cursor}`, { as });
    items.push(...page.json.items);
    cursor = page.json.next_cursor && `&cursor=${page.json.next_cursor}`;
  } while (cursor);
  return items;
}

test("an outage in the middle of a refresh takes no key away", async (t) => {
  const at = await serve_pool(t, 100);
  const { up, neap, as } = at;
  for (const [name, outage, well_ones = 30] of [
    ["resets", () => [RESET]],
    ["500", () => error(500, "away")],
    ["429", () => error(429, "slow down")],
    ["an answer that is none", () => reply(200, "<html>we will be back</html>")],
    ...(deep ? [["silence", () => [SILENCE], 90]] : []), // each waits until its time is up
  ])
    await t.test(name, async () => {
      let asked = 0;
      const well = up.account;
      up.account = (call) => (++asked > well_ones ? outage() : well(call));
      const got = await neap.admin.call(`${KEYS}/refresh`, {
        as,
        method: "POST",
        patience_ms: patience(60000),
      });
      up.account = well;
      assert.equal(got.status, 200, got.text);
      const { good = 0, refused = 0 } = got.json.counts;
      assert.equal(refused, 0, got.text);
      assert.ok(good > 0 && good < 100, got.text);
      const keys = await keys_of(at);
      assert.equal(keys.length, 100);
      assert.deepEqual(
        keys.filter((key) => key.state === "disabled" || key.off),
        [],
      );
      const again = await neap.admin.call(`${KEYS}/refresh`, { as, method: "POST" });
      assert.deepEqual(again.json.counts, { good: 100 });
      assert.ok((await keys_of(at)).every((key) => key.state === "ready"));
    });
});

test("balances decide which key is used, from the next refresh on", async (t) => {
  const at = await serve_pool(t, 2);
  const { up, neap, as } = at;
  await make(neap.admin, as, "/api/v1/groups", {
    name: "g",
    targets: [{ provider: "pool", model: "m" }],
    policies: ["priority_failover", "balance_weighted"],
  });
  /* How many of 200 requests used the key whose secret ends so. */
  const uses_of = async (last) => {
    up.forget();
    for (let index = 0; index < 200; index++)
      assert.equal((await chat(neap, say("g"))).status, 200);
    return up.calls.filter((call) => call.key.endsWith(last)).length;
  };
  for (const [balances, least, most] of [
    [{ 0: 90, 1: 10 }, 150, 199],
    [{ 0: 10, 1: 90 }, 1, 50],
    [{ 0: 0, 1: 50 }, 0, 0],
  ]) {
    up.balances = balances;
    await make(neap.admin, as, `${KEYS}/refresh`, {});
    const uses = await uses_of("0");
    assert.ok(uses >= least && uses <= most, `${uses} of 200 with ${JSON.stringify(balances)}`);
  }
});

/* Clients that ask again and again on a connection of their own each, until stop(). */
function load(t, neap, group, width) {
  const running = { asked: [], is_over: false };
  const client = async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    later(t, () => agent.destroy());
    while (!running.is_over) {
      const start = performance.now();
      const seen = await open(neap, "/v1/chat/completions", { agent, body: say(group) });
      const { status, text } = await seen.whole();
      running.asked.push({ start, status, text });
    }
    agent.destroy();
  };
  const clients = Promise.all(Array.from({ length: width }, client));
  clients.catch(() => {});
  running.stop = () => {
    running.is_over = true;
    return clients;
  };
  return running;
}

test("a group that is changed under load: in force at once, and no request fails", async (t) => {
  const ups = [await upstream(t), await upstream(t)];
  ups.forEach((up, index) => up.always(answer(`from ${index}`)));
  const neap = await serve_admin(t, "", { first: { ...FIRST, workers: "4" } });
  const { admin } = neap;
  const as = await admin.token("write");
  await provide(admin, as, "p0", ups[0], { keyless: true });
  await provide(admin, as, "p1", ups[1], { keyless: true });
  const targets = (index) => [{ provider: `p${index}`, model: "m" }];
  await make(admin, as, "/api/v1/groups", { name: "g", targets: targets(0) });
  const patch = (body) => admin.call("/api/v1/groups/g", { method: "PATCH", as, body });
  const running = load(t, neap, "g", 16);
  const seen_after = (since) => running.asked.filter((one) => one.start > since);

  for (let round = 1; round <= (deep ? 100 : 8); round++) {
    const began = performance.now();
    const changed = await patch({ targets: targets(round % 2) });
    const in_force = performance.now();
    assert.equal(changed.status, 200, changed.text);
    assert.ok(in_force - began < within(1000), `${in_force - began} ms`);
    await until(() => seen_after(in_force).length >= 64, "requests after the change");
    const old = seen_after(in_force).filter((one) => !one.text.includes(`from ${round % 2}`));
    assert.deepEqual(old, [], "every worker has it when the answer comes");
  }

  const generation = await neap.generation();
  for (const [body, place, reason] of [
    [{ targets: [{ provider: "nobody", model: "m" }] }, /group\/g/, /nobody/],
    [{ policies: ["no_such_policy"] }, /group\/g/, /no_such_policy/],
    [{ policies: [{ name: "rate_limit", settings: { no_such: 1 } }] }, /group\/g/, /no_such/],
  ]) {
    const refused = await patch(body);
    assert.equal(`${refused.status} ${refused.json.error.code}`, "422 invalid_configuration");
    assert.match(refused.json.error.details[0], place);
    assert.match(refused.json.error.details[0], reason);
    assert.equal(await neap.generation(), generation, "nothing changes");
  }
  await running.stop();
  assert.deepEqual(
    running.asked.filter((one) => one.status !== 200),
    [],
  );
});
