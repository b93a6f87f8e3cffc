/* The command line: serve, check, test, version. */
import test from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { group, provider } from "./support/lua.mjs";
import { get } from "./support/client.mjs";
import { binary, root, run, serve } from "./support/neap.mjs";
import { folder, free_port, later, until } from "./support/story.mjs";

const config = (t, text) => {
  const file = path.join(folder(t), "router.lua");
  writeFileSync(file, text);
  return file;
};

test("version and --help", async (t) => {
  const version = await run(t, ["version"]);
  assert.equal(version.code, 0, version.text);
  assert.match(version.stdout, /neap.*\d+\.\d+/);
  const help = await run(t, ["--help"]);
  assert.equal(help.code, 0, help.text);
  for (const word of ["serve", "check", "test", "explain", "version", "-c"])
    assert.ok(help.stdout.includes(word), `${word} in ${help.stdout}`);
});

test("usage errors exit with 2 and say what is wrong", async (t) => {
  for (const args of [
    ["frobnicate"],
    ["serve", "--nonsense"],
    ["check", "-c"],
    ["version", "too", "many"],
    ["-c"],
    ["-c", "router.lua", "version"],
    ["-c", "router.lua", "frobnicate"],
  ]) {
    const ended = await run(t, args);
    assert.equal(ended.code, 2, `${args.join(" ")}: ${ended.code} ${ended.text}`);
    assert.ok(ended.stderr.length > 0, args.join(" "));
    assert.equal(ended.stdout, "", "an error goes to stderr");
  }
});

test("check", async (t) => {
  await t.test("a good file: 0, and nothing is made on the disk", async (t) => {
    const file = config(t, provider("a", "http://127.0.0.1:1/v1") + group("pool", ["a"]));
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 0, ended.text);
    assert.ok(!existsSync(path.join(path.dirname(file), "data")), "check makes no storage");
  });

  await t.test("the file may be named in any of the usual ways", async (t) => {
    const file = config(t, provider("a", "http://127.0.0.1:1/v1") + group("pool", ["a"]));
    for (const args of [
      ["-c", file, "check"],
      ["--config", file, "check"],
      [`--config=${file}`, "check"],
      ["check", `--config=${file}`],
      ["-c", "no-such-file.lua", "check", "-c", file],
    ]) {
      const ended = await run(t, args);
      assert.equal(ended.code, 0, `${args.join(" ")}: ${ended.text}`);
    }
  });

  await t.test("router.lua.example: 0", async (t) => {
    const ended = await run(t, ["check", "-c", path.join(root, "router.lua.example")], {
      cwd: folder(t),
    });
    assert.equal(ended.code, 0, ended.text);
  });

  await t.test("every error with file and line: 78", async (t) => {
    const file = config(
      t,
      [
        "listen = 7",
        "nonsense = true",
        'provider "a" { dialect = "openai", url = "http://127.0.0.1:1/v1", keys = { "sk-0123456789" }, tmieouts = {} }',
        "",
        'group "pool" {',
        '  targets = { { "nobody", "m" } },',
        "}",
        'token "t" { secret = "short" }',
        "",
      ].join("\n"),
    );
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 78, ended.text);
    for (const [line, word] of [
      [1, "listen"],
      [2, "nonsense"],
      [3, "tmieouts"],
      ["[567]", "nobody"],
      [8, "secret|short|16"],
    ]) {
      assert.match(
        ended.text,
        new RegExp(`router\\.lua:${line}\\b.*(${word})`),
        `line ${line}, ${word}, in\n${ended.text}`,
      );
    }
  });

  await t.test("those of chains, too, and in the order of lines", async (t) => {
    const file = config(
      t,
      [
        'listen = "127.0.0.1:1"',
        'group "pool" {',
        "  policies = {",
        '    "no_such_policy",',
        '    use("key_rotation", { tries = 0 }),',
        "  },",
        '  targets = { { "nobody", "m" } },',
        "}",
        'provider "a" {',
        '  dialect = "openai", url = "http://127.0.0.1:1", keyless = true,',
        "  options = { strem_options = false },",
        "}",
        "",
      ].join("\n"),
    );
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 78, ended.text);
    assert.deepEqual(
      [...ended.text.matchAll(/router\.lua:(\d+): .*?(no_such_policy|tries|nobody|strem_options)/g)].map(
        ([, line, word]) => [Number(line), word],
      ),
      [
        [4, "no_such_policy"],
        [5, "tries"],
        [7, "nobody"],
        [11, "strem_options"],
      ],
      ended.text,
    );
  });

  await t.test("settings that are no table are told with their line, and nothing else is", async (t) => {
    const file = config(t, 'group "x" {\n  policies = { use("echo", 5) } }\n');
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 78, ended.text);
    assert.match(ended.text, /^\S*router\.lua:2: .*settings are a table: .*\n$/);
  });

  await t.test("for all addresses without a token: the line of listen", async (t) => {
    const file = config(t, '-- mine\n\nlisten = ":8080"\ngroup "x" { policies = { "none" } }\n');
    const ended = await run(t, ["check", "-c", file]);
    assert.equal(ended.code, 78, ended.text);
    assert.match(ended.text, /router\.lua:3: without a token .*\n.*router\.lua:4: .*none/);
  });

  await t.test("but where there is a storage, its tokens may be enough", async (t) => {
    const file = config(t, 'listen = ":8080"\n');
    mkdirSync(path.join(path.dirname(file), "data/state"), { recursive: true });
    assert.equal((await run(t, ["check", "-c", file])).code, 0);
  });

  await t.test("a syntax error: 78 with the line", async (t) => {
    const ended = await run(t, ["check", "-c", config(t, 'listen = "127.0.0.1:1"\ngroup {{{\n')]);
    assert.equal(ended.code, 78, ended.text);
    assert.match(ended.text, /router\.lua:2/);
  });

  await t.test("a file that is not there: 78 with its name", async (t) => {
    const ended = await run(t, ["check", "-c", "no-such-file.lua"]);
    assert.ok([2, 78].includes(ended.code), `${ended.code} ${ended.text}`);
    assert.match(ended.text, /no-such-file\.lua/);
  });

  await t.test("no secret in what it prints", async (t) => {
    const ended = await run(t, [
      "check",
      "-c",
      config(
        t,
        'provider "a" { dialect = "nonsense", url = "http://127.0.0.1:1/v1", keys = { "sk-never-print-this" } }\n',
      ),
    ]);
    assert.equal(ended.code, 78, ended.text);
    assert.ok(!ended.text.includes("never-print-this"), ended.text);
  });
});

