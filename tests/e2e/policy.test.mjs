/* A policy of the user's own, and what a bad one can not do to others. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, open_chat, say, start } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { is_sanitized, serve } from "./support/neap.mjs";
import { latch, until, within } from "./support/story.mjs";
import { DONE, answer, chunk, error, finish, role, stream, talk, upstream } from "./support/upstream.mjs";

const policy = (run) => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
${run}
end
return own
`;

/* name: the body of its run. */
const policies = {
  passes: "  return next(request)",
  decodes: "  request:json()\n  return next(request)",
  decodes_with_care:
    "  local ok, problem = pcall(request.json, request)\n  self:note(\"%s\", problem)\n  return next(request)",
  replies: '  return request:reply("made here: " .. request.model)',
  refuses: '  return request:refuse(418, "not today")',
  narrows: `  for _, target in ipairs(request.targets) do
    if target.provider == "b" then return next(request:with { target = target }) end
  end
  return request:refuse(503, "no b")`,
  sets: '  return next(request:with { set = { temperature = 0.5, user = "somebody" } })',
  wants_whole: "  return next(request:with { set = { stream = false } })",
  wants_stream: "  return next(request:with { set = { stream = true } })",
  sleeps: "  self:sleep(1)\n  return next(request)",
  sleeps_long: "  self:sleep(60)\n  return next(request)",
  tries_twice: `  local first = next(request)
  if first.status == 500 then
    self:note("again after %d", first.status)
    return next(request)
  end
  return first`,
  raises: '  error("this policy is broken")',
  returns_nothing: "  next(request)",
  returns_rubbish: "  return 7",
  loops: "  while true do end",
  loops_in_pcall: "  while true do pcall(function() while true do end end) end",
  loops_in_pattern: '  return ("a"):rep(10000):find(("a*"):rep(30) .. "b")',
  eats_memory: '  local t = {}\n  for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end',
  reps: '  return ("x"):rep(1e9)',
  writes_globals: "  escaped = 1\n  return next(request)",
  looks_for_io:
    "  return request:reply(tostring(io) .. tostring(os) .. tostring(load) .. tostring(debug) .. tostring(coroutine) .. tostring(ffi) .. tostring(_G))",
};

