/* neap explain: a dry run of one request by the program itself. */
import test from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { say } from "./support/client.mjs";
import { group, provider, raw, token, use } from "./support/lua.mjs";
import { binary, root, run } from "./support/neap.mjs";
import { folder } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

const policy = (body) => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
${body}
end
return own
`;

/* A folder with router.lua and policies; ask() explains a request in it. */
function place(t, config, policies = {}) {
  const home = folder(t);
  mkdirSync(path.join(home, "policies"));
  writeFileSync(path.join(home, "router.lua"), config);
  for (const [name, body] of Object.entries(policies))
    writeFileSync(path.join(home, "policies", `${name}.lua`), policy(body));
  const ask = (body, ...args) => {
    writeFileSync(path.join(home, "request.json"), JSON.stringify(body));
    return run(t, ["explain", ...args, "request.json"], { cwd: home });
  };
  return { home, ask };
}

test("chain, targets and what would be tried, and no provider is asked", async (t) => {
  const a = await upstream(t),
    b = await upstream(t);
  const { home, ask } = place(
    t,
    provider("a", a, { keys: [{ secret: "sk-first-secret", id: "k1" }, "sk-second-secret"] }) +
      provider("b", b) +
      group("pool", ["a", "b"], {
        policies: raw(`{ "priority_failover", ${use("key_rotation", { tries: 1 }).text} }`),
      }) +
      token("laptop", { secret: "a-token-of-the-laptop", groups: ["pool"] }),
  );
  const told = await ask(say("pool"), "--answer", "429");
  assert.equal(told.code, 0, told.text);
  assert.equal(told.stderr, "");
  for (const pattern of [
    /^pool is the group pool$/m,
    /^ {2}1 {2}priority_failover {2}/m,
    /^ {7}tries = 1 \(default: 2\)$/m,
    /^ {2}1 {2}a\/m: priority 1, ready$/m,
    /^ {7}keys, in turn: k1, a-2$/m,
    /^ {2}2 {2}b\/m: priority 2, ready \(behind: priority 2 after 1\)$/m,
    /attempt 1: a\/m with key k1: 429\n.*k1: its rate is limited \(429\) \[policies\/[\w/]+\.lua:\d+\]/,
    /attempt 2: b\/m with key b-1: 429/,
    /^ {2}The client gets 429/m,
  ])
    assert.match(told.stdout, pattern);
  assert.doesNotMatch(told.text, /secret|a-token-of-the-laptop/);
  assert.equal(a.calls.length + b.calls.length, 0, "nothing was sent");
  assert.deepEqual(readdirSync(home).sort(), ["policies", "request.json", "router.lua"]);
  assert.ok(!existsSync(path.join(home, "data")), "no storage is made");

  await t.test("the same again is the same: no state is kept", async () => {
    assert.equal((await ask(say("pool"), "--answer", "429")).stdout, told.stdout);
  });

  await t.test("as JSON, for a token, with answers in turn", async () => {
    const args = ["--json", "--token", "laptop", "--answer", "500", "--answer", "200"];
    const found = JSON.parse((await ask(say("pool"), ...args)).stdout);
    assert.deepEqual(
      found.attempts.map((each) => `${each.target} ${each.key} ${each.status}`),
      ["a/m k1 500", "b/m b-1 200"],
    );
    assert.equal(found.result.status, 200);
    assert.equal(found.token, "laptop");
  });

  await t.test("from stdin", () => {
    const ended = spawnSync(binary, ["explain", "-"], {
      cwd: home,
      input: JSON.stringify(say("b/other")),
      encoding: "utf8",
    });
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /^b\/other is one provider's model/);
  });

  await t.test("exit codes, each with a reason on stderr", async () => {
    for (const [code, pattern, body, ...args] of [
      [1, /"nothing"/, say("nothing")],
      [1, /may not use "a\/m"/, say("a/m"), "--token", "laptop"],
      [1, /names no model/, {}],
      [2, /no token "nobody"/, say("pool"), "--token", "nobody"],
      [2, /is no answer/, say("pool"), "--answer", "maybe"],
      [2, /is no header/, say("pool"), "--header", "nonsense"],
      [2, /"--nonsense" means nothing/, say("pool"), "--nonsense"],
      [2, /"request\.json" is one request too many/, say("pool"), "more.json"],
      [78, /nowhere\.lua/, say("pool"), "-c", "nowhere.lua"],
    ]) {
      const ended = await ask(body, ...args);
      assert.equal(ended.code, code, `${args.join(" ")}: ${ended.text}`);
      assert.match(ended.stderr, pattern);
      assert.equal(ended.stdout, "");
    }
    assert.equal((await run(t, ["explain"], { cwd: home })).code, 2);
    const missing = await run(t, ["explain", "not-there.json"], { cwd: home });
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /not-there\.json: No such file/);
    writeFileSync(path.join(home, "broken.lua"), "nonsense = 1\n");
    const broken = await ask(say("pool"), "-c", "broken.lua");
    assert.equal(broken.code, 78);
    assert.match(broken.stderr, /broken\.lua:1: .*nonsense/);
  });
});

test("the user's own policies run: their notes, headers, failures and endless loops", async (t) => {
  const a = await upstream(t);
  const { ask } = place(
    t,
    provider("a", a) +
      group("notes", ["a"], { policies: ["notes"] }) +
      group("raises", ["a"], { policies: ["raises"], fallback: ["echo"] }) +
      group("loops", ["a"], { policies: ["loops"], fallback: ["echo"] }),
    {
      notes:
        '  self:note("for %s", request.headers["x-user"])\n  self:sleep(30)\n  return next(request)',
      raises: '  error("it is broken")',
      loops: "  while true do pcall(function() while true do end end) end",
    },
  );
  const noted = await ask(say("notes"), "--header", "X-User: ann", "--answer", "200");
  assert.match(noted.stdout, /for ann \[policies\/notes\.lua:4\]/);
  assert.match(noted.stdout, /The client gets 200 after 30 s/, "nobody waits");
  const raised = await ask(say("raises"));
  assert.equal(raised.code, 0, raised.text);
  assert.match(
    raised.stdout,
    /raises failed: policies\/raises\.lua:4: it is broken\n {2}the fallback chain runs\n/,
  );
  const looped = await ask(say("loops"));
  assert.equal(looped.code, 0, looped.text);
  assert.match(looped.stdout, /loops failed: policies\/loops\.lua:4: stopped after/);
});

test("router.lua.example as it comes", async (t) => {
  const { ask } = place(t, "");
  const told = await ask(say("echo"), "-c", path.join(root, "router.lua.example"));
  assert.equal(told.code, 0, told.text);
  assert.match(told.stdout, /The client gets 200/);
  const off = await ask(say("chat"), "-c", path.join(root, "router.lua.example"));
  assert.match(off.stdout, /openai\/gpt-4o-mini is left out: its provider has no key/);
  assert.match(off.stdout, /ollama\/llama3\.2 is left out: its provider has no url/);
  assert.match(off.stdout, /The client gets 503/);
});
