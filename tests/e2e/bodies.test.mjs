/* Bodies that are kept: whose, how much of them, and without secrets. */
import test from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { PASSWORD, serve_admin } from "./support/admin.mjs";
import { chat, open_chat, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider, token } from "./support/lua.mjs";
import { until } from "./support/story.mjs";
import { END, SILENCE, answer, chunk, error, role, stream, upstream } from "./support/upstream.mjs";

const TOKEN = "the clients own token, with blanks";
const KEY = "a-key-of-no-known-kind_42";

/* Groups that keep all, failures, half and nothing, and tokens that say something else. */
async function keeping(t, fields = {}) {
  const up = await upstream(t);
  const groups = { all: true, failed: "failures", half: 0.5, none: false };
  const neap = await serve_admin(
    t,
    [
      provider("a", up, { keys: [KEY] }),
      ...Object.entries(groups).map(([name, bodies]) =>
        group(name, ["a"], { bodies, policies: NO_BREAKER }),
      ),
      token("plain", { secret: TOKEN }),
      token("always", { secret: "always-0123456789", bodies: true }),
      token("never", { secret: "never-0123456789", bodies: false }),
    ].join(""),
    { ...fields, first: { private_upstreams: "true", ...fields.first } },
  );
  neap.read = await neap.admin.token("read");
  neap.see = await neap.admin.token("read", "bodies");
  neap.write = await neap.admin.token("write");
  return { up, neap };
}

const by = (secret) => ({ authorization: `Bearer ${secret}` });

/* The record of an answer (or of an x-request-id), once it is written. */
async function record(neap, seen) {
  const id = typeof seen === "string" ? seen : seen.headers["x-request-id"];
  return until(
    async () => {
      const found = await neap.admin.call(`/api/v1/records?text=${id}`, { as: neap.read });
      return found.json.items.find((one) => one.request_id === id);
    },
    () => `the record of ${id}; the log ends with\n${neap.tail()}`,
  );
}

/* What is kept of an answer's request: { request, response }, each with its text. */
async function kept(neap, seen) {
  const one = await record(neap, seen);
  const found = await neap.admin.call(`/api/v1/records/${one.id}/bodies`, { as: neap.see });
  assert.equal(found.status, 200, found.text);
  const facts = await neap.admin.call(`/api/v1/records/${one.id}`, { as: neap.read });
  assert.deepEqual(
    facts.json.bodies.map(({ part, size, whole_size, cut }) => [part, size, whole_size, cut]),
    found.json.items.map(({ part, size, whole_size, cut }) => [part, size, whole_size, cut]),
  );
  return Object.fromEntries(found.json.items.map((item) => [item.part, item]));
}

/* How many parts its record says that there are. */
async function count_of(neap, seen) {
  const { id } = await record(neap, seen);
  return (await neap.admin.call(`/api/v1/records/${id}`, { as: neap.read })).json.bodies.length;
}

test("bodies are kept as they came and went, streamed or not", async (t) => {
  const { up, neap } = await keeping(t);

  await t.test("a whole answer", async () => {
    const body = say("all", { note: "grüße" });
    const seen = await chat(neap, body, by(TOKEN));
    const bodies = await kept(neap, seen);
    assert.equal(bodies.request.text, JSON.stringify(body));
    assert.equal(bodies.response.text, seen.text);
    assert.equal(bodies.response.whole_size, seen.body.length);
    assert.equal(bodies.response.cut, false);
  });

  await t.test("a stream, with what its client got", async () => {
    const seen = await chat(neap, say("all", { stream: true }), by(TOKEN));
    const bodies = await kept(neap, seen);
    assert.match(seen.text, /\[DONE\]/);
    assert.equal(bodies.response.text, seen.text);
  });

  await t.test("a stream that breaks off, and one whose client leaves", async () => {
    up.next(stream(role(), chunk("one"), END));
    const broken = await chat(neap, say("all", { stream: true }), by(TOKEN));
    assert.equal((await kept(neap, broken)).response.text, broken.text);
    up.next(stream(role(), chunk("first"), SILENCE));
    const left = await open_chat(neap, say("all", { stream: true }), by(TOKEN));
    await left.has("first");
    left.leave();
    const bodies = await kept(neap, left);
    assert.match(bodies.response.text, /first/);
    assert.equal(bodies.request.text, JSON.stringify(say("all", { stream: true })));
  });

  await t.test("an error", async () => {
    up.next(error(400, "no such thing"));
    const seen = await chat(neap, say("all"), by(TOKEN));
    assert.equal(seen.status, 400);
    assert.equal((await kept(neap, seen)).response.text, seen.text);
  });

  await t.test("and over a reload in the middle", async () => {
    let go;
    const goes_on = new Promise((resolve) => (go = resolve));
    up.next(stream(role(), chunk("before"), goes_on, chunk("behind"), "data: [DONE]\n\n"));
    const seen = await open_chat(neap, say("all", { stream: true }), by(TOKEN));
    await seen.has("before");
    await neap.reload();
    go();
    await seen.whole();
    assert.equal((await kept(neap, seen)).response.text, seen.text);
  });

  await t.test("for the scope bodies alone, and on NiceAPI's path", async () => {
    const seen = await chat(neap, say("all"), by(TOKEN));
    const { id } = await record(neap, seen);
    for (const as of [neap.read, neap.write, undefined]) {
      for (const rest of ["/bodies", "/bodies/request"]) {
        const refused = await neap.admin.call(`/api/v1/records/${id}${rest}`, { as });
        assert.equal(refused.status, as ? 403 : 401);
      }
    }
    const raw = await neap.admin.call(`/api/v1/records/${id}/bodies/response`, { as: neap.see });
    assert.equal(raw.headers["content-type"], "application/octet-stream");
    assert.deepEqual(raw.body, seen.body);
    const log = await neap.admin.call(`/api/logs/${id}`, { as: neap.see });
    assert.equal(log.json.response_body, seen.text);
    assert.equal((await neap.admin.call(`/api/logs/${id}`, { as: neap.read })).json.response_body, null);
    const lines = async (query, as) => {
      const found = await neap.admin.call(`/api/v1/records/export?text=${id}${query}`, { as });
      return found.status === 200 ? JSON.parse(found.text.trim()) : found.status;
    };
    assert.equal((await lines("&details=true", neap.see)).bodies, undefined);
    assert.equal((await lines("&bodies=true", neap.see)).bodies[1].text, seen.text);
    assert.equal(await lines("&bodies=true", neap.read), 403);
  });
});

