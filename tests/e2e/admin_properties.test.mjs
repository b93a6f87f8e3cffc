/* The admin side against its own OpenAPI document: whatever a request holds, the answer is one
 * that the document declares, nothing fails, and what is refused or only read changes nothing.
 *
 * A failure shows the seed and the request. NEAP_SEED=<seed> makes the same requests again (the
 * short form always makes those of seed 1), NEAP_OPERATION=<part of a name> only those of some
 * operations, and NEAP_RUNS says how many of each. */
import test from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { serve_admin } from "./support/admin.mjs";
import { chat, open, say } from "./support/client.mjs";
import { fast_check as fc, operations_of } from "./support/openapi.mjs";
import { Maker } from "./support/requests.mjs";
import { deep, later, patience } from "./support/story.mjs";
import { answer, refusing, reply, upstream } from "./support/upstream.mjs";

const SEED = Number(process.env.NEAP_SEED ?? (deep ? Math.floor(Math.random() * 2 ** 30) : 1));
const ONLY = process.env.NEAP_OPERATION ?? "";
const RUNS = Number(process.env.NEAP_RUNS ?? (deep ? 200 : 10));
const SECONDS = deep ? 150 : 30; // for all operations together, shared among them

/* Each operation gets other values. */
const hash = (text) => [...text].reduce((sum, one) => (sum * 31 + one.charCodeAt(0)) & 0xffff, 7);

const POLICY = `local policy = require "neap.policy"
local mine = policy.define { summary = "Passes on." }
function mine:run(request, next) return next(request) end
return mine
`;

/* What the requests may be about; made anew when a request has taken it away. */
const SEEDS = [
  [
    "/api/v1/providers",
    { name: "alpha", dialect: "openai", models: { m: { input: 1, output: 2 } } },
  ],
  ["/api/v1/providers/alpha/keys", { secret: "sk-of-the-properties-0001" }],
  ["/api/v1/groups", { name: "team", targets: [{ provider: "alpha", model: "m" }] }],
  ["/api/v1/tokens", { name: "app", groups: ["team"] }],
  ["/api/v1/keywords", { text: "no such words" }],
  ["/api/v1/keywords", { text: "nor such ones" }],
];

class World {
  async open(t) {
    const up = await upstream(t);
    up.always((call) =>
      call.path.endsWith("/models")
        ? reply(200, { data: [{ id: "m" }, { id: "m2" }] })
        : call.method === "POST" && call.body.length
          ? answer("ok")(call)
          : reply(200, {}),
    );
    const nobody = await refusing();
    const neap = await serve_admin(t, 'group "echo" { policies = { "echo" } }\n', {
      first: { private_upstreams: "true", workers: "1", storage: '"data"' },
    });
    this.neap = neap;
    this.admin = neap.admin;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    later(t, () => this.agent.destroy());
    this.urls = [up.url, up.root, `${up.url}/chat/completions`, nobody.url];
    this.session = await this.admin.session();
    this.spare = await Promise.all([1, 2, 3].map(() => this.admin.session()));
    const [, , victim] = this.spare;
    this.victim = (await this.list("/api/v1/sessions", victim)).find((one) => one.is_current).id;
    this.as = await this.admin.token("write", "keys");
    [{ id: this.own_token }] = await this.list("/api/v1/admin_tokens", this.session);
    await this.seed();
    for (let index = 0; index < 3; index++)
      await chat(neap, say("echo"), { "x-conversation-id": "talk-1" });
    this.operations = await operations_of(this.admin);
    return this;
  }

  /* One call; of an answer that has no end, its beginning. */
  async send({ method, path, headers, body }, { is_endless, session } = {}) {
    const given = session
      ? { cookie: session, "x-neap-request": "1" }
      : { authorization: `Bearer ${this.as}` };
    const started = await open(this.admin.at, path, {
      method,
      body,
      agent: is_endless ? false : this.agent,
      headers: {
        ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
        ...given,
        ...headers,
      },
      patience_ms: patience(30000),
    });
    if (!is_endless || started.status !== 200) return started.whole();
    started.leave();
    return started;
  }

  write(method, path, body) {
    const headers = { "content-type": "application/json" };
    return this.send({ method, path, headers, body: JSON.stringify(body) });
  }

  async seed() {
    const before = await this.tag();
    for (const [path, body] of SEEDS) {
      const full = path.endsWith("providers") ? { ...body, url: this.urls[0] } : body;
      const made = await this.write("POST", path, full);
      assert.equal(made.status, 201, `${path}: ${made.text}`);
    }
    await this.write("PUT", "/api/v1/policies/mine", { text: POLICY });
    assert.notEqual(await this.tag(), before, "a change shows in the tag");
    this.configuration = (await this.export()).json;
  }

  export() {
    return this.send({ method: "GET", path: "/api/v1/configuration/export" });
  }

  /* Makes everything as it was after seed(). */
  async restore() {
    const path = "/api/v1/configuration/import?mode=replace";
    const got = await this.write("POST", path, this.configuration);
    assert.equal(got.status, 200, got.text);
  }

  async list(path, session) {
    const { json } = await this.send({ method: "GET", path }, { session });
    return Array.isArray(json) ? json : json.items;
  }

