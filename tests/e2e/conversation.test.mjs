/* Which conversation a request belongs to: told by the client, or guessed. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat } from "./support/client.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import { answer, error, upstream } from "./support/upstream.mjs";

const SECRETS = { ann: "secret-of-ann-0123456789", ben: "secret-of-ben-0123456789" };

const users = (...texts) =>
  texts.flatMap((content, index) => [
    ...(index ? [{ role: "assistant", content: "so it is" }] : []),
    { role: "user", content },
  ]);

async function pool(t, first = {}) {
  const up = await upstream(t);
  up.always(answer("hi"));
  const neap = await serve(
    t,
    provider("a", up) +
      group("pool", ["a"]) +
      Object.entries(SECRETS)
        .map(([name, secret]) => token(name, { secret }))
        .join(""),
    { first },
  );
  const ask = async (messages, { who = "ann", headers = {}, ...fields } = {}) => {
    const seen = await chat(
      neap,
      { model: "pool", messages, ...fields },
      { authorization: `Bearer ${SECRETS[who]}`, ...headers },
    );
    const id = seen.headers["x-conversation-id"];
    assert.ok(id, `the answer names its conversation: ${seen.status} ${seen.text}`);
    assert.equal((await neap.line(seen)).conversation, id);
    return id;
  };
  return { up, neap, ask };
}

test("the client tells", async (t) => {
  const { up, ask } = await pool(t);
  for (const stream of [false, true]) {
    const headers = { "x-conversation-id": `head-${stream}` };
    const metadata = { conversation_id: `meta-${stream}`, more: 1 };
    assert.equal(await ask(users("a"), { stream, headers }), `head-${stream}`);
    assert.equal(await ask(users("a"), { stream, metadata }), `meta-${stream}`);
    assert.deepEqual(up.last.json.metadata, metadata, "the body goes on as it came");
    assert.equal(await ask(users("a"), { stream, metadata, headers }), `head-${stream}`);
    assert.ok(!("x-conversation-id" in up.last.headers));
  }
});

test("neap guesses", async (t) => {
  const { up, ask } = await pool(t);
  const id = await ask(users("Where is the harbour?"));
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const next = users("Where is the harbour?", "And the station?");
  assert.equal(await ask(next, { stream: true }), id, "it goes on");
  assert.equal(await ask(next), id, "it is sent again");
  assert.equal(await ask(users("Where is the harbour, please?")), id, "nearly the same");
  assert.notEqual(await ask(users("Where is the station?")), id, "another");
  assert.notEqual(await ask(next, { who: "ben" }), id, "another's");
  up.next(error(500, "ill"));
  assert.equal(await ask(next), id, "a failure belongs to it, too");
});

test("neap does not guess where it must not", async (t) => {
  const { ask } = await pool(t, { guess_conversations: false });
  const id = await ask(users("Where is the harbour?"));
  assert.notEqual(await ask(users("Where is the harbour?")), id);
  const headers = { "x-conversation-id": "mine" };
  assert.equal(await ask(users("Where is the harbour?"), { headers }), "mine");
});

test("a long body is not looked at, and has a conversation all the same", async (t) => {
  const { ask } = await pool(t);
  const long = users("Where is the harbour? ".repeat(20_000));
  const id = await ask(long);
  assert.notEqual(await ask(long), id);
});
