/* A policy that keeps failing is set aside in all workers at once, until the next reload. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open, open_chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { latch, until } from "./support/story.mjs";
import { DONE, answer, chunk, finish, role, stream, upstream } from "./support/upstream.mjs";

const policy = (body) => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
${body}
return own
`;
const raises = policy('function own:run() error("it is broken") end');
const says = policy('function own:run(request) return request:reply("the fallback") end');

const WORKERS = 4;
const failures = (neap, from = 0) =>
  neap.lines.slice(from).filter((line) => /raises: policies\/raises\.lua:3: it is broken/.test(line))
    .length;
const set_aside = (neap, from = 0) =>
  neap.lines.slice(from).filter((line) => /raises is set aside/.test(line)).length;

test("five failures in all workers together set a policy aside; a reload begins anew", async (t) => {
  const up = await upstream(t);
  const config =
    provider("a", up) +
    group("alone", ["a"], { policies: ["raises"] }) +
    group("helped", ["a"], { policies: ["raises"], fallback: ["says"] });
  const neap = await serve(t, config, {
    files: { "policies/raises.lua": raises, "policies/says.lua": says },
    first: { workers: WORKERS },
  });
  const figures = async () => (await neap.health()).neap;

  /* Each request has a connection of its own, which the kernel gives to any worker. */
  for (let turn = 0; turn < 4; turn++)
    assert.equal((await chat(neap, say("helped"))).content, "the fallback");
  assert.equal((await figures()).policies_set_aside, 0);
  assert.equal((await chat(neap, say("alone"))).status, 500);
  for (let turn = 0; turn < 10 * WORKERS; turn++) {
    assert.equal((await chat(neap, say("helped"))).content, "the fallback");
    const seen = await chat(neap, say("alone"));
    assert.equal(seen.status, 500, seen.text);
    assert.equal((await neap.line(seen)).policy, "raises");
    assert.equal((await figures()).policies_set_aside, 1, "every worker says so");
  }
  await until(() => set_aside(neap), "the line that says so");
  assert.equal(failures(neap), 5, "no worker ran it a sixth time");
  assert.equal(set_aside(neap), 1, "and it was said once");
  assert.doesNotMatch(JSON.stringify(await neap.health()), /raises/, "health needs no token");
  assert.equal(up.calls.length, 0, "the chain never ran without the policy");

  const from = neap.lines.length;
  await neap.reload();
  assert.equal((await figures()).policies_set_aside, 0);
  for (let turn = 0; turn < 10; turn++) await chat(neap, say("alone"));
  await until(() => set_aside(neap, from), "the line of the new generation");
  assert.equal(failures(neap, from), 5);
  neap.write("policies/raises.lua", says);
  await neap.reload();
  assert.equal((await chat(neap, say("alone"))).content, "the fallback", "the mended policy runs");
});

test("no body of a client sets aside a policy that looks into it", async (t) => {
  const up = await upstream(t);
  const neap = await serve(
    t,
    provider("a", up) + group("pool", ["a"], { policies: ["sticky", "priority_failover"] }),
    { first: { workers: 1 } },
  );
  const fillers = ["{}", '{"a":1}', "1", '"a"', "[]"];
  for (const one of fillers) {
    const more = `[${Array(Math.floor(1000000 / (one.length + 1))).fill(one)}]`;
    const body = `{"model":"pool","messages":[{"role":"user","content":"hi"}],"more":${more}}`;
    for (let round = 0; round < 2; round++) {
      const seen = await (await open(neap, "/v1/chat/completions", { body })).whole();
      assert.equal(seen.status, 200, seen.text);
    }
  }
  assert.ok(!/"area":"policy"/.test(neap.text()), neap.tail());
});

test("a done whose policy or group a reload took away is skipped and counted", async (t) => {
  const up = await upstream(t);
  const counts = policy(`function own:run(request, next) return next(request) end
function own:done() self.shared:add("done", 1) end`);
  const tells = policy(
    'function own:run(request) return request:reply("done: " .. (self.shared:get("done") or 0)) end\nfunction own:done() self.shared:add("done", 1) end',
  );
  const one = (policies, name = "pool") =>
    provider("a", up) +
    group(name, ["a"], { policies }) +
    group("other", ["a"], { policies: ["priority_failover"] });
  const neap = await serve(t, one(["counts"]), {
    files: { "policies/counts.lua": counts, "policies/tells.lua": tells },
    first: { workers: 2 },
  });
  const skipped = async () => (await neap.health()).neap.done_skipped;
  const begin = async (model) => {
    const go = latch();
    up.next(stream(role(), chunk("begin "), go, chunk("end"), finish(), DONE));
    const seen = await open_chat(neap, say(model, { stream: true }));
    await seen.has("begin ");
    return async () => {
      go.release();
      assert.equal((await seen.whole()).content, "begin end");
      await neap.line(seen);
    };
  };

  await t.test("the policy stays: nothing is skipped", async () => {
    const end = await begin("pool");
    await neap.reload();
    await end();
    assert.equal(await skipped(), 0);
  });

  await t.test("the policy is gone from the group", async () => {
    const end = await begin("pool");
    neap.configure(one(["priority_failover"]));
    await neap.reload();
    await end();
    await until(async () => (await skipped()) === 1, "one skipped");
  });

  await t.test("the group is gone", async () => {
    neap.configure(one(["counts"]));
    await neap.reload();
    const end = await begin("pool");
    neap.configure(one(["counts"], "renamed"));
    await neap.reload();
    await end();
    await until(async () => (await skipped()) === 2, "two skipped");
  });

  await t.test("a request without any done is not counted", async () => {
    up.always(answer("ok"));
    const end = await begin("other");
    neap.configure(provider("a", up) + group("renamed", ["a"], { policies: ["tells"] }));
    await neap.reload();
    await end();
    assert.equal(await skipped(), 2);
  });
});