test("whose bodies: by group, token, failure and share", async (t) => {
  const { up, neap } = await keeping(t);
  const parts = async (model, secret, script) => {
    if (script) up.next(script);
    return Object.keys(await kept(neap, await chat(neap, say(model), by(secret))));
  };
  const both = ["request", "response"];
  assert.deepEqual(await parts("none", TOKEN), []);
  assert.deepEqual(await parts("none", "always-0123456789"), both);
  assert.deepEqual(await parts("all", "never-0123456789"), []);
  assert.deepEqual(await parts("failed", TOKEN), []);
  assert.deepEqual(await parts("failed", TOKEN, error(500, "ill")), both);
  assert.deepEqual(await parts("nobody", "always-0123456789"), both, "refused before a group");
  assert.deepEqual(await parts("a/m", TOKEN), [], "a group that is not written down");

  /* A share of many, told by their ids; and of those that pass, nothing is forgotten. */
  for (let index = 0; index < 60; index++) await chat(neap, say("half"), by(TOKEN));
  const half = `/api/v1/records?group=half&limit=100`;
  const { items } = await until(
    async () => {
      const page = (await neap.admin.call(half, { as: neap.read })).json;
      return page.items.length === 60 && page;
    },
    "60 records",
  );
  let count = 0;
  for (const { id } of items) {
    const { bodies } = (await neap.admin.call(`/api/v1/records/${id}`, { as: neap.read })).json;
    const is_drawn = parseInt(id.slice(-6), 16) / 2 ** 24 < 0.5;
    assert.equal(bodies.length, is_drawn ? 2 : 0, id);
    count += is_drawn;
  }
  assert.ok(count > 5 && count < 55, `${count} of 60`);

  /* A group and a token of the API's say it the same way. */
  const as = neap.write;
  const wrong = await neap.admin.call("/api/v1/groups", {
    as,
    body: { name: "made", targets: [{ provider: "a", model: "m" }], bodies: "some" },
  });
  assert.equal(wrong.status, 422, wrong.text);
  assert.match(wrong.text, /bodies/);
  const made = await neap.admin.call("/api/v1/groups", {
    as,
    body: { name: "made", targets: [{ provider: "a", model: "m" }], bodies: true },
  });
  assert.equal(made.status, 201, made.text);
  const quiet = await neap.admin.call("/api/v1/tokens", { as, body: { name: "quiet", bodies: false } });
  assert.equal(quiet.status, 201, quiet.text);
  assert.deepEqual(await parts("made", TOKEN), both);
  assert.deepEqual(await parts("made", quiet.json.secret), []);
});

/* Files that hold the text, byte for byte. */
function files_with(folder, text) {
  try {
    return execFileSync("grep", ["-rlaF", "-e", text, folder], { encoding: "utf8" })
      .split("\n")
      .filter((name) => name && !/router\.lua$|\.env$/.test(name));
  } catch (failure) {
    if (failure.status === 1) return [];
    throw failure;
  }
}