  /* Names, numbers and ids of what is there now. */
  async known() {
    const ids = async (path, name = "id") => (await this.list(path)).map((one) => one[name]);
    const records = await ids("/api/v1/records");
    const keys = await ids("/api/v1/providers/alpha/keys");
    const tokens = (await this.list("/api/v1/admin_tokens", this.session)).map((one) => one.id);
    const numbers = {};
    for (const what of ["providers", "groups", "keys", "keywords"])
      numbers[`${what}/number`] = (await ids(`/api/${what}/`)).filter(Number.isInteger);
    numbers["providers/provider"] = numbers["providers/number"];
    return {
      names: ["alpha", "team", "app", "mine", "echo", "openai", "m", "new"],
      urls: this.urls,
      by: {
        "records/id": records,
        "keys/id": keys,
        "conversations/id": ["talk-1"],
        "keywords/id": await ids("/api/v1/keywords"),
        "admin_tokens/id": tokens.filter((id) => id !== this.own_token),
        "sessions/id": [this.victim],
        "providers/name": ["alpha"],
        "groups/name": ["team"],
        "tokens/name": ["app"],
        "policies/name": ["mine", "new", "priority_failover"],
        "jobs/name": await ids("/api/v1/jobs", "name"),
        "versions/version": ["1", "2"],
        "logs/log": records,
        "settings/key": ["failure_threshold", "AUTO_REFRESH_INTERVAL"],
        ...numbers,
        id: Object.values(numbers).flat(),
        group_ids: numbers["groups/number"],
        group_id: numbers["groups/number"],
        provider_id: numbers["providers/number"],
        policies: ["priority_failover", "key_rotation", "mine", "rate_limit"],
        time_zone: ["Europe/Berlin", "+08:00"],
        zone: ["Europe/Berlin", "+08:00"],
        text: [POLICY, "return 1", "sk-one-more-key-000001\nsk-one-more-key-000002"],
        key: ["sk-of-the-properties-0001", "AUTO_REFRESH_INTERVAL"],
        cursor: ["", "0"],
      },
    };
  }

  /* The tag of all that is stored; another one after a change. */
  async tag() {
    const got = await this.export();
    assert.equal(got.status, 200, got.text);
    return got.headers.etag;
  }
}

const ENDLESS = ["/api/v1/records/tail"];
/* Each logout needs a login, and of streams that are left no more than 20 are open at once. */
const MOST = { "/logout": 3, "/api/v1/records/tail": 10 };
/* GETs of which the document says that they do something. */
const WITH_EFFECT = ["GET /logout", "GET /export_keys"];

/* Where a provider is asked, its failure may show. */
function is_failure(operation, status) {
  return status >= 500 && !([502, 503, 504].includes(status) && operation.described.responses[502]);
}

async function hold(world, operation, may_change) {
  const known = await world.known();
  const maker = new Maker(world.operations.document, known);
  const options = { is_endless: ENDLESS.includes(operation.route) };
  if (operation.scope === "session") options.session = world.session;
  if (operation.route === "/logout")
    options.session = world.spare[operation.method === "GET" ? 0 : 1];
  let tag = await world.tag();
  const judge = async (request) => {
    const got = await world.send(request, options);
    const after = await world.tag();
    const has_changed = after !== tag;
    tag = after;
    const said = `${got.status} ${got.text.slice(0, 600)}`;
    assert.ok(!is_failure(operation, got.status), said);
    assert.equal(operation.fault_of(got), null, said);
    assert.match(got.headers["x-request-id"] ?? "", /^[0-9a-f-]{36}$/);
    if (!may_change || got.status >= 400) assert.ok(!has_changed, `it changed something: ${said}`);
  };
  let last;
  const property = fc.asyncProperty(maker.request(operation), (request) => {
    last = { request, judged: judge(request) };
    return last.judged;
  });
  const share = Math.max(200, (2 * (world.ends - performance.now())) / world.left--);
  const result = await fc.check(property, {
    seed: SEED + hash(operation.name),
    numRuns: Math.min(RUNS, MOST[operation.route] ?? Infinity),
    interruptAfterTimeLimit: share,
    endOnFailure: !deep,
  });
  // When the time is up the last request still runs: it is judged, too, and does not run into
  // those of the next operation.
  const failure = await last?.judged.then(
    () => null,
    (error) => error,
  );
  if (result.counterexample === null && !failure) return;
  const [request] = result.counterexample ?? [last.request];
  assert.fail(
    `NEAP_SEED=${SEED}: ${JSON.stringify(request)}\n${(result.errorInstance ?? failure).message}\n` +
      `the log ends with\n${world.neap.tail()}`,
  );
}

test("every operation, whatever it is sent, answers as the document says", async (t) => {
  t.diagnostic(`NEAP_SEED=${SEED}`);
  const world = await new World().open(t);
  world.ends = performance.now() + SECONDS * 1000;
  const wanted = world.operations.filter((one) => one.name.includes(ONLY));
  world.left = wanted.length;
  const reads = wanted.filter((one) => one.method === "GET");
  const writes = wanted.filter((one) => one.method !== "GET");
  for (const operation of reads) {
    const may_change = WITH_EFFECT.includes(operation.name);
    await t.test(operation.name, () => hold(world, operation, may_change));
  }
  // Guesses of passwords come last: they make everybody at this address wait.
  const is_login = (one) => one.scope === "open" || one.route === "/api/v1/password";
  for (const operation of [...writes].sort((one, other) => is_login(one) - is_login(other))) {
    if (!is_login(operation)) await world.restore();
    await t.test(operation.name, () => hold(world, operation, true));
  }
});
