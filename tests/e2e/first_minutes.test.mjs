/* What a user meets first: the example, its echo, the banner, and who may come in while no
 * token is configured. */
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { certificate } from "./support/certificate.mjs";
import { chat, get, open, say } from "./support/client.mjs";
import { group, lua, provider, token } from "./support/lua.mjs";
import { root, serve } from "./support/neap.mjs";
import { free_port, patience } from "./support/story.mjs";
import { client_of } from "./support/sdk.mjs";
import { upstream } from "./support/upstream.mjs";

const example = async () => {
  const text = readFileSync(path.join(root, "router.lua.example"), "utf8");
  assert.match(text, /127\.0\.0\.1:8080/, "the example listens on 127.0.0.1:8080");
  return text
    .replaceAll("127.0.0.1:8080", "127.0.0.1:PORT")
    .replace("127.0.0.1:8081", `127.0.0.1:${await free_port()}`);
};

test("the example works without any key", async (t) => {
  const neap = await serve(t, await example(), { whole: true });

  await t.test("its banner names the address and a curl line that works", async () => {
    await neap.says(new RegExp(`127\\.0\\.0\\.1:${neap.port}`));
    await tries_its_line(neap);
  });

  await t.test("echo answers whole", async () => {
    const answer = await chat(
      neap,
      say("echo", { messages: [{ role: "user", content: "What a day" }] }),
    );
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers["content-type"], /^application\/json/);
    assert.equal(answer.json.object, "chat.completion");
    assert.match(answer.content, /What a day/);
    assert.equal(answer.json.choices[0].finish_reason, "stop");
  });

  await t.test("echo answers streamed", async () => {
    const answer = await chat(
      neap,
      say("echo", { stream: true, messages: [{ role: "user", content: "What a day" }] }),
    );
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers["content-type"], /^text\/event-stream/);
    assert.match(answer.content, /What a day/);
    assert.equal(answer.events.at(-1), "[DONE]");
    assert.equal(answer.events.filter((data) => data === "[DONE]").length, 1);
  });

  await t.test("the SDK's strict helper takes echo's stream", async () => {
    const runner = client_of(neap).chat.completions.stream(
      say("echo", { messages: [{ role: "user", content: "Söme ünïcode 🦊" }] }),
    );
    assert.match(
      (await runner.finalChatCompletion()).choices[0].message.content,
      /Söme ünïcode 🦊/,
    );
  });

  await t.test("echo takes content as parts", async () => {
    const content = [
      { type: "text", text: "part one" },
      { type: "text", text: "part two" },
    ];
    const answer = await chat(neap, say("echo", { messages: [{ role: "user", content }] }));
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.content, /part one/);
  });

  await t.test("a provider whose key is not set is named as what is missing", async () => {
    for (const model of ["openai/gpt-4o", "gpt-4o-mini"]) {
      const answer = await chat(neap, say(model));
      assert.equal(answer.status, 404);
      assert.equal(answer.json.error.code, "model_not_found");
      assert.match(answer.json.error.message, /the provider "openai" is off, as it has no key/);
    }
  });

  await t.test("any other path is a 404 in OpenAI's shape", async () => {
    const answer = await get(neap, "/v1/nothing");
    assert.equal(answer.status, 404);
    assert.equal(typeof answer.json.error.message, "string");
    assert.equal(typeof answer.json.error.type, "string");
    assert.equal(answer.json.error.param, null);
    assert.ok("code" in answer.json.error);
  });
});

async function tries_its_line(neap, token = "") {
  const said = /curl .*/.exec(banner(neap, await neap.says(/\bcurl /)))[0];
  const line = said.replace("TOKEN", token);
  const { stdout } = await promisify(execFile)("sh", ["-c", line], { timeout: patience() });
  assert.match(stdout, /choices|data:/, `${line}\nanswered ${stdout}`);
}

