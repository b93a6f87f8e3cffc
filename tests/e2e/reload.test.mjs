/* SIGHUP: new requests get the new generation, and not one request is lost. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { chat, open, open_chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { is_sanitized, serve } from "./support/neap.mjs";
import { deep, latch, patience, until } from "./support/story.mjs";
import { DONE, answer, chunk, error, finish, role, stream, upstream } from "./support/upstream.mjs";

const ROUNDS = deep ? 1000 : 20;
const STREAMS = deep ? 1000 : 200;
const MIB = 1024 * 1024;

const POLICY = (note) => `local policy = require "neap.policy"
local own = policy.define { summary = "Passes on." }
function own:run(request, next)
  self:note("${note}")
  return next(request)
end
return own
`;

const CHAIN = { policies: ["own", "priority_failover", "key_rotation"] };

/* One step of the turn: what is written, and whether it is broken. */
const turns = (config) => [
  {
    files: [
      ["router.lua", config],
      ["policies/own.lua", POLICY("second text")],
    ],
  },
  {
    files: [["policies/own.lua", 'local policy = require "neap.policy"\nthis is no Lua\n']],
    broken: /own\.lua:2/,
  },
  { files: [["policies/own.lua", POLICY("first text")]] },
  {
    files: [["router.lua", `${config}group "broken" { nonsense = 1 }\n`]],
    broken: /router\.lua:\d+/,
  },
  { files: [["router.lua", `${config}group "extra" { targets = { { "a", "m" } } }\n`]] },
  {
    files: [["router.lua", `${config}error("stop here")\n`]],
    broken: /router\.lua:\d+.*stop here/,
  },
  {
    files: [
      ["policies/own.lua", "return 7\n"],
      ["router.lua", config],
    ],
    broken: /own\.lua/,
  },
];

async function turn(neap, { files, broken }) {
  for (const [name, text] of files) {
    if (name === "router.lua") neap.configure(text);
    else neap.write(name, text);
  }
  if (broken) await neap.reload_refused(broken);
  else await neap.reload();
}

/* Clients that ask without a pause until told to stop. Kept connections, streams and whole
 * answers in turn. */
function load(neap, count) {
  const state = { done: 0, failures: [], is_over: false };
  const agent = new http.Agent({ keepAlive: true, maxSockets: count });
  const client = async (index) => {
    for (let turn = index; !state.is_over; turn++) {
      const is_stream = turn % 2 === 0;
      try {
        const seen = await (
          await open(neap, "/v1/chat/completions", {
            agent,
            body: say("pool", { stream: is_stream }),
          })
        ).whole();
        if (seen.status !== 200 || !seen.is_complete || seen.content !== "under load") {
          state.failures.push(`${seen.status} ${seen.text}`);
        }
      } catch (failure) {
        state.failures.push(String(failure));
      }
      state.done++;
    }
  };
  const clients = Array.from({ length: count }, (_, index) => client(index));
  state.stop = async () => {
    state.is_over = true;
    await Promise.all(clients);
    agent.destroy();
    return state;
  };
  return state;
}

test(`${ROUNDS} reloads under load, good and broken in turn: no request fails, memory is flat`, async (t) => {
  const up = await upstream(t);
  up.always(answer("under load"));
  const config = provider("a", up) + group("pool", ["a"], CHAIN);
  const neap = await serve(t, config, { files: { "policies/own.lua": POLICY("first text") } });
  const steps = turns(config);

  const running = load(neap, 6);
  const memory = [];
  for (let round = 0; round < ROUNDS; round++) {
    await turn(neap, steps[round % steps.length]);
    up.calls.length = 0;
    memory.push(neap.rss());
  }
  const { done, failures } = await running.stop();
  t.diagnostic(
    `${done} requests, memory ${memory
      .map((bytes) => (bytes / MIB).toFixed(0))
      .filter((_, at) => at % Math.ceil(ROUNDS / 20) === 0)
      .join(" ")} MiB`,
  );
  assert.deepEqual(failures.slice(0, 5), [], `${failures.length} of ${done} requests failed`);
  assert.ok(done > ROUNDS, "there was load");

  /* The first third fills pools and caches; from then on it must not grow. */
  const settled = Math.max(...memory.slice(0, Math.ceil(ROUNDS / 3)));
  const last = memory.at(-1);
  assert.ok(
    is_sanitized || last < settled * 1.15 + 8 * MIB,
    `memory went from ${settled / MIB} to ${last / MIB} MiB`,
  );
});

