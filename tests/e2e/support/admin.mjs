/* The admin side of a neap of a story: a listener of its own, a password, and callers. */
import assert from "node:assert/strict";
import { open } from "./client.mjs";
import { serve } from "./neap.mjs";
import { free_port, until } from "./story.mjs";

export const PASSWORD = "the story's password";

class Admin {
  constructor(neap, port) {
    this.neap = neap;
    this.at = { port, scheme: neap.scheme, tls: neap.tls };
  }

  /* One call, whole. options: method, body, headers, as (a bearer), session (a cookie's
   * value, with the header that writes need). */
  async call(path, { as, session, headers = {}, ...options } = {}) {
    const more = {};
    if (as) more.authorization = `Bearer ${as}`;
    if (session) Object.assign(more, { cookie: session, "x-neap-request": "1" });
    const answer = await open(this.at, path, { ...options, headers: { ...more, ...headers } });
    return answer.whole();
  }

  /* Until its listener is open: it is the last. */
  async ready() {
    await until(
      () =>
        this.call("/health").then(
          (answer) => answer.status === 200,
          () => false,
        ),
      () => `the admin side to answer; the log ends with\n${this.neap.tail()}`,
    );
  }

  /* Ends neap and starts it again on the same folder. */
  async restart() {
    await this.neap.stop();
    await this.neap.start();
    await this.ready();
  }

  login(password = PASSWORD, headers = {}) {
    return this.call("/login", { body: { username: "admin", password }, headers });
  }

  /* A session's cookie as "name=value". */
  async session(password) {
    const answer = await this.login(password);
    assert.equal(answer.status, 200, answer.text);
    return cookie_of(answer);
  }

  /* An admin token with these scopes. */
  async token(...scopes) {
    const answer = await this.call("/api/v1/admin_tokens", {
      session: await this.session(),
      body: { name: scopes.join("-"), scopes },
    });
    assert.equal(answer.status, 201, answer.text);
    return answer.json.secret;
  }
}

export const cookie_of = (answer) => answer.headers["set-cookie"][0].split(";")[0];

/* A neap with an admin side; neap.admin calls it. password: null leaves it without one. */
export async function serve_admin(t, config, options = {}) {
  const port = await free_port();
  const { password = PASSWORD, ...rest } = options;
  const neap = await serve(t, config, {
    ...rest,
    first: { admin: `{ listen = "127.0.0.1:${port}" }`, ...rest.first },
    env: { ...(password ? { NEAP_ADMIN_PASSWORD: password } : {}), ...rest.env },
  });
  neap.admin = new Admin(neap, port);
  await neap.admin.ready();
  if (password) await neap.says(/the password of \\?"admin\\?" is the environment's/);
  return neap;
}
