/* Secrets that are planted wherever neap takes one, and then looked for wherever it says or
 * keeps something: answers, headers, the log, the journal, the files of its storage.
 *
 * A secret may be in two places: in what a provider is sent, and in the one answer that is
 * made to show it (a new token, an export of keys). */
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { PASSWORD, cookie_of, serve_admin } from "./support/admin.mjs";
import { chat, open, say } from "./support/client.mjs";
import { NO_BREAKER, group, provider } from "./support/lua.mjs";
import { run, start_again } from "./support/neap.mjs";
import { until } from "./support/story.mjs";
import { chunk, error, event, reply, role, stream, upstream } from "./support/upstream.mjs";

/* Everything that was planted, by what it is; and everything that was seen. */
class Watch {
  constructor() {
    this.planted = new Map([["the environment's password", PASSWORD]]);
    this.seen = [];
  }

  /* A new secret. */
  plant(what, prefix = "sk-") {
    const secret = `${prefix}canary${randomBytes(12).toString("hex")}`;
    return this.keep(what, secret);
  }

  keep(what, secret) {
    this.planted.set(what, secret);
    return secret;
  }

  /* An answer that may hold these secrets and no others. */
  note(what, answer, ...shown) {
    const text = `${answer.fields.join("\n")}\n${answer.text}`;
    this.seen.push({ what, text, shown: new Set(shown) });
    return answer;
  }