test("test, without a FILE and without a router.lua", async (t) => {
  const home = folder(t);
  const policy = (body) => `local policy = require "neap.policy"
local own = policy.define { summary = "Of a story." }
function own:run(request, next)
${body}
end
return own
`;
  const write = (name, text) => {
    mkdirSync(path.dirname(path.join(home, name)), { recursive: true });
    writeFileSync(path.join(home, name), text);
  };
  write("policies/good.lua", policy("  return next(request)"));
  const tests = `local test = require "neap.test"
local WORLD = { policies = { "good" }, targets = { "a/m" }, upstream = { ["a/m"] = { text = "hi" } } }
test("passes on", function() test.equal(test.run(WORLD).text, "hi") end)
`;
  write("policies/good_test.lua", tests);
  write(
    "policies/lib/small_test.lua",
    `local test = require "neap.test"\ntest("helps", function() test.equal(1 + 1, 2) end)\n`,
  );

  const good = await run(t, ["test"], { cwd: home });
  assert.equal(good.code, 0, good.text);
  const lines = good.stdout.trimEnd().split("\n");
  assert.equal(lines[0], "ok 1 - policies/good_test.lua: passes on");
  assert.equal(lines[1], "ok 2 - policies/lib/small_test.lua: helps");
  assert.ok(
    lines.some((line) => /^ok \d+ - .*policies\/echo_test\.lua: /.test(line)),
    "what neap brings is in the other of the policies' folders",
  );
  assert.equal(lines.at(-1), `1..${lines.length - 1}`, "one line for each test, and the plan");

  write(
    "policies/bad_test.lua",
    `local test = require "neap.test"
test("fails", function()
  local run = test.run { policies = { "priority_failover" }, targets = { "a/m" },
    upstream = { ["a/m"] = { status = 500 } } }
  test.equal(run.status, 200)
end)
test("goes on", function() test.ok(true) end)
`,
  );
  const bad = await run(t, ["test", "policies/bad_test.lua"], { cwd: home });
  assert.equal(bad.code, 1, bad.text);
  assert.match(bad.stdout, /^not ok 1 - policies\/bad_test\.lua: fails\n/);
  assert.match(bad.stdout, /^ {2}# policies\/bad_test\.lua:5: got 500, want 200\n/m);
  assert.match(bad.stdout, /^ {2}# {5}attempt 1: a\/m with key k1: 500\n/m, "the trace");
  assert.match(bad.stdout, /\nok 2 - policies\/bad_test\.lua: goes on\n1\.\.2\n$/);
  assert.equal((await run(t, ["test"], { cwd: home })).code, 1);

  /* A name is no directive, nor a line of its own: harnesses pass over what fails as a TODO. */
  write(
    "policies/bad_test.lua",
    'local test = require "neap.test"\ntest("counts\\nok 9 # TODO later", function() error("no") end)\n',
  );
  const odd = await run(t, ["test", "policies/bad_test.lua"], { cwd: home });
  assert.match(odd.stdout, /^not ok 1 - policies\/bad_test.lua: counts ok 9 \\# TODO later\n {2}# /);
  assert.equal(odd.code, 1);
});

test("serve with a broken file: 78 with file and line", async (t) => {
  const ended = await run(t, ["serve", "-c", config(t, "nonsense = true\n")]);
  assert.equal(ended.code, 78, ended.text);
  assert.match(ended.text, /router\.lua:1.*nonsense/);
});

test("serve on a port that is taken says so and ends", async (t) => {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const ended = await run(t, [
    "serve",
    "-c",
    config(t, `listen = "127.0.0.1:${server.address().port}"\n`),
  ]);
  assert.notEqual(ended.code, 0);
  assert.notEqual(ended.code, "SIGKILL", `it did not end: ${ended.text}`);
  assert.match(ended.text, new RegExp(String(server.address().port)));
});

test("so it does where another neap listens, with a storage of its own", async (t) => {
  const neap = await serve(t, "");
  const listen = `listen = "127.0.0.1:${neap.port}" storage = "data"\n`;
  const ended = await run(t, ["serve", "-c", config(t, listen)]);
  assert.equal(ended.code, 1, ended.text);
  assert.match(ended.text, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${neap.port}`));
});

test("the whole configuration's words are accepted, also those whose effect comes later", async (t) => {
  const ended = await run(t, [
    "check",
    "-c",
    config(
      t,
      `
listen  = "127.0.0.1:8080"
admin   = { listen = "127.0.0.1:8081" }
storage = "data"
policies = "policies"
workers = 1
drain_timeout = 10
watch = false
spool = "1G"
private_upstreams = false

provider "a" {
  dialect = "openai",
  url     = "https://api.openai.com/v1",
  keys    = { "sk-plain-0123456789", { secret = "sk-table-0123456789", id = "b", balance = 10 }, env "NEAP_E2E_UNSET" },
  models  = { ["gpt-4o"] = { input = 2.50, cached = 1.25, output = 10 } },
  timeouts = { connect = 5, first_byte = 60, first_event = 120, idle = 120, total = 600 },
  proxy   = { "http://127.0.0.1:3128", "socks5://127.0.0.1:1080" },
  headers = { ["X-Own"] = "1" },
  forward = { "X-Custom" },
  balance = { path = "/v1/user/info", member = "data.totalBalance", every = 3600 },
}
provider "local" { dialect = "openai", url = "http://127.0.0.1:11434", keyless = true }

group "pool" {
  policies = { "priority_failover", use("key_rotation", { tries = 3 }), use("keyword_retry", { keywords = { "quota exceeded" } }) },
  targets  = { { "a", "gpt-4o", priority = 1, weight = 2 }, { "local", "llama", priority = 2 } },
  limits   = { attempts = 6, seconds = 900 },
  timeouts = { total = 60 },
  on_disconnect = "drain",
  bodies   = false,
  strict   = true,
}

token "laptop" { secret = "a-secret-of-some-length", groups = { "pool" }, providers = { "a" }, rights = { "trace", "keys" } }
`,
    ),
  ]);
  assert.equal(ended.code, 0, ended.text);
});

test("descriptors that come closed do not become those of neap's files", async (t) => {
  const port = await free_port();
  const file = config(t, `listen = "127.0.0.1:${port}"\n`);
  const script = 'exec "$0" serve -c "$1" <&- >&- 2>&-';
  const child = spawn("sh", ["-c", script, binary, file], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  later(t, () => child.kill("SIGKILL"));
  const at = { url: `http://127.0.0.1:${port}`, port };
  await until(
    () =>
      get(at, "/readyz").then(
        (answer) => answer.status === 200,
        () => false,
      ),
    () => "neap to be ready",
  );
  for (const number of [0, 1, 2])
    assert.equal(readlinkSync(`/proc/${child.pid}/fd/${number}`), "/dev/null", String(number));
  child.kill("SIGTERM");
  assert.equal(await ended, 0);
});
