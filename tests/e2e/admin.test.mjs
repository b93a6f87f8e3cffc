/* The admin side as a whole: its own listener and worker, the first password, logins that last,
 * and changes that are in force. */
import test from "node:test";
import assert from "node:assert/strict";
import { certificate } from "./support/certificate.mjs";
import { chat, get, say } from "./support/client.mjs";
import { cookie_of, PASSWORD, serve_admin } from "./support/admin.mjs";
import { run } from "./support/neap.mjs";
import { until } from "./support/story.mjs";

const ECHO = 'group "echo" { policies = { "echo" } }\n';

const code = (answer) => `${answer.status} ${answer.json.error.code}`;

test("the admin side is a side of its own", async (t) => {
  const neap = await serve_admin(t, ECHO);
  const { admin } = neap;

  await t.test("clients' workers know no admin path", async () => {
    for (const path of ["/login", "/openapi.json", "/api/v1/settings", "/setup"])
      assert.equal((await get(neap, path)).status, 404, path);
  });

  await t.test("strangers get 401 for all but what is open", async () => {
    for (const method of ["GET", "POST", "PATCH", "DELETE", "OPTIONS"]) {
      for (const path of [
        "/",
        "/metrics",
        "/providers",
        "/api/keys",
        "/v1/chat/completions",
        "/api/v1/settings",
        "/api/v1/settings?x=%zz",
        "/api/v1//settings",
        "/%2e%2e/%2e%2e/etc/passwd",
      ]) {
        const answer = await admin.call(path, { method });
        assert.equal(answer.status, 401, `${method} ${path}`);
        assert.equal(answer.json.error.code, "unauthorized");
      }
    }
    assert.equal((await admin.call("/health")).json.status, "healthy");
    assert.equal((await admin.call("/openapi.json")).json.openapi, "3.1.0");
    const head = await admin.call("/health", { method: "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(head.text, "");
  });

  await t.test("a name that points at this machine is refused", async () => {
    const answer = await admin.call("/health", { headers: { host: "evil.example" } });
    assert.equal(code(answer), "403 foreign_host");
  });

  await t.test("what breaks a limit has the same shape", async () => {
    const session = await admin.session();
    const long = await admin.call("/api/v1/settings", {
      method: "PATCH",
      session,
      body: Buffer.alloc(3 * 1024 * 1024, " "),
    });
    assert.equal(code(long), "413 too_large");
    const broken = await admin.call("/api/v1/settings", { method: "PATCH", session, body: "{" });
    assert.equal(code(broken), "400 invalid_json");
  });

  await t.test("its requests are no clients' requests", async () => {
    const before = neap.requests().length;
    await admin.call("/health");
    const answer = await chat(neap, say("echo"));
    await neap.line(answer);
    assert.equal(neap.requests().length, before + 1);
  });
});

test("the first password, by the link in the log", async (t) => {
  const neap = await serve_admin(t, ECHO, { password: null });
  const { admin } = neap;
  const line = await neap.says(/\/setup\?token=/);
  const { pathname, search, port } = new URL(/http:[^"\s]+/.exec(line)[0]);
  assert.equal(Number(port), admin.at.port);

  assert.equal(code(await admin.login("admin")), "401 wrong_password");
  const before = neap.lines.length;
  await neap.reload();
  await neap.says(/generation 2 is in force/, before);
  const form = await admin.call(pathname + search);
  assert.equal(form.status, 200);
  assert.match(form.headers["content-type"], /^text\/html/);
  const token = /name="token" value="([^"]+)"/.exec(form.text)[1];
  const made = await admin.call("/setup", {
    body: new URLSearchParams({ token, username: "root", password: "my own password" }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  assert.equal(made.status, 200, made.text);
  const who = await admin.call("/api/v1/session", { session: cookie_of(made) });
  assert.equal(who.json.name, "root");
  assert.equal((await admin.call(pathname + search)).status, 401, "it works once");
  assert.equal(
    neap.lines.filter((text) => text.includes("/setup?token=")).length,
    1,
    "a reload shows no other link",
  );
});

test("logins and changes outlive the process, secrets do not show", async (t) => {
  const neap = await serve_admin(t, ECHO, { first: { log: '"debug"' } });
  const { admin } = neap;
  const session = await admin.session();
  const token = await admin.token("write");

  const first = await admin.call("/api/v1/settings", { as: token });
  const changed = await admin.call("/api/v1/settings", {
    method: "PATCH",
    as: token,
    body: { time_zone: "Europe/Berlin" },
    headers: { "if-match": first.headers.etag },
  });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(await neap.generation(), 2, "it is in force when the answer comes");
  const late = await admin.call("/api/v1/settings", {
    method: "PATCH",
    as: token,
    body: { time_zone: "UTC" },
    headers: { "if-match": first.headers.etag },
  });
  assert.equal(code(late), "412 changed");

  await admin.restart();
  const after = await admin.call("/api/v1/settings", { session });
  assert.equal(after.json?.time_zone, "Europe/Berlin", after.text);
  const log = await admin.call("/api/v1/audit?action=update", { as: token });
  assert.equal(log.json.items[0].actor.kind, "token");
  for (const secret of [session.split("=")[1], token, PASSWORD])
    assert.ok(!neap.text().includes(secret), "a secret in the log");
});

test("a reload that is refused says why, and the old generation stays", async (t) => {
  const neap = await serve_admin(t, ECHO);
  const { admin } = neap;
  const token = await admin.token("write");
  neap.configure(`${ECHO}group "x" { targets = { { "nobody", "m" } } }\n`);
  const refused = await admin.call("/api/v1/generations", { method: "POST", as: token });
  assert.equal(code(refused), "422 invalid_configuration");
  assert.match(refused.json.error.details[0], /router\.lua:3: .*nobody/);
  const listed = await admin.call("/api/v1/generations", { as: token });
  assert.equal(listed.json.current, 1);
  assert.match(listed.json.loads[0].errors[0], /nobody/);
  neap.configure(ECHO);
  const done = await admin.call("/api/v1/generations", { method: "POST", as: token });
  assert.equal(done.json.generation, await neap.generation());
});

test("a body with more in it than can be read at once is refused", async (t) => {
  const { admin } = await serve_admin(t, ECHO);
  const as = await admin.token("write");
  const headers = { "content-type": "application/json" };
  const objects = `[${"{},".repeat(600000)}{}]`;
  const targets = `{"name":"g","targets":[${"{},".repeat(600000)}{}]}`;
  for (const path of ["/api/v1/keywords", "/api/v1/groups", "/login"])
    for (const body of [objects, targets])
      assert.equal(code(await admin.call(path, { as, body, headers })), "413 too_large", path);
  const text = "x".repeat(2000000);
  assert.equal(code(await admin.call("/api/v1/keywords", { as, body: { text } })), "422 invalid");
});

test("guesses wait longer and longer, and others are served meanwhile", async (t) => {
  const neap = await serve_admin(t, ECHO);
  const { admin } = neap;
  const session = await admin.session();
  const guesses = await Promise.all(Array.from({ length: 20 }, () => admin.login("a wrong one")));
  const statuses = guesses.map((answer) => answer.status);
  assert.ok(statuses.includes(429), `${statuses}`);
  assert.ok(
    statuses.filter((status) => status !== 429).length <= 6,
    `more than the free guesses were looked at: ${statuses}`,
  );
  assert.ok(Number(guesses.find((answer) => answer.status === 429).headers["retry-after"]) >= 1);
  assert.equal((await admin.call("/api/v1/settings", { session })).status, 200);
  assert.equal((await chat(neap, say("echo"))).status, 200);
});

test("over TLS the cookie is bound to it", async (t) => {
  const { cert_path, key_path, cert } = certificate(t);
  const neap = await serve_admin(t, ECHO, {
    tls: { ca: cert },
    first: { tls: `{ certificate = "${cert_path}", key = "${key_path}" }` },
  });
  const answer = await neap.admin.login();
  assert.match(answer.headers["set-cookie"][0], /^__Host-neap_session=.*; Secure$/);
  assert.match(answer.headers["strict-transport-security"], /max-age/);
  const who = await neap.admin.call("/api/v1/session", { session: cookie_of(answer) });
  assert.equal(who.status, 200);
});

test("a password in the environment that is too short keeps neap from starting", async (t) => {
  const neap = await serve_admin(t, ECHO);
  await neap.stop();
  const ended = await run(t, ["serve", "-c", `${neap.folder}/router.lua`], {
    env: { NEAP_ADMIN_PASSWORD: "short" },
  });
  assert.equal(ended.code, 78);
  assert.match(ended.text, /NEAP_ADMIN_PASSWORD: a password has 10/);
});

test("a change through the API disturbs no request", async (t) => {
  const neap = await serve_admin(t, ECHO);
  const { admin } = neap;
  const token = await admin.token("write");
  let is_over = false,
    count = 0;
  const load = (async () => {
    while (!is_over) {
      const answer = await chat(neap, say("echo"));
      assert.equal(answer.status, 200, answer.text);
      count++;
    }
  })();
  for (let index = 1; index <= 5; index++) {
    const answer = await admin.call("/api/v1/settings", {
      method: "PATCH",
      as: token,
      body: { time_zone: `+0${index}:00` },
    });
    assert.equal(answer.status, 200, answer.text);
  }
  await until(
    () => count > 20,
    () => `20 requests; there were ${count}`,
  );
  is_over = true;
  await load;
  assert.ok((await neap.generation()) >= 6);
});