test("policies of the user's own", async (t) => {
  const a = await upstream(t),
    b = await upstream(t);
  const files = {},
    groups = [];
  for (const [name, run] of Object.entries(policies)) {
    files[`policies/${name}.lua`] = policy(run);
    groups.push(group(name, ["a", "b"], { policies: [name] }));
  }
  const neap = await serve(t, provider("a", a) + provider("b", b) + groups.join(""), {
    files,
    first: { workers: 1 },
  });
  const ask = (name, fields) => chat(neap, say(name, fields));

  await t.test("passes on: the innermost step takes the first target", async () => {
    assert.equal((await ask("passes")).headers["x-neap-provider"], "a");
  });

  await t.test("replies, whole and streamed", async () => {
    assert.match((await ask("replies")).content, /^made here: /);
    const seen = await ask("replies", { stream: true });
    assert.match(seen.content, /^made here: /);
    assert.equal(seen.events.at(-1), "[DONE]");
  });

  await t.test("refuses in the client's dialect", async () => {
    const seen = await ask("refuses");
    assert.equal(seen.status, 418);
    assert.match(seen.json.error.message, /not today/);
  });

  await t.test("narrows to a target", async () => {
    assert.equal((await ask("narrows")).headers["x-neap-provider"], "b");
  });

  await t.test("sets top-level members", async () => {
    await ask("sets", { temperature: 1 });
    assert.deepEqual(a.last.json, { ...say("m"), temperature: 0.5, user: "somebody" });
  });

  await t.test("sets whether the provider streams: the client gets what it asked for", async () => {
    const usage = { stream_options: { include_usage: true } };
    for (const fields of [{}, usage]) {
      a.next(answer("as a whole"));
      const seen = await ask("wants_whole", { stream: true, ...fields });
      assert.equal(seen.content, "as a whole");
      assert.equal(a.last.json.stream, false);
      assert.ok(!a.last.json.stream_options, "an option of streams alone");
      assert.equal(a.last.header("accept"), "application/json");
      const last = JSON.parse(seen.events.at(-2));
      assert.equal(last.usage?.total_tokens, fields === usage ? 11 : undefined);
    }
    a.next(talk("in", " pieces"));
    const seen = await ask("wants_stream");
    assert.equal(seen.json.choices[0].message.content, "in pieces");
    assert.equal(seen.json.usage.total_tokens, 11);
    assert.deepEqual([a.last.json.stream, a.last.json.stream_options], [true, usage.stream_options]);
    assert.equal(a.last.header("accept"), "text/event-stream");
  });

  await t.test("a body too long to be decoded is the client's fault, not the policy's", async () => {
    const long = { user: "x".repeat(1024 * 1024) };
    const before = a.calls.length;
    // More often than a policy may fail before it is set aside.
    for (let turn = 0; turn < 8; turn++) {
      const seen = await ask("decodes", long);
      assert.equal(seen.status, 413, seen.text);
      assert.match(seen.json.error.message, /longer than 1 MiB/);
      assert.equal(seen.json.error.type, "invalid_request_error");
    }
    assert.equal(a.calls.length, before, "no provider was asked");
    assert.equal((await ask("decodes")).status, 200, "the policy is not set aside");
    assert.ok(!/decodes is set aside|decodes: .*1 MiB/.test(neap.text()), neap.tail());
  });

  await t.test("so is a body that is broken deep inside", async () => {
    const broken = JSON.stringify(say("decodes", { user: { n: 0 } })).replace('"n":0', '"n":01');
    const seen = await chat(neap, broken);
    assert.equal(seen.status, 400, seen.text);
    assert.match(seen.json.error.message, /no JSON|not valid JSON/);
  });

  await t.test("a policy that catches it goes on", async () => {
    const seen = await ask("decodes_with_care", { user: "x".repeat(1024 * 1024) });
    assert.equal(seen.status, 200, seen.text);
  });

  await t.test("sleeps without holding up others", async () => {
    let is_awake = false;
    const sleeping = ask("sleeps").finally(() => {
      is_awake = true;
    });
    await ask("passes");
    assert.ok(!is_awake, "the other request did not wait");
    assert.equal((await sleeping).status, 200);
  });

  await t.test("a client that leaves in a sleep leaves nothing behind", async () => {
    const asked = start(neap, "/v1/chat/completions", { body: say("sleeps_long") });
    await until(
      async () => (await neap.open()).requests > neap.idle.requests,
      "the request to sleep",
    );
    asked.leave();
    await neap.settled();
  });

  await t.test("tries twice: the attempt before is closed", async () => {
    const before = a.calls.length;
    a.next(error(500, "ill"));
    const seen = await ask("tries_twice");
    assert.equal(seen.status, 200);
    assert.equal(seen.headers["x-neap-attempts"], "2");
    assert.equal(a.calls.length, before + 2);
  });

  for (const name of ["raises", "returns_nothing", "returns_rubbish"]) {
    await t.test(`${name}: 500, and the log says where`, async () => {
      const from = neap.lines.length;
      const seen = await ask(name);
      assert.equal(seen.status, 500, seen.text);
      assert.equal(seen.json.error.type, "server_error");
      assert.ok(!seen.text.includes("policies/"), "the client learns nothing about the inside");
      await neap.says(new RegExp(name), from);
      if (name === "raises")
        await neap.says(
          /raises\.lua:4.*this policy is broken|this policy is broken.*raises\.lua:4/,
          from,
        );
    });
  }

  for (const name of ["loops", "loops_in_pcall", "loops_in_pattern", "eats_memory", "reps"]) {
    await t.test(`${name}: stopped, and the worker goes on`, async () => {
      const begin = performance.now();
      const bad = ask(name);
      const good = ask("passes");
      assert.equal((await good).status, 200);
      const seen = await bad;
      const took = performance.now() - begin;
      assert.equal(seen.status, 500, seen.text);
      t.diagnostic(`${name}: ${took.toFixed(0)} ms`);
      assert.ok(took < within(name === "eats_memory" ? 400 : 200), `it took ${took} ms`);
    });
  }

  await t.test("writes no globals", async () => {
    const seen = await ask("writes_globals");
    assert.equal(seen.status, 500, seen.text);
  });

  await t.test("sees no io, os, load, debug, coroutine, ffi, _G", async () => {
    const seen = await ask("looks_for_io");
    if (seen.status === 200) assert.equal(seen.content, "nil".repeat(7));
    else assert.equal(seen.status, 500);
  });

  await t.test("after all that requests pass as before", async () => {
    for (let round = 0; round < 10; round++) {
      assert.equal((await ask("passes")).status, 200);
      assert.match(
        (await (await open_chat(neap, say("passes", { stream: true }))).whole()).text,
        /\[DONE\]/,
      );
    }
  });
});

