/* Who may do what on the admin side, over HTTP: every operation of the OpenAPI document as every
 * kind of caller. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { PASSWORD, cookie_of, serve_admin } from "./support/admin.mjs";
import { group, provider, token } from "./support/lua.mjs";
import { operations_of } from "./support/openapi.mjs";
import { later, until } from "./support/story.mjs";
import { upstream } from "./support/upstream.mjs";

const CLIENT = "sk-neap-client-of-the-story-01";
const SCOPES = [
  ["read"],
  ["write"],
  ["keys"],
  ["read", "keys"],
  ["write", "keys"],
  ["read", "write", "keys"],
];
const UNKNOWN = "01900000-0000-7000-8000-000000000000";

async function serve_roles(t) {
  const up = await upstream(t);
  const config = provider("a", up) + group("pool", ["a"]) + token("client", { secret: CLIENT });
  const neap = await serve_admin(t, config);
  neap.agent = new http.Agent({ keepAlive: true });
  later(t, () => neap.agent.destroy());
  return neap;
}

/* Asks for the operation with nothing in it, about things that are not there. */
function ask(neap, operation, options) {
  const value = (name) => (["number", "provider", "version"].includes(name) ? "999999" : UNKNOWN);
  const values = Object.fromEntries(
    operation.parameters("path").map(({ name }) => [name, value(name)]),
  );
  const has_body = Object.keys(operation.body).length > 0;
  return neap.admin.call(operation.path(values), {
    method: operation.method,
    agent: neap.agent,
    body: has_body ? {} : undefined,
    ...options,
  });
}

const code = (answer) => `${answer.status} ${answer.json.error.code}`;
const is_endless = (one) => one.route === "/api/v1/records/tail";
const is_logout = (one) => one.route === "/logout";
const may = (scopes, scope) =>
  scopes.includes(scope) || (scope === "read" && scopes.includes("write"));

test("every operation as every kind of caller", async (t) => {
  const neap = await serve_roles(t);
  const { admin } = neap;
  const operations = (await operations_of(admin)).filter((one) => one.scope !== "open");
  assert.ok(operations.length > 100);
  const cookie = await admin.session();
  const expires = new Date(Date.now() + 3000).toISOString();
  const short = await admin.call("/api/v1/admin_tokens", {
    session: cookie,
    body: { name: "short", scopes: ["read", "write", "keys"], expires },
  });
  assert.equal(short.status, 201, short.text);
  const ended = await admin.session();
  assert.equal((await admin.call("/logout", { method: "POST", session: ended })).status, 204);
  await until(() => Date.now() > Date.parse(expires), "the token to expire");

  for (const [name, options] of [
    ["nobody", {}],
    ["a client's token", { as: CLIENT }],
    ["a token that has expired", { as: short.json.secret }],
    ["a session that was logged out", { session: ended }],
    ["a session's cookie of another's making", { session: "neap_session=abc" }],
    ["the password as a bearer", { as: PASSWORD.replaceAll(" ", "-") }],
  ])
    await t.test(name, async () => {
      for (const operation of operations) {
        const got = await ask(neap, operation, options);
        assert.equal(code(got), "401 unauthorized", operation.name);
        assert.equal(got.headers.location, undefined);
        assert.equal(operation.fault_of(got), null, operation.name);
      }
      for (const path of ["/", "/nothing", "/api/v1/nothing", "/providers", "/v1/keys/list", "/hf"])
        assert.equal(code(await admin.call(path, options)), "401 unauthorized", path);
    });

  for (const scopes of SCOPES)
    await t.test(`a token with ${scopes.join(" and ")}`, async () => {
      const as = await admin.token(...scopes);
      for (const operation of operations) {
        const is_allowed = may(scopes, operation.scope);
        if (is_allowed && is_endless(operation)) continue;
        const got = await ask(neap, operation, { as });
        if (is_allowed) assert.notEqual(got.status, 401, operation.name);
        else assert.equal(code(got), "403 forbidden", operation.name);
        assert.equal(operation.fault_of(got), null, operation.name);
      }
      const wider = { name: "wider", scopes: ["read", "write", "keys"] };
      const made = await admin.call("/api/v1/admin_tokens", { as, body: wider });
      assert.equal(code(made), "403 forbidden", "no token makes a token");
      const right = { name: `of-${scopes.join("-")}`, rights: ["keys"] };
      const client = await admin.call("/api/v1/tokens", { as, body: right });
      const is_enough = scopes.includes("write") && scopes.includes("keys");
      assert.equal(client.status, is_enough ? 201 : 403, "a client's token that sees keys");
    });

  await t.test("a session, with the header that writes need and without it", async () => {
    for (const operation of operations.filter((one) => !is_endless(one) && !is_logout(one))) {
      const got = await ask(neap, operation, { session: cookie });
      assert.notEqual(got.status, 401, operation.name);
      assert.doesNotMatch(got.text, /"forged"/, operation.name);
      const bare = await ask(neap, operation, { headers: { cookie } });
      const is_compat = operation.described.tags.includes("compat");
      if (operation.method !== "GET" && !is_compat)
        assert.equal(code(bare), "403 forged", operation.name);
      const foreign = await ask(neap, operation, {
        headers: { cookie, "x-neap-request": "1", origin: "http://evil.example" },
      });
      if (operation.method !== "GET")
        assert.equal(code(foreign), "403 foreign_origin", operation.name);
    }
  });
});

test("a new password ends every session but the one that it begins", async (t) => {
  const { admin } = await serve_roles(t);
  const [one, other] = [await admin.session(), await admin.session()];
  const changed = await admin.call("/api/v1/password", {
    session: one,
    body: { password: PASSWORD, new_password: "another password" },
  });
  assert.equal(changed.status, 200, changed.text);
  for (const session of [one, other])
    assert.equal((await admin.call("/api/v1/session", { session })).status, 401);
  assert.equal((await admin.call("/api/v1/session", { session: cookie_of(changed) })).status, 200);
  assert.equal((await admin.login(PASSWORD)).status, 401);
});
