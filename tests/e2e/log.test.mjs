/* One line for each request. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, chat_bytes, say, wire } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { error, talk, upstream } from "./support/upstream.mjs";

const SECRET = "client-secret-0123456789";

test("the line of a request has everything", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  const neap = await serve(
    t,
    [
      provider("a", first, { keys: [{ secret: "sk-first-0123456789", id: "key-a" }] }),
      provider("b", second, { keys: [{ secret: "sk-second-0123456789", id: "key-b" }] }),
      group("pool", [
        { provider: "a", model: "model-a" },
        { provider: "b", model: "model-b" },
      ]),
      token("laptop", { secret: SECRET, groups: ["pool"] }),
    ].join(""),
  );
  first.next(error(503, "later"));
  second.next(talk("hi"));
  const seen = await chat(neap, say("pool", { stream: true }), {
    authorization: `Bearer ${SECRET}`,
    "x-request-id": "story-1",
  });
  assert.equal(seen.status, 200, seen.text);
  const line = await neap.line("story-1");

  assert.ok(!Number.isNaN(Date.parse(line.time)), `time: ${line.time}`);
  assert.equal(line.level, "info");
  assert.equal(line.token, "laptop");
  assert.equal(line.group, "pool");
  assert.equal(line.model, "pool", "model is what the client named");
  assert.equal(line.target_model, "model-b");
  assert.equal(line.provider, "b");
  assert.equal(line.key, "key-b");
  assert.equal(line.status, 200);
  assert.equal(line.outcome, "ok");
  assert.equal(line.stream, true);
  assert.ok(line.ms >= line.first_event_ms && line.first_event_ms >= 0, JSON.stringify(line));
  assert.ok(line.generation >= 1);
  assert.ok(
    Object.values(line.usage).includes(9) && Object.values(line.usage).includes(2),
    JSON.stringify(line.usage),
  );
  assert.equal(line.attempts.length, 2);
  assert.equal(line.attempts[0].status, 503);
  assert.equal(line.attempts[0].key, "key-a");
  assert.match(line.attempts[0].target, /a/);
  assert.ok(line.attempts.every((attempt) => attempt.ms >= 0));
  assert.equal(line.attempts[1].key, "key-b");

  await t.test("exactly one for each request, refused ones too", async () => {
    await chat(neap, say("pool"), { "x-request-id": "story-2" });
    await chat(neap, "{", { authorization: `Bearer ${SECRET}`, "x-request-id": "story-3" });
    await chat(neap, say("nothing"), {
      authorization: `Bearer ${SECRET}`,
      "x-request-id": "story-4",
    });
    for (const [id, status] of [
      ["story-2", 401],
      ["story-3", 400],
      ["story-4", 404],
    ]) {
      const refused = await neap.line(id);
      assert.equal(refused.status, status);
      assert.equal(refused.attempts?.length ?? 0, 0);
    }
    const ids = neap
      .requests()
      .map((each) => each.id)
      .filter((id) => id.startsWith("story-"));
    assert.deepEqual(ids.toSorted(), ["story-1", "story-2", "story-3", "story-4"]);
  });

  await t.test("what a client sends can not break the line", async () => {
    const name = 'x"},{\u2028\\" ümlaut';
    await chat(neap, say(name), { authorization: `Bearer ${SECRET}`, "x-request-id": "story-5" });
    assert.equal((await neap.line("story-5")).model, name);
  });

  assert.ok(!/sk-first|sk-second|client-secret/.test(neap.text()), "no secret in the log");
});

test("a body that comes slowly, or never", async (t) => {
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up) + group("pool", ["a"]));
  const bytes = chat_bytes(say("pool"), { "x-request-id": "story-1" });

  await t.test("its time is the request's", async () => {
    const client = await wire(t, neap.port);
    client.send(bytes.subarray(0, bytes.length - 5));
    await until(
      async () => (await neap.open()).requests > neap.idle.requests,
      () => "the request to be open",
    );
    const since = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const waited = performance.now() - since;
    client.send(bytes.subarray(bytes.length - 5));
    await client.has(/^HTTP\/1\.1 200 /);
    const line = await neap.line("story-1");
    assert.ok(line.ms >= Math.floor(waited), `${line.ms} ms, and ${waited} were waited`);
  });

  await t.test("the client leaves before it is whole: a line, too", async () => {
    const client = await wire(t, neap.port);
    client.send(bytes.toString().replace("story-1", "story-2").slice(0, -5));
    await until(
      async () => (await neap.open()).requests > neap.idle.requests,
      () => "the request to be open",
    );
    client.socket.destroy();
    const line = await neap.line("story-2");
    assert.equal(line.status, 499);
    assert.equal(line.outcome, "aborted");
    assert.match(line.error, /left/);
    assert.equal(up.calls.length, 1, "and no provider heard of it");
  });
});

test("as text: what a client sends breaks no line and moves no cursor", async (t) => {
  const neap = await serve(t, "", { first: { log: '{ format = "text" }' } });
  const name = "a\nb\r\u001b[31m\u007f\u009b2Jc ümlaut";
  const seen = await chat(neap, say(name), { "x-request-id": "story-1" });
  assert.equal(seen.status, 404, seen.text);
  const line = await neap.says(/request story-1 /);
  assert.ok(line.includes("- a\\x0ab\\x0d\\x1b[31m\\x7f\\x9b2Jc ümlaut -> -"), line);
  assert.ok(!neap.lines.some((other) => other.startsWith("b")), neap.text());
});