  /* Where a secret is that ought not to be there. */
  found(neap) {
    const places = [...this.seen, { what: "the log", text: neap.text(), shown: new Set() }];
    for (const name of readdirSync(neap.folder, { recursive: true })) {
      if (name === "router.lua" || !/\.\w+$|\//.test(name)) continue;
      const file = path.join(neap.folder, name);
      try {
        places.push({ what: name, text: readFileSync(file, "latin1"), shown: new Set() });
      } catch (failure) {
        if (failure.code !== "EISDIR") throw failure;
      }
    }
    const found = [];
    for (const { what, text, shown } of places) {
      for (const [name, secret] of this.planted) {
        const forms = [secret, Buffer.from(secret).toString("base64").replace(/=+$/, "")];
        if (!shown.has(secret) && forms.some((form) => text.includes(form)))
          found.push(`${name} in ${what}`);
      }
    }
    return found;
  }
}

/* What a provider says of a key that it does not like: the key itself, wherever there is room. */
const echo = (status) => (call) =>
  error(status, `Incorrect API key: ${call.key}. Header: ${call.header("authorization")}`, {
    "www-authenticate": `Bearer realm="${call.key}"`,
    "x-request-id": call.key,
  });

async function serve_watched(t) {
  const watch = new Watch();
  const up = await upstream(t);
  const key = watch.plant("router.lua's key");
  const other = watch.plant("another key of router.lua");
  const header = watch.plant("a provider's header", "");
  const neap = await serve_admin(
    t,
    provider("a", up, { keys: [key, other], headers: { "X-Own": header } }) +
      group("pool", ["a"], { policies: NO_BREAKER }),
    { is_left: true, first: { private_upstreams: "true", workers: "2" } },
  );
  Object.assign(neap, { watch, up });
  neap.token_text = await neap.admin.token("read", "write", "keys");
  watch.keep("an admin token", neap.token_text);
  /* A call of the admin side, noted. */
  neap.call = async (where, options = {}, ...shown) => {
    const method = options.method ?? (options.body ? "POST" : "GET");
    const answer = await neap.admin.call(where, { as: neap.token_text, ...options });
    return watch.note(`${method} ${where}`, answer, ...shown);
  };
  /* A client's request, noted. */
  neap.ask = async (headers = {}, fields = {}, where = "/v1/chat/completions") =>
    watch.note(
      `a client's ${where}`,
      await chat(neap, say("pool", fields), { ...neap.auth, ...headers }, where),
    );
  return neap;
}

async function of_administrators(neap) {
  const { watch, admin } = neap;
  const wrong = watch.plant("a wrong password", "");
  watch.note("a failed login", await admin.login(wrong));
  watch.note("a failed login, as a form", await admin.call("/login", {
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `username=admin&password=${wrong}`,
  }));
  watch.note(
    "a failed login, by name",
    await admin.call("/api/auth/login", {
      body: { username: watch.plant("a password as a name", ""), password: wrong },
    }),
  );
  const stranger = watch.plant("a stranger's admin token", "neap-");
  for (const where of ["/api/v1/settings", "/api/v1/no/such/path"])
    watch.note("a stranger", await admin.call(where, { as: stranger }));
  const cookie = `neap_session=${watch.plant("a stranger's cookie", "")}`;
  watch.note("a stranger", await admin.call("/api/v1/settings", { session: cookie }));

  const entered = await admin.login();
  const session = cookie_of(entered);
  watch.keep("a session", session.split("=")[1]);
  watch.note("a login", entered, session.split("=")[1]);
  const bearer = await admin.call("/api/auth/login", {
    body: { username: "admin", password: PASSWORD },
  });
  watch.note("a login", bearer, watch.keep("a bearer", bearer.json.access_token));
  const password = watch.plant("a new password", "");
  const change = (text) =>
    admin.call("/api/v1/password", { session, body: { password: text, new_password: password } });
  watch.note("a refused password", await change(wrong));
  const changed = await change(PASSWORD);
  assert.equal(changed.status, 200, changed.text);
  const again = cookie_of(changed);
  watch.note("a new password", changed, watch.keep("another session", again.split("=")[1]));
  return { session: again, password };
}

async function of_providers(neap, { session, password }) {
  const { watch, up } = neap;
  const header = watch.plant("a stored header", "");
  const made = await neap.call("/api/v1/providers", {
    body: {
      name: "stored",
      dialect: "openai",
      url: up.url,
      headers: { "X-Own": header },
      models: { m: {} },
    },
  });
  assert.equal(made.status, 201, made.text);
  const proxy = watch.plant("a proxy's password", "");
  const via = await neap.call("/api/v1/providers", {
    body: {
      name: "far",
      dialect: "openai",
      url: "http://far.invalid/v1",
      keyless: true,
      proxy: [`socks5h://user:${proxy}@127.0.0.1:1`],
    },
  });
  assert.equal(via.status, 201, via.text);
  await neap.call("/api/v1/groups", {
    body: { name: "far", targets: [{ provider: "far", model: "m" }] },
  });
  await neap.call("/api/v1/playground/chat", { body: say("far") });

  const keys = "/api/v1/providers/stored/keys";
  const added = watch.plant("an added key");
  const one = await neap.call(keys, { body: { secret: added, label: "added" } });
  assert.equal(one.status, 201, one.text);
  await neap.call(keys, { body: { secret: added } });
  await neap.call(keys, { body: { secret: `${watch.plant("a malformed key")} with words` } });
  up.next(echo(401));
  await neap.call(keys, { body: { secret: watch.plant("a refused key"), check: true } });
  const imported = [1, 2, 3].map((number) => watch.plant(`imported key ${number}`));
  up.next(echo(401), echo(429), echo(500));
  const text = `${imported.join("\n")}\n${added}\n`;
  const done = await neap.call(`${keys}/import`, { body: { text } });
  assert.equal(done.status, 200, done.text);
  up.next(echo(403));
  await neap.call(`${keys}/${one.json.id}/refresh`, { method: "POST" });
  await neap.call(keys);
  await neap.call("/api/v1/providers/stored");
  await neap.call("/api/v1/providers");
  await neap.call("/api/v1/configuration/export");
  const wrong = await neap.call(`${keys}/export`, {
    session,
    as: null,
    body: { password: watch.plant("a wrong password for the export", "") },
  });
  assert.ok(wrong.status >= 400, wrong.text);
  const out = await neap.call(
    `${keys}/export`,
    { session, as: null, body: { password } },
    added,
    ...imported,
  );
  assert.equal(out.status, 200, out.text);
  assert.ok(out.text.includes(added), "the export shows keys");

  // Paths of other systems, in which a key is a part of the path or of the query.
  await neap.call(`/api/key_info?key=${added}`);
  await neap.call(`/api/key_info?key=${watch.plant("an unknown key in a query")}`);
  const gone = watch.plant("an unknown key in a path");
  await neap.call(`/api/providers/quick-remove/${gone}`, { method: "DELETE" });
  await neap.call("/api/refresh_key", { body: { key: watch.plant("an unknown key to refresh") } });
  await neap.call(`/api/v1/settings?key=${watch.plant("an unknown parameter's value")}`);
  await neap.call("/api/v1/providers", { body: { name: watch.plant("a key as a name"), url: 5 } });
}

async function of_clients(neap) {
  const { watch, up } = neap;
  const made = await neap.admin.call("/api/v1/tokens", {
    as: neap.token_text,
    body: { name: "app", groups: ["pool"] },
  });
  assert.equal(made.status, 201, made.text);
  const token = watch.keep("a client's token", made.json.secret);
  watch.note("a new token", made, token);
  neap.auth = { authorization: `Bearer ${token}` };
  assert.equal((await neap.ask()).status, 200);
  await neap.call("/api/v1/tokens");

  for (const [what, headers] of Object.entries({
    "a bearer": (secret) => ({ authorization: `Bearer ${secret}` }),
    "basic credentials": (secret) => ({ authorization: `Basic ${secret}` }),
    "an x-api-key": (secret) => ({ "x-api-key": secret }),
    "an x-goog-api-key": (secret) => ({ "x-goog-api-key": secret }),
    "a cookie": (secret) => ({ cookie: `session=${secret}` }),
    "a proxy's credentials": (secret) => ({ "proxy-authorization": `Basic ${secret}` }),
  })) {
    const secret = watch.plant(`a stranger's token as ${what}`);
    watch.note(what, await chat(neap, say("pool"), headers(secret)));
    watch.note(what, await chat(neap, say("pool"), { ...neap.auth, ...headers(secret) }));
  }
  const query = watch.plant("a token in a query");
  await neap.ask({}, {}, `/v1/chat/completions?key=${query}`);
  watch.note("a query", await open(neap, `/v1/models?key=${query}`).then((one) => one.whole()));
}

/* Providers that say the key, before and in the middle of a stream. */
async function of_errors(neap) {
  const { up } = neap;
  for (const status of [400, 401, 403, 404, 422, 429, 500, 503]) {
    for (const is_streamed of [false, true]) {
      up.always(echo(status));
      await neap.ask({}, { stream: is_streamed });
      await neap.call("/api/v1/playground/chat", { body: say("pool", { stream: is_streamed }) });
    }
  }
  const inside = (call) => event({ error: { message: `no such key: ${call.key}`, code: 401 } });
  up.always((call) => stream(inside(call)));
  await neap.ask({}, { stream: true });
  up.always((call) => reply(200, { error: { message: `no such key: ${call.key}` } }));
  await neap.ask();
  up.always((call) => stream(role(), chunk("one"), inside(call)));
  await neap.ask({}, { stream: true });
  up.always((call) => [`HTTP/1.1 ${call.key}\r\n\r\n`]);
  await neap.ask();
}

async function look_at_all(neap) {
  const last = (await neap.ask()).headers["x-request-id"];
  await until(
    async () => {
      const page = await neap.admin.call(`/api/v1/records?text=${last}`, { as: neap.token_text });
      return page.json.items.length === 1;
    },
    "the last record to be written",
  );
  await neap.call("/api/v1/records/export?details=true");
  const { items } = (await neap.call("/api/v1/records?limit=200")).json;
  for (const one of items) await neap.call(`/api/v1/records/${one.id}`);
  for (const where of ["audit?limit=200", "generations", "statistics/breakdown?by=key", "health"])
    await neap.call(`/api/v1/${where}`);
  for (const where of ["/metrics", "/api/logs/", "/logs", "/openapi.json", "/api/keys"])
    await neap.call(where);
  neap.watch.note("/health", await open(neap, "/health").then((one) => one.whole()));
}

test("planted secrets are nowhere but where they belong", async (t) => {
  const neap = await serve_watched(t);
  const person = await of_administrators(neap);
  await of_clients(neap);
  await of_providers(neap, person);
  await of_errors(neap);
  await look_at_all(neap);
  assert.deepEqual(neap.watch.found(neap), []);

  await t.test("a configuration that is wrong is told without its secrets", async () => {
    const from = neap.lines.length;
    const key = neap.watch.plant("a key of a wrong configuration");
    const fields = { keys: [key, "two\nlines"], headers: { "X-Own": key } };
    neap.configure(provider("a", neap.up, fields));
    neap.signal("SIGHUP");
    await neap.says(/router\.lua:\d+/, from);
    assert.deepEqual(neap.watch.found(neap), []);
  });

  await t.test("after a kill, and another start", async () => {
    neap.configure(provider("a", neap.up));
    await neap.kill();
    await start_again(neap, neap.options);
    await neap.admin.ready();
    await look_at_all(neap).catch(() => {});
    assert.deepEqual(neap.watch.found(neap), []);
  });

  await t.test("the watch sees what is there", () => {
    neap.watch.plant("a canary in the open");
    neap.lines.push(neap.watch.planted.get("a canary in the open"));
    assert.deepEqual(neap.watch.found(neap), ["a canary in the open in the log"]);
  });

  await t.test("no core is written of what is in memory", () => {
    const limits = readFileSync(`/proc/${neap.pid}/limits`, "utf8");
    assert.match(limits, /^Max core file size\s+0\s+0\s/m);
  });
});

test("what is sealed of a provider reaches it, also when the master key was rotated", async (t) => {
  const watch = new Watch();
  const up = await upstream(t);
  const neap = await serve_admin(t, "", { first: { private_upstreams: "true" } });
  const as = await neap.admin.token("write");
  const header = watch.plant("a stored header", "");
  const headers = { "X-Own": header };
  const body = { name: "p", dialect: "openai", url: up.url, keyless: true, headers };
  const call = (where, options) => neap.admin.call(`/api/v1/providers${where}`, { as, ...options });
  assert.equal((await call("", { body })).status, 201);
  const reaches = async () => {
    assert.equal((await chat(neap, say("p/m"))).status, 200);
    assert.equal(up.last.header("x-own"), header);
    assert.deepEqual(watch.found(neap), []);
  };
  await reaches();
  const kept = { note: "changed", headers: { "X-Own": "(hidden)" } };
  const changed = await call("/p", { method: "PATCH", body: kept });
  assert.equal(changed.json.note, "changed", changed.text);
  await reaches();
  const rotated = await run(t, ["key", "rotate"], { cwd: neap.folder });
  assert.equal(rotated.code, 0, rotated.text);
  await neap.reload();
  await reaches();
  await neap.admin.restart();
  await reaches();
});
