/* keyword_retry: an answer that is none, told by its words. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { group, provider, use } from "./support/lua.mjs";
import { serve } from "./support/neap.mjs";
import {
  DONE,
  answer,
  chunk,
  completion,
  error,
  finish,
  reply,
  role,
  stream,
  talk,
  upstream,
} from "./support/upstream.mjs";

const KEYWORDS = ["quota exceeded", "übergröße"];

test("keywords", async (t) => {
  const first = await upstream(t),
    second = await upstream(t);
  second.always(answer("from the second"));
  const policies = [
    "priority_failover",
    "key_rotation",
    use("keyword_retry", { keywords: KEYWORDS }),
  ];
  const neap = await serve(
    t,
    [
      provider("a", first),
      provider("b", second),
      group("pool", ["a", "b"], { policies }),
      group("alone", ["a"], { policies }),
    ].join(""),
  );

  const hits = {
    "the body of a 400": [error(400, "your Quota Exceeded, sorry"), false],
    "the body of a 400, escaped": [
      reply(400, '{"error":{"message":"Wegen \\u00dcbergr\\u00f6\\u00dfe."}}'),
      false,
    ],
    "the beginning of a whole answer of 400 KiB": [
      reply(200, completion(`Sorry: quota exceeded. ${"x".repeat(400 * 1024)}`)),
      false,
    ],
    "a whole answer": [reply(200, completion("Sorry: quota exceeded.")), false],
    "a whole answer that spells it with escapes": [
      reply(
        200,
        JSON.stringify(completion("Sorry: quota exceeded.")).replace("quota", "\\u0071uota"),
      ),
      false,
    ],
    "an umlaut, escaped in the document": [
      reply(
        200,
        JSON.stringify(completion("Wegen Übergröße."))
          .replace("Ü", "\\u00dc")
          .replace("ö", "\\u00f6"),
      ),
      false,
    ],
    "one event of a stream": [talk("quota exceeded"), true],
    "the border of two events": [talk("Sorry: quo", "ta exceeded", " today"), true],
    "many small events": [talk(..."quota exceeded"), true],
    "text with a role and an empty piece before it": [
      stream(role(), chunk(""), chunk("quota "), chunk("exceeded"), finish(), DONE),
      true,
    ],
  };
  for (const [name, [script, is_stream]] of Object.entries(hits)) {
    await t.test(`found in ${name}: the next target answers`, async () => {
      first.forget();
      first.next(script);
      const seen = await chat(neap, say("pool", { stream: is_stream }));
      assert.equal(seen.status, 200, seen.text);
      assert.equal(seen.content.trim(), "from the second");
      assert.equal(first.calls.length, 1);
      const line = await neap.line(seen);
      assert.match(
        String(line.attempts[0].failure ?? line.attempts[0].status),
        /keyword/,
        JSON.stringify(line.attempts),
      );
    });
  }

  await t.test("words that only look alike pass", async () => {
    first.next(talk("quota", " was not ", "exceeded"));
    assert.equal(
      (await chat(neap, say("pool", { stream: true }))).content,
      "quota was not exceeded",
    );
  });

  await t.test("an answer that is shorter than what is looked at passes whole", async () => {
    first.next(talk("Hi"));
    assert.equal((await chat(neap, say("pool", { stream: true }))).content, "Hi");
    first.next(reply(200, completion("Hi")));
    assert.equal((await chat(neap, say("pool"))).content, "Hi");
  });

  await t.test("a whole answer of 400 KiB without one passes whole", async () => {
    const text = `${"x".repeat(400 * 1024)} quota exceeded`;
    first.next(reply(200, completion(text)));
    assert.equal((await chat(neap, say("pool"))).content, text);
  });

  await t.test("found in the last target: 502", async () => {
    first.next(talk("quota exceeded"));
    const seen = await chat(neap, say("alone", { stream: true }));
    assert.equal(seen.status, 502, seen.text);
    assert.equal(seen.headers["x-should-retry"], "false");
    assert.equal(seen.json.error.type, "server_error");
  });
});