test("the curl line works with a token, with TLS, and without echo", async (t) => {
  const echo = 'group "echo" { policies = { "echo" } }\n';
  const secret = "a-token-of-the-story";
  const made = certificate(t);

  await t.test("a token", async (t) => {
    const neap = await serve(t, echo + token("laptop", { secret }));
    await tries_its_line(neap, secret);
    assert.ok(!neap.text().includes("without any key"), neap.text());
    assert.ok(!neap.text().includes(secret), "and it shows no secret");
  });

  await t.test("TLS", async (t) => {
    const tls = lua({ certificate: made.cert_path, key: made.key_path });
    await tries_its_line(await serve(t, echo, { first: { tls }, tls: { ca: made.cert } }));
  });

  await t.test("another group than echo", async (t) => {
    const up = await upstream(t);
    await tries_its_line(await serve(t, provider("a", up) + group("pool", ["a"])));
  });

  await t.test("no group at all: no line", async (t) => {
    const neap = await serve(t, "");
    assert.ok(!/\bcurl /.test(neap.text()), neap.text());
  });
});

test("without a token only this machine comes in", async (t) => {
  const neap = await serve(t, await example(), { whole: true });

  await t.test("neap says so at its start", async () => {
    await neap.says(/token/i);
  });

  const cases = [
    ["a foreign Host", { host: "evil.example" }, 403],
    ["a foreign Host that begins like a loopback one", { host: "127.0.0.1.evil.example" }, 403],
    ["a foreign Origin", { origin: "https://evil.example" }, 403],
    ["an Origin of null", { origin: "null" }, 403],
    ["localhost with a port", { host: `localhost:${neap.port}` }, 200],
    ["[::1]", { host: `[::1]:${neap.port}` }, 200],
    ["an Origin on this machine", { origin: `http://localhost:${neap.port}` }, 200],
  ];
  for (const [name, headers, status] of cases) {
    await t.test(`${name}: ${status}`, async () => {
      const answer = await chat(neap, say("echo"), headers);
      assert.equal(answer.status, status, answer.text);
      if (status === 403) assert.equal(typeof answer.json.error.message, "string");
      const models = await (await open(neap, "/v1/models", { headers })).whole();
      assert.equal(models.status, status, "the models list follows the same rule");
    });
  }
});

/* A banner that came through the JSON log has its quotes escaped. */
const banner = (neap, line) => {
  if (!line.startsWith("{")) return line;
  return Object.values(JSON.parse(line)).find(
    (value) => typeof value === "string" && /\bcurl /.test(value),
  );
};

test("without a token a reload opens nothing: an address changes with a restart only", async (t) => {
  const rest = group("pool", ["a"]) + provider("a", await upstream(t));
  const inside = (port) => `listen = "127.0.0.1:${port}" workers = 1\n`;
  const neap = await serve(
    t,
    'listen = ":PORT" workers = 1\n' + rest + token("laptop", { secret: "laptop-secret-0123456789" }),
    { whole: true },
  );
  neap.write("router.lua", inside(neap.port) + rest);
  await neap.reload_refused(/serves loopback only, and it listens on :\d+ until it is started anew/);
  assert.equal((await chat(neap, say("pool"))).status, 401);

  await t.test("what changes with a restart only is said at each load, and not where nothing does", async () => {
    const secret = token("laptop", { secret: "laptop-secret-0123456789" });
    neap.write("router.lua", inside(neap.port) + rest + secret);
    const words = /with a restart only/;
    for (let round = 0; round < 2; round++) {
      const from = neap.lines.length;
      await neap.reload();
      await neap.says(words, from);
    }
    neap.write("router.lua", `listen = ":${neap.port}" workers = 1\n${rest}${secret}`);
    const from = neap.lines.length;
    await neap.reload();
    await neap.says(/in force/, from);
    assert.ok(!neap.lines.slice(from).some((line) => words.test(line)), neap.tail());
  });
});