test(`with ${STREAMS} long streams open`, async (t) => {
  const up = await upstream(t);
  const go = latch();
  const config =
    provider("a", up, { timeouts: { idle: 600, total: 600 } }) + group("pool", ["a"], CHAIN);
  const neap = await serve(t, config, {
    files: { "policies/own.lua": POLICY("first text") },
    env: { NEAP_DUMPABLE: "1" }, // else only root may count its descriptors
  });
  up.always(stream(role(), chunk("begin "), go, chunk("end"), finish(), DONE));
  const streams = await Promise.all(
    Array.from({ length: STREAMS }, () => open_chat(neap, say("pool", { stream: true }))),
  );
  await Promise.all(streams.map((seen) => seen.has("begin ")));

  const memory = [],
    fds = [];
  const steps = turns(config);
  for (let round = 0; round < ROUNDS; round++) {
    await turn(neap, steps[round % steps.length]);
    memory.push(neap.rss());
    fds.push(neap.fds());
  }
  up.always(answer("in between"));
  assert.equal((await chat(neap, say("pool"))).content, "in between");
  assert.ok(
    streams.every((seen) => !seen.is_closed),
    "no stream was cut",
  );
  go.release();
  await Promise.all(streams.map((seen) => seen.whole()));
  for (const seen of streams) {
    assert.equal(seen.content, "begin end");
    assert.equal(seen.events.at(-1), "[DONE]");
  }
  t.diagnostic(
    `memory ${memory
      .map((bytes) => (bytes / MIB).toFixed(0))
      .filter((_, at) => at % Math.ceil(ROUNDS / 20) === 0)
      .join(" ")} MiB`,
  );
  const settled = Math.max(...memory.slice(0, Math.ceil(ROUNDS / 3)));
  assert.ok(
    is_sanitized || memory.at(-1) < settled * 1.15 + 8 * MIB,
    `a native relay holds no generation: memory went from ${settled / MIB} to ${memory.at(-1) / MIB} MiB`,
  );
  assert.ok(
    fds.at(-1) <= Math.max(...fds.slice(0, 7)) + 4,
    `descriptors went from ${fds[0]} to ${fds.at(-1)}`,
  );
});

test("what a reload changes is in force at once, and a request ends on what it began with", async (t) => {
  const first = await upstream(t),
    second = await upstream(t),
    third = await upstream(t);
  const before = provider("a", first) + provider("b", second) + group("pool", ["a", "b"]);
  const neap = await serve(t, before);
  const go = latch();
  first.next(async () => {
    await go;
    return error(500, "ill");
  });
  const asked = open_chat(neap, say("pool"));
  await first.call(0);

  neap.configure(provider("c", third) + group("pool", ["c"]));
  await neap.reload();
  assert.equal((await chat(neap, say("pool"))).headers["x-neap-provider"], "c");
  go.release();
  const seen = await (await asked).whole();
  assert.equal(
    seen.headers["x-neap-provider"],
    "b",
    "the old request fails over to the old second target",
  );
  assert.equal(second.calls.length, 1);
});

test("watch: a file that changes is loaded, one that is still written is not", async (t) => {
  const rest = provider("a", await upstream(t)) + group("pool", ["a"]);
  const neap = await serve(t, rest, { first: { watch: true } });
  const answers = async (name) => assert.equal((await chat(neap, say(name))).status, 200);
  const becomes = (generation) =>
    until(
      async () => (await neap.generation()) === generation,
      () => `generation ${generation}; the log ends with\n${neap.tail()}`,
    );

  neap.configure(rest + group("second", ["a"]));
  await becomes(2);
  await answers("second");

  /* As an editor writes it: cut to nothing, then piece by piece. Its beginning alone would be
   * well, too. */
  neap.write("router.lua", "");
  await new Promise((resolve) => setTimeout(resolve, 400));
  await answers("second");
  let text = neap.first_line;
  for (const piece of [rest, group("third", ["a"]), "-- the end\n"])
    neap.write("router.lua", (text += piece));
  await becomes(3);
  await answers("third");
});

test(
  "a broken file says file, line and reason, and the old generation goes on",
  async (t) => {
    const up = await upstream(t);
    const config = provider("a", up) + group("pool", ["a"]);
    const neap = await serve(t, config);
    const breaks = [
      ["a syntax error", `${config}group "x" {\n`, /router\.lua:\d+/],
      [
        "an unknown field",
        `${config}group "x" { tragets = {} }\n`,
        /router\.lua:4.*tragets|tragets.*router\.lua:4/,
      ],
      ["an unknown word", `${config}gruop "x" {}\n`, /router\.lua:4.*gruop/],
      [
        "a policy that is not there",
        `${config}group "x" { policies = { "no_such_policy" }, targets = { { "a", "m" } } }\n`,
        /no_such_policy/,
      ],
      [
        "a provider that is not there",
        `${config}group "x" { targets = { { "no_such_provider", "m" } } }\n`,
        /no_such_provider/,
      ],
      [
        "two walkers of one thing",
        `${config}group "x" { policies = { "priority_failover", "priority_failover" }, targets = { { "a", "m" } } }\n`,
        /router\.lua:4/,
      ],
      ["a loop without an end", `${config}while true do end\n`, /router\.lua:4: stopped after/],
      [
        "a policy with a loop without an end",
        `${config}group "x" { policies = { "endless" } }\n`,
        /router\.lua:4: policies\/endless\.lua:2: stopped after/,
      ],
      [
        "a policy that catches what ends its loop",
        `${config}group "x" { policies = { "stubborn" } }\n`,
        /router\.lua:4: policies\/stubborn\.lua:2: stopped after/,
      ],
    ];
    neap.write("policies/endless.lua", "local at = 1\nwhile at do end\n");
    neap.write(
      "policies/stubborn.lua",
      "local function loop() while true do end end\nwhile true do pcall(loop) end\n",
    );
    for (const [name, text, pattern] of breaks) {
      await t.test(name, async () => {
        neap.configure(text);
        await neap.reload_refused(pattern);
        assert.equal((await chat(neap, say("pool"))).status, 200);
      });
    }
    neap.configure(config);
    await neap.reload();
  },
  { timeout: patience(60000) },
);
