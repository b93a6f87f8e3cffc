/* A name server that does not answer holds up nobody but who asked for that name. */
import test from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { chat, say, start } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { folder, until, within } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

test("a mute name server", async (t) => {
  const shim = path.join(folder(t), "mute_resolver.so");
  execFileSync("cc", [
    "-shared",
    "-fPIC",
    "-D_GNU_SOURCE",
    "-o",
    shim,
    path.join(import.meta.dirname, "support/mute_resolver.c"),
    "-ldl",
  ]);
  const up = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("good", up),
      provider("mute", "http://provider.mute.test/v1", { timeouts: { connect: 1 } }),
      provider("forever", "http://other.mute.test/v1", { timeouts: { connect: 60 } }),
      group("good", ["good"]),
      group("mute", ["mute"]),
      group("forever", ["forever"]),
      group("moves_on", ["mute", "good"]),
    ].join(""),
    {
      env: {
        LD_PRELOAD: shim,
        ASAN_OPTIONS: `verify_asan_link_order=0:${process.env.ASAN_OPTIONS ?? ""}`,
      },
      first: { workers: 1 },
    },
  );

  await t.test("the connect timer ends the attempt: 502", async () => {
    const start = performance.now();
    const seen = await chat(neap, say("mute"));
    const took = performance.now() - start;
    assert.equal(seen.status, 502, seen.text);
    assert.match((await neap.line(seen)).attempts[0].failure, /connect|timeout/);
    assert.ok(took < 1000 + within(400), `it took ${took} ms`);
  });

  await t.test("the next target answers", async () => {
    assert.equal((await chat(neap, say("moves_on"))).status, 200);
  });

  await t.test(
    "while 20 requests wait for it, others are served at once by the same worker",
    async () => {
      const waiting = Array.from({ length: 20 }, () =>
        start(neap, "/v1/chat/completions", { body: say("forever") }),
      );
      await until(
        async () => (await neap.open()).attempts >= 20,
        "20 attempts to wait for the name server",
      );
      const times = [];
      for (let round = 0; round < 50; round++) {
        const begin = performance.now();
        assert.equal((await chat(neap, say("good"))).status, 200);
        times.push(performance.now() - begin);
      }
      times.sort((a, b) => a - b);
      t.diagnostic(`median ${times[25].toFixed(1)} ms, slowest ${times[49].toFixed(1)} ms`);
      assert.ok(times[49] < within(200), `the slowest of 50 took ${times[49]} ms`);

      for (const each of waiting) each.leave();
      await until(
        async () => (await neap.open()).attempts === 0,
        "the attempts to be aborted although their names never came",
      );
    },
  );

  await t.test("a reload and the end do not wait for it either", async () => {
    const waiting = start(neap, "/v1/chat/completions", { body: say("forever") });
    await until(
      async () => (await neap.open()).attempts >= 1,
      "an attempt to wait for the name server",
    );
    await neap.reload();
    waiting.leave();
  });
});

test("a name that does not exist: 502 connect", async (t) => {
  const neap = await serve(
    t,
    provider("a", "http://no-such-host.invalid/v1") + group("pool", ["a"]),
  );
  const seen = await chat(neap, say("pool"));
  assert.equal(seen.status, 502, seen.text);
  assert.equal((await neap.line(seen)).attempts[0].failure, "connect");
});