test("no secret is in what is kept", async (t) => {
  const { up, neap } = await keeping(t);
  const stored_key = "another-key_of-the-pool-77";
  const session = await neap.admin.session();
  const put = await neap.admin.call("/api/v1/providers", {
    session,
    body: { name: "p", dialect: "openai", url: up.url, keyless: true },
  });
  assert.equal(put.status, 201, put.text);
  const added = await neap.admin.call("/api/v1/providers/p/keys", {
    session,
    body: { secret: stored_key },
  });
  assert.ok(added.status < 300, added.text);
  const made = await neap.admin.call("/api/v1/tokens", { session, body: { name: "made" } });
  const image = "QUJD".repeat(30000);
  const secrets = [KEY, TOKEN, stored_key, made.json.secret, "sk-some0123456789abcdefXYZ", "hunter2hunter2"];
  const content = `${secrets.slice(0, 5).join(" and ")} {"password": "${secrets[5]}"} data:image/png;base64,`;
  const body = say("all", { messages: [{ role: "user", content: content + image + " the end" }] });
  const settings = await neap.admin.call("/api/v1/settings", {
    session,
    method: "PATCH",
    body: { body_size: 1024 * 1024 },
  });
  assert.equal(settings.status, 200, settings.text);

  for (const is_streamed of [false, true]) {
    up.next(is_streamed ? stream(role(), chunk(content), "data: [DONE]\n\n") : answer(content));
    const seen = await chat(neap, { ...body, stream: is_streamed }, by(TOKEN));
    assert.equal(seen.status, 200, seen.text);
    const bodies = await kept(neap, seen);
    for (const part of ["request", "response"]) {
      for (const secret of secrets)
        assert.ok(!bodies[part].text.includes(secret), `${secret} in the ${part}`);
      assert.match(bodies[part].text, / and \[redacted\]/);
    }
    const request = JSON.parse(bodies.request.text);
    assert.match(request.messages[0].content, /base64,(QUJD){8}\[and \d+ more\] the end$/);
    assert.ok(bodies.request.size < 2000 && bodies.request.whole_size > 120000);
    assert.equal(bodies.request.cut, false);
  }
  await neap.stop();
  /* The two that are compressed are not found by grep: they were looked at above. */
  for (const secret of [KEY, TOKEN, stored_key, made.json.secret, PASSWORD])
    assert.deepEqual(files_with(path.join(neap.folder, "data"), secret), [], secret);
  assert.ok(!neap.text().includes(KEY) && !neap.text().includes(TOKEN));
});

test("a body is kept up to its limit, and only so long", async (t) => {
  const { up, neap } = await keeping(t);
  const session = await neap.admin.session();
  const set = async (body) => {
    const done = await neap.admin.call("/api/v1/settings", { session, method: "PATCH", body });
    assert.equal(done.status, 200, done.text);
  };
  await set({ body_size: 2000 });
  for (const wrong of [100, 9e6, "x"]) {
    const refused = await neap.admin.call("/api/v1/settings", {
      session,
      method: "PATCH",
      body: { body_size: wrong },
    });
    assert.equal(refused.status, 422);
    assert.equal(refused.json.error.field, "/body_size");
  }

  await t.test("its beginning, of short and of spooled ones", async () => {
    for (const count of [3000, 3000000]) {
      const words = "für Worte ".repeat(count / 10);
      up.next(answer(words));
      const body = say("all", { messages: [{ role: "user", content: words }] });
      const seen = await chat(neap, body, by(TOKEN));
      const bodies = await kept(neap, seen);
      const whole = { request: Buffer.from(JSON.stringify(body)), response: seen.body };
      for (const [part, one] of Object.entries(bodies)) {
        assert.ok(one.cut && one.size <= 2000 && one.size > 1990, `${part}: ${one.size}`);
        assert.equal(one.whole_size, whole[part].length);
        assert.equal(one.text, whole[part].subarray(0, one.size).toString("utf8"));
      }
    }
  });

  await t.test("until it is too old, while its record stays", async () => {
    const seen = await chat(neap, say("all"), by(TOKEN));
    assert.equal(await count_of(neap, seen), 2);
    await set({ body_age: 1 });
    await until(
      async () => (await count_of(neap, seen)) === 0,
      "its bodies to be gone",
      30000,
    );
    await record(neap, seen);
    await set({ body_age: null });
  });

  await t.test("or too much", async () => {
    await set({ body_size: 1024 * 1024, body_bytes: 400000 });
    const noise = () => Array.from({ length: 6000 }, () => Math.random().toString(36)).join(" ");
    const seen = [];
    for (let index = 0; index < 12; index++) {
      up.next(answer(noise()));
      seen.push(await chat(neap, say("all"), by(TOKEN)));
      /* Written one after the other, they are as old as they look. */
      await record(neap, seen.at(-1));
    }
    await until(
      async () => (await count_of(neap, seen[0])) === 0,
      "the oldest to be gone",
      30000,
    );
    assert.equal(await count_of(neap, seen.at(-1)), 2);
  });
});