test(
  "a policy that keeps more and more: its worker gets a new state, no request is without its line",
  { skip: is_sanitized && "their memory is larger than its limit" },
  async (t) => {
    const up = await upstream(t);
    const keeps = policy('  kept[#kept + 1] = ("x"):rep(5e6) .. #kept\n  return next(request)');
    const neap = await serve(
      t,
      provider("a", up) +
        group("full", ["a"], { policies: ["keeps"], fallback: ["priority_failover"] }) +
        group("pool", ["a"]),
      {
        first: { workers: "1" },
        files: { "policies/keeps.lua": keeps.replace("function", "local kept = {}\nfunction") },
      },
    );
    const before = await neap.generation();
    const ids = [];
    const ask = async (model) => {
      const seen = await chat(neap, say(model));
      ids.push(seen.headers["x-request-id"]);
      return seen.status;
    };
    await until(
      async () => {
        await ask("full");
        assert.equal(await ask("pool"), 200);
        return (await neap.generation()) !== before;
      },
      () => `a load because of the full state; the log ends with\n${neap.tail()}`,
    );
    await neap.says(/worker=0 the memory of its Lua state is full/);
    assert.equal(await ask("full"), 200);
    for (const id of ids) await neap.line(id);
  },
);

test("what run remembers of a request, done finds: of its own one", async (t) => {
  const a = await upstream(t);
  const recalls = `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
  if request.headers.tell then
    return request:reply(tostring(self.shared:get(request.headers.tell)))
  end
  self:remember(request.headers.who)
  self:note("%s", request.headers.who)
  return next(request)
end
function own:done() if self:remembered() then self.shared:add(self:remembered(), 1) end end
return own
`;
  const neap = await serve(
    t,
    provider("a", a) + group("pool", ["a"], { policies: ["recalls"] }),
    { files: { "policies/recalls.lua": recalls }, first: { workers: 1 } },
  );
  const told = async (who) => (await chat(neap, say("pool"), { tell: who })).content;
  const is_told = (who) => until(async () => (await told(who)) === "1", `the done of ${who}`);
  const begin = async (who) => {
    const go = latch();
    a.next(stream(role(), chunk("begin "), go, chunk("end"), finish(), DONE));
    const seen = await open_chat(neap, say("pool", { stream: true }), { who });
    await seen.has("begin ");
    return { go, seen };
  };

  const whole = await chat(neap, say("pool"), { who: "whole", "x-neap-trace": "1" });
  assert.match(whole.headers["x-neap-trace"], /^whole \[policies\/recalls\.lua:8\]; /);
  await is_told("whole");

  const streamed = await begin("streamed"),
    beside = await begin("beside"),
    reloaded = await begin("reloaded");
  for (const { go, seen } of [beside, streamed]) {
    go.release();
    await seen.whole();
  }
  await is_told("streamed");
  await is_told("beside");
  await neap.reload();
  reloaded.go.release();
  await reloaded.seen.whole();
  await is_told("reloaded");
});

test("a done that never ends is stopped, named, and keeps no other from running", async (t) => {
  const a = await upstream(t);
  const counts = `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
  return request.headers.tell and request:reply(tostring(self.shared:get("n"))) or next(request)
end
function own:done(request) if not request.headers.tell then self.shared:add("n", 1) end end
return own
`;
  const loops = policy("  return next(request)").replace(
    "return own",
    "function own:done() while true do pcall(function() while true do end end) end end\nreturn own",
  );
  const neap = await serve(
    t,
    provider("a", a, { forward: ["tell"] }) + group("pool", ["a"], { policies: ["counts", "loops"] }),
    { files: { "policies/counts.lua": counts, "policies/loops.lua": loops } },
  );
  assert.equal((await chat(neap, say("pool"))).status, 200);
  await neap.says(/"area":"policy","message":"loops: done: .*stopped after/);
  await until(
    async () => (await chat(neap, say("pool"), { tell: "1" })).content === "1",
    () => "the outer policy's done",
  );
});

test("the user's policy goes before the one that is shipped under the same name", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"], { policies: ["echo"] }), {
    files: { "policies/echo.lua": policy('  return request:reply("mine")') },
  });
  assert.equal((await chat(neap, say("pool"))).content, "mine");
});

test("settings are checked at load: file, line and name", async (t) => {
  const up = await upstream(t);
  const config = (settings) => `${provider("a", up)}group "pool" {
  policies = { "priority_failover", use("key_rotation", ${settings}) },
  targets = { { "a", "m" } },
}\n`;
  const neap = await serve(t, config("{ tries = 2 }"));
  for (const [name, settings] of [
    ["tires", "{ tires = 2 }"],
    ["tries", '{ tries = "many" }'],
    ["tries", "{ tries = -1 }"],
  ]) {
    neap.configure(config(settings));
    await neap.reload_refused(
      new RegExp(`router\\.lua:[345].*${name}|${name}.*router\\.lua:[345]`),
    );
  }
  assert.equal((await chat(neap, say("pool"))).status, 200);
});
