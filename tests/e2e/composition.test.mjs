/* The four basic policies, composed in each of the 24 orders, through the real host. The
 * cases are those of tests/policies/composition.json, which tests/lua/composition_test.lua
 * runs in the harness: both must come out the same. */
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chat, say } from "./support/client.mjs";
import { group, lua, provider, raw, use } from "./support/lua.mjs";
import { root, run, serve } from "./support/neap.mjs";
import { folder } from "./support/story.mjs";
import { answer, reply, upstream } from "./support/upstream.mjs";

const cases = JSON.parse(readFileSync(path.join(root, "tests/policies/composition.json"), "utf8"));

const orders_of = (list) =>
  list.length === 0
    ? [[]]
    : list.flatMap((first) =>
        orders_of(list.filter((one) => one !== first)).map((rest) => [first, ...rest]),
      );

const orders = orders_of(Object.keys(cases.policies));
const refusals_of = (order) =>
  cases.rules
    .filter(({ outer, inner }) => order.indexOf(inner) < order.indexOf(outer))
    .map(({ refusal }) => refusal)
    .sort();
const allowed = orders.filter((order) => refusals_of(order).length === 0);

const chain = (order) => order.map((name) => use(name, cases.policies[name]));

test("orders that make no sense are refused, each with every reason", async (t) => {
  // One group to a line: what is said of a line is said of its order.
  const refused = orders.filter((order) => refusals_of(order).length > 0);
  const lines = refused.map((order, index) =>
    `group "g${index}" { policies = ${lua(chain(order))}, targets = { { "a", "m" } } }`,
  );
  const file = path.join(folder(t), "router.lua");
  writeFileSync(file, [...lines, provider("a", "http://127.0.0.1:1/v1")].join("\n"));
  const ended = await run(t, ["check", "-c", file]);
  assert.equal(ended.code, 78, ended.text);
  refused.forEach((order, index) => {
    const said = ended.text
      .split("\n")
      .flatMap((line) => new RegExp(`router\\.lua:${index + 1}: (.*)`).exec(line)?.[1] ?? []);
    for (const refusal of refusals_of(order)) {
      assert.ok(
        said.some((text) => text.includes(refusal)),
        `${order.join(", ")}: ${refusal}\nis not among\n${said.join("\n")}`,
      );
    }
    assert.equal(said.length, refusals_of(order).length, `${order}\n${said.join("\n")}`);
  });
});

/* What a scripted answer is on the wire. */
const script = ({ text, status, headers, body = "{}" }) =>
  text === undefined ? reply(status, body, headers) : answer(text);

test("orders that make sense answer as they do in the harness", async (t) => {
  /* Each run has providers and keys of its own, for their state is the process's. The key
   * that comes says which run it is: sk-<run>-<provider>-<key>. */
  const runs = allowed.flatMap((order) =>
    cases.stories.flatMap((story) =>
      [false, true].map((is_stream) => ({ order, story, is_stream })),
    ),
  );
  const up = await upstream(t);
  up.always((call) => {
    const [, index, at, key] = call.key.split("-");
    const scripted = script(runs[index].story.answers[at][key]);
    return typeof scripted === "function" ? scripted(call) : scripted;
  });
  const config = runs.map(({ order }, index) => {
    const providers = Object.entries(cases.providers).map(([name, keys]) =>
      provider(`${name}${index}`, up, {
        keys: keys.map((key) =>
          raw(lua({ ...key, secret: `sk-${index}-${name}-${key.id}-a-secret` })),
        ),
      }),
    );
    const targets = Object.keys(cases.providers).map((name) => `${name}${index}`);
    return providers.join("") + group(`g${index}`, targets, { policies: chain(order) });
  });
  const neap = await serve(t, config.join(""));

  for (const [index, { order, story, is_stream }] of runs.entries()) {
    const name = `${order.join(", ")}: ${story.name}${is_stream ? " (streamed)" : ""}`;
    await t.test(name, async () => {
      const is_outermost = order[0] === "keyword_retry" && story.expected_outermost;
      for (const want of is_outermost ? story.expected_outermost : story.expected) {
        const seen = await chat(neap, say(`g${index}`, { stream: is_stream }));
        assert.equal(seen.status, want.status, seen.text);
        if (want.text) assert.equal(seen.content, want.text);
        assert.equal(seen.headers["retry-after"], want.retry_after);
        const { attempts } = await neap.line(seen);
        const plain = (target) => target.replace(String(index), "");
        assert.deepEqual(
          attempts.map((one) => `${plain(one.target)} ${one.failure ?? one.status}`),
          want.tried,
        );
        assert.deepEqual(
          attempts.map((one) => one.key),
          want.keys,
        );
      }
    });
  }
});
