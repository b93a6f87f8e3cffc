/* What docs/policies.md and the README tell a user to do, done: each step of the tutorial as it
 * stands there, the first policy of the README, and the cookbook, whose recipes are copied
 * into a folder of the user's own. */
import test from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chat, say } from "./support/client.mjs";
import { group, provider } from "./support/lua.mjs";
import { root, run, serve } from "./support/neap.mjs";
import { folder } from "./support/story.mjs";
import { answer, completion, reply, upstream } from "./support/upstream.mjs";

const read = (name) => readFileSync(path.join(root, name), "utf8");

/* The Lua blocks of a text that a file's name goes before, in their order. */
function files_in(text) {
  const blocks = text.matchAll(/`((?:policies\/\w+|router)\.lua)`[^`]*:\n\n```lua\n([^]*?)```/g);
  return [...blocks].map(([, name, code]) => ({ name, code }));
}

const section = (text, from, to) => {
  const start = text.indexOf(from);
  assert.ok(start >= 0 && text.indexOf(to, start) > start, `${from} … ${to}`);
  return text.slice(start, text.indexOf(to, start));
};

const doc = read("docs/policies.md");

test("the tutorial, step by step", async (t) => {
  const steps = section(doc, "## Step by step", "## Tests")
    .split(/^### /m)
    .slice(1)
    .map((text) => ({ title: text.split("\n")[0], files: files_in(text), text }));
  const up = await upstream(t);
  const neap = await serve(t, provider("openai", up));
  const groups = {};

  const write = (step) => {
    for (const { name, code } of step.files) {
      if (name === "router.lua") groups[/group "(\w+)"/.exec(code)[1]] = code;
      else neap.write(name, code);
    }
    neap.configure(provider("openai", up) + Object.values(groups).join("\n"));
  };
  const take = async (index, title, count) => {
    const step = steps[index];
    assert.match(step.title, title);
    assert.equal(step.files.length, count, `${step.title}: its files`);
    write(step);
    return step;
  };
  const empty = reply(200, completion(""));
  const ask = async (model) => {
    up.forget();
    up.next(empty, empty).always(answer("hi"));
    return chat(neap, say(model));
  };

  await t.test("hello", async () => {
    await take(0, /Hello/, 2);
    await neap.reload();
    assert.equal((await ask("hello")).content, "Hello, stranger!");
    assert.equal(up.calls.length, 0);
  });

  await t.test("the rest of the chain: a second chance, and no third", async () => {
    await take(1, /rest of the chain/, 2);
    await neap.reload();
    assert.equal((await ask("pool")).status, 502);
    assert.equal(up.calls.length, 2);
    up.forget();
    up.next(empty);
    assert.equal((await chat(neap, say("pool"))).content, "hi");
  });

  await t.test("settings: as often as router.lua says", async () => {
    await take(2, /Settings/, 2);
    await neap.reload();
    const seen = await ask("pool");
    assert.equal(seen.content, "hi");
    assert.equal(seen.headers["x-neap-attempts"], "3");
  });

  await t.test("state: a limit for all requests together, which a reload keeps", async () => {
    await take(3, /State/, 1);
    groups.pool = groups.pool.replace("times = 2", "times = 2, per_minute = 3");
    write({ files: [] });
    await neap.reload();
    assert.equal((await ask("pool")).content, "hi", "two of three");
    await neap.reload();
    assert.equal((await ask("pool")).status, 502, "the third was not enough");
    assert.equal(up.calls.length, 2);
  });

  await t.test("a test: passes as shown, and fails with a policy that does less", async () => {
    const step = await take(4, /A test/, 1);
    const shown = section(step.text, "    ok 1", "\nWithout a file").replaceAll(/^ {4}/gm, "");
    const command = /build\/neap (test .*)/.exec(step.text)[1].split(" ");
    const passed = await run(t, command, { cwd: neap.folder });
    assert.equal(passed.stdout.trim(), shown.trim());
    assert.equal(passed.code, 0);
    neap.write("policies/second_chance.lua", steps[2].files[0].code);
    const failed = await run(t, command, { cwd: neap.folder });
    assert.equal(failed.code, 1, failed.text);
    assert.match(failed.stdout, /^not ok 2/m);
    neap.write("policies/second_chance.lua", steps[3].files[0].code);
  });

  await t.test("neap test without a file runs those of the folder and the folders in it", async () => {
    const more = read("policies/cookbook/prompt_limit_test.lua");
    neap.write("policies/more/prompt_limit_test.lua", more);
    neap.write("policies/more/prompt_limit.lua", read("policies/cookbook/prompt_limit.lua"));
    const ended = await run(t, ["test"], { cwd: neap.folder });
    assert.equal(ended.code, 0, ended.text);
    assert.match(ended.stdout, /^ok 1 - policies\/second_chance_test\.lua/m);
    assert.match(ended.stdout, /^ok 3 - policies\/more\/prompt_limit_test\.lua/m);
  });

  await t.test("a reload with a mistake says what the tutorial says, and changes nothing", async () => {
    const step = await take(5, /A reload/, 1);
    const said = /^ {4}(second_chance: .*)$/m.exec(step.text)[1];
    await neap.reload_refused(new RegExp(`router\\.lua:\\d+.*${said.replaceAll(/[?.]/g, "\\$&")}`));
    assert.equal((await ask("hello")).content, "Hello, stranger!");
  });
});

test("the README's first policy: ten lines, and true", async (t) => {
  const text = section(read("README.md"), "## A policy of your own", "\n## ");
  const [policy, group_text] = [...text.matchAll(/```lua\n([^]*?)```/g)].map(([, code]) => code);
  assert.match(text, /`policies\/mine\.lua`/);
  assert.ok(policy.trimEnd().split("\n").length <= 10, policy);
  const up = await upstream(t);
  const neap = await serve(t, provider("a", up), { files: { "policies/mine.lua": policy } });
  const ask = async (content) =>
    (await chat(neap, say("mine", { messages: [{ role: "user", content }] }))).content;

  neap.configure(provider("a", up) + group_text);
  await neap.reload();
  assert.equal(await ask("ping"), "pong");
  assert.equal(await ask("Hello"), "Hello");

  const policies = /`(\{ "mine".*? \})`/s.exec(text)[1].match(/\w+/g);
  neap.configure(provider("a", up) + group("mine", ["a"], { policies }));
  await neap.reload();
  assert.equal(await ask("ping"), "pong");
  assert.equal(await ask("Hello"), "ok", "the provider's answer");

  neap.write("policies/mine.lua", policy.replace("end", "ende"));
  await neap.reload_refused(/policies\/mine\.lua:\d+/);
  assert.equal(await ask("ping"), "pong");
});

test("the cookbook", async (t) => {
  const shelf = path.join(root, "policies/cookbook");
  const names = readdirSync(shelf).filter((name) => !name.endsWith("_test.lua"));
  const shipped = readdirSync(path.join(root, "policies"));

  await t.test("the document names each recipe once, and no other", () => {
    const named = [...doc.matchAll(/`policies\/cookbook\/(\w+\.lua)`/g)].map(([, name]) => name);
    assert.deepEqual(named.sort(), names.sort());
    assert.ok(names.length >= 12, "at least 12 recipes");
  });

  await t.test("each is short, has a test, and no name of a policy that comes with neap", () => {
    for (const name of names) {
      const size = readFileSync(path.join(shelf, name), "utf8").trimEnd().split("\n").length;
      assert.ok(size >= 10 && size <= 40, `${name}: ${size} lines`);
      assert.ok(readdirSync(shelf).includes(name.replace(".lua", "_test.lua")), `${name}: a test`);
      assert.ok(!shipped.includes(name), `${name} would be in the way of neap's own`);
    }
  });

  /* A folder of the user's own; each recipe's first comment says how it stands in a group. */
  const recipes = names.map((name) => {
    const text = readFileSync(path.join(shelf, name), "utf8");
    const policies = /^-- {5}policies = (.*)$/m.exec(text)?.[1];
    assert.ok(policies, `${name}: its first comment shows the group's policies`);
    return { name, text, policies };
  });
  const targets = '{ { "a", "small" }, { "b", "m" }, { "a", "large" } }';
  const groups = recipes.map(
    ({ name, policies }) =>
      `group "${name.replace(".lua", "")}" { policies = ${policies}, targets = ${targets} }\n`,
  );

  await t.test("none is there without being copied", async (t) => {
    const file = path.join(folder(t), "router.lua");
    const providers = ["a", "b"].map((name) => provider(name, "http://127.0.0.1:1/v1"));
    writeFileSync(file, [...providers, ...groups].join(""));
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 78, ended.text);
    for (const { name } of recipes)
      assert.ok(ended.text.includes(`there is no policy "${name.replace(".lua", "")}"`), ended.text);
  });

  await t.test("each answers when it is copied into the user's folder", async (t) => {
    const up = await upstream(t);
    const files = Object.fromEntries(
      recipes.map(({ name, text }) => [`policies/${name}`, text]),
    );
    const neap = await serve(t, provider("a", up) + provider("b", up) + groups.join(""), { files });
    for (const { name } of recipes) {
      const seen = await chat(neap, say(name.replace(".lua", "")));
      assert.equal(seen.status, 200, `${name}: ${seen.text}\n${neap.tail()}`);
      assert.equal(seen.content, "ok", name);
    }
  });

  await t.test("its test passes beside it there", async (t) => {
    const own = folder(t);
    mkdirSync(path.join(own, "policies"));
    const name = "canary";
    for (const file of [`${name}.lua`, `${name}_test.lua`])
      writeFileSync(path.join(own, "policies", file), readFileSync(path.join(shelf, file)));
    const ended = await run(t, ["test"], { cwd: own });
    assert.equal(ended.code, 0, ended.text);
  });
});
