/* What `neap import` refuses: files that are damaged, made to do harm, or of something else. Each
 * is an error in words, and nothing is changed. */
import test from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { serve_admin } from "./support/admin.mjs";
import { run } from "./support/neap.mjs";
import { database, import_files, niceapi, old_file, siliconflow } from "./support/old_router.mjs";
import { folder } from "./support/story.mjs";

const ENDPOINT = "https://one.test/v1/chat/completions";
const provider = (id, more) => ({ id, name: `p${id}`, api_endpoint: ENDPOINT, model: "m",
  api_key: `sk-of-the-provider-${id}`, is_active: 1, ...more });

/* A neap whose stored configuration must be the same after the refusal. */
async function refusing(t) {
  const neap = await serve_admin(t, "");
  const as = await neap.admin.token("write");
  const stored = () => neap.admin.call("/api/v1/configuration/export", { as });
  const before = await stored(), generation = await neap.generation();
  return async (files, pattern, options = {}) => {
    const list = [files].flat();
    const ended = await import_files(t, neap, list,
      { ...options, secrets: ["sk-of-the-provider-1"] });
    assert.equal(ended.code, options.code ?? 1, ended.text);
    assert.match(ended.stderr, pattern);
    assert.equal(ended.stdout, "");
    const now = await stored();
    assert.equal(now.headers.etag, before.headers.etag, ended.text);
    assert.equal(await neap.generation(), generation);
    return neap;
  };
}

const place = (t) => {
  const own = folder(t);
  return (name, text) => {
    const file = path.join(own, name);
    if (text !== undefined) writeFileSync(file, text);
    return file;
  };
};

test("files that are no database, and databases of something else", async (t) => {
  const at = place(t), refused = await refusing(t);
  await refused(at("absent.db"), /absent\.db: No such file or directory/);
  await refused(at("empty.db", ""), /of no system that neap knows/);
  await refused(at("picture.png", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2])),
    /no SQLite database, and no text either/);
  await refused(database(at("other.db"), { films: { columns: "id, title" } }),
    /other\.db is of no system that neap knows: it is a database with other tables/);
  await refused(at("notes.yaml", "a: 1\nb: [2]\n"), /of no system that neap knows/);
  await refused(at("some.env", "PATH=/bin\n"), /no system that neap knows has these variables/);
  await refused(at("text.txt", "Dear neap,\n\tplease import me: now\n: - ]"), /it is no YAML/);
  await refused(at("config.yaml", "model_list: []\n"), /is not NiceAPI's/,
    { args: ["--from", "niceapi"] });
  await refused(at("config.yaml"), /there is no system "other": niceapi, /,
    { args: ["--from", "other"], code: 2 });
});

test("a database that is cut off, or has holes in it", async (t) => {
  const at = place(t), refused = await refusing(t);
  const rows = Array.from({ length: 400 }, (_, index) => provider(index + 1));
  const whole = readFileSync(niceapi(at("whole.db"), { api_providers: rows }));
  await refused(at("cut.db", whole.subarray(0, whole.length / 2)), /cut\.db: .*damaged/);
  await refused(at("head.db", whole.subarray(0, 60)), /head\.db: .*(damaged|no SQLite)/);
  const holed = Buffer.from(whole);
  holed.fill(0x5a, 4096, holed.length - 4096);
  await refused(at("holed.db", holed), /holed\.db: .*(damaged|malformed)/);
});

test("values that are not of their type", async (t) => {
  const at = place(t), refused = await refusing(t);
  let count = 0;
  const with_rows = (rows) => niceapi(at(`${++count}.db`), rows);
  const one = provider(1);
  await refused(with_rows({ api_providers: [{ ...one, price_per_million_tokens: "cheap" }] }),
    /api_providers, row 1: price_per_million_tokens must be a number/);
  await refused(with_rows({ api_providers: [{ ...one, price_per_million_tokens: 1e300 }] }),
    /provider\/one\.test: .*input/);
  await refused(with_rows({ api_providers: [one, { ...provider(2), is_active: "perhaps" }] }),
    /api_providers, row 2: is_active must be true or false/);
  await refused(with_rows({ api_providers: [{ ...one, api_endpoint: "ftp://x/y" }] }),
    /nothing is imported:\n {2}provider\/.* must be an http or https URL/);
  await refused(with_rows({ groups: [{ id: 1, name: null }] }),
    /groups, row 1: name is missing \(NULL\)/);
  await refused(with_rows({ groups: [{ id: 1, name: Buffer.from([0x61, 0, 0x62]) }] }),
    /groups, row 1: name must be a text/);
  await refused(with_rows({ api_providers: [one], groups: [{ id: 1, name: "g" }],
    provider_group_association: [{ provider_id: 1, group_id: 1, priority: "first" }] }),
    /priority must be a whole number/);
  await refused(with_rows({ settings: [{ key: "failover_threshold_count", value: "many" }] }),
    /failover_threshold_count must be a whole number/);
  const api_keys = [{ key: "k".repeat(20), balance: "much" }];
  await refused(siliconflow(at("pool.db"), { api_keys }),
    /balance must be a number/);
  await refused(at(".env", "API_KEYS=[1, 2]\n"), /API_KEYS must be a list of texts/);
  await refused(at("config.yaml", "model_list: 7\n"), /model_list must be a list/);
  await refused(at("config.yaml", "model_list: [{ model_name: a, litellm_params: [] }]\n"),
    /entry 1: litellm_params must be a mapping/);
});

test("what is made to take long, or much", async (t) => {
  const at = place(t), refused = await refusing(t);
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [name, of] of ["ba", "cb", "dc", "ed", "fe", "gf", "hg", "ih"].map((two) => [...two]))
    bomb.push(`${name}: &${name} [${Array(9).fill(`*${of}`).join(", ")}]`);
  await refused(at("bomb.yaml", `${bomb.join("\n")}\nmodel_list: *i\n`), /says too much/);
  await refused(at("ring.yaml", "model_list: &a [*a]\n"), /nests too deep/);
  await refused(at("deep.yaml", `model_list: ${"[".repeat(5000)}${"]".repeat(5000)}\n`),
    /nests too deep|no YAML/);
  await refused(at("merged.yaml", "a: &a { <<: *a }\nmodel_list: []\n"), /nests too deep|no YAML/);
  await refused(at("large.yaml", `model_list: "${"x".repeat(5 << 20)}"\n`), /large\.yaml: /);

  const endless = at("endless.db");
  const made = new DatabaseSync(endless);
  made.exec(`CREATE TABLE provider_group_association (a);
    CREATE VIEW api_providers (api_endpoint, api_key) AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i FROM n`);
  made.close();
  await refused(endless, /it is a database with other tables/, {});
  await refused(niceapi(at("huge.db"), { groups: [{ id: 1, name: "x".repeat(9 << 20) }] }),
    /too large to be read|malformed|too big/);
  const long = { id: 1, name: "y".repeat(3000) };
  const neap_says = niceapi(at("long.db"), { groups: [long] });
  const ended = await run(t, ["import", "-c", at("router.lua", ""), "--dry-run", neap_says]);
  assert.equal(ended.code, 0, ended.text);
  assert.match(ended.stdout, /group y+…: it has a name of more than 200 bytes/);
});

test("names that are there twice are told apart", async (t) => {
  const at = place(t);
  const rows = { api_providers: [provider(1), provider(2), provider(1, { id: 3 })],
    groups: [{ id: 1, name: "g" }],
    provider_group_association: [3, 1, 2].map((id, index) =>
      ({ provider_id: id, group_id: 1, priority: index + 1 })) };
  const ended = await run(t, ["import", "-c", at("router.lua", ""), "--dry-run",
    niceapi(at("twice.db"), rows)]);
  assert.equal(ended.code, 0, ended.text);
  assert.match(ended.stdout, /provider one\.test: .*\n {2}provider one\.test-2: /);
  assert.match(ended.stdout, /group g: 2 targets/);
});

test("a provider at a private address takes private_upstreams, and says so", async (t) => {
  const at = place(t), refused = await refusing(t);
  const file = niceapi(at("private.db"),
    { api_providers: [provider(1, { api_endpoint: "http://127.0.0.1:9/v1/chat/completions" })] });
  await refused(file, /private address, which takes private_upstreams = true in router\.lua/);
});

test("a wrong command line, and a configuration that cannot be loaded", async (t) => {
  const at = place(t);
  const none = await run(t, ["import"]);
  assert.equal(none.code, 2, none.text);
  assert.match(none.stderr, /import needs a file/);
  const odd = await run(t, ["import", "--nonsense", "x"]);
  assert.equal(odd.code, 2, odd.text);
  const file = niceapi(at("a.db"), {});
  const broken = await run(t, ["import", "-c", at("router.lua", "nonsense {"), file]);
  assert.equal(broken.code, 78, broken.text);
  assert.match(broken.stderr, /router\.lua:1:/);
});

test("a locked database is waited for, and then told", async (t) => {
  const neap = await serve_admin(t, "");
  const file = niceapi(old_file(neap, "api_server.db"), { groups: [{ id: 1, name: "g" }] });
  const owner = new DatabaseSync(file);
  owner.exec("BEGIN EXCLUSIVE");
  const ended = await import_files(t, neap, ["--dry-run", file]);
  owner.close();
  assert.equal(ended.code, 1, ended.text);
  assert.match(ended.stderr, /another program holds the database locked/);
});

test("a database with a -wal file is read with it, and one without it gets none", async (t) => {
  const neap = await serve_admin(t, "");
  mkdirSync(path.join(neap.folder, "an old#router?"));
  const file = niceapi(old_file(neap, "an old#router?/100%.db"), { groups: [{ id: 1, name: "g" }] });
  const dry = async () => {
    const ended = await import_files(t, neap, ["--dry-run", file]);
    assert.equal(ended.code, 0, ended.text);
    return ended.stdout;
  };
  const beside = () => readdirSync(path.dirname(file)).sort();
  const owner = new DatabaseSync(file);
  owner.exec("PRAGMA journal_mode = WAL; INSERT INTO groups VALUES (2, 'late')");
  assert.ok(beside().includes("100%.db-wal"));
  assert.match(await dry(), /group late: 0 targets/, "what is in the -wal file alone");
  owner.close();
  assert.deepEqual(beside(), ["100%.db"]);
  assert.match(await dry(), /group late: 0 targets/);
  assert.deepEqual(beside(), ["100%.db"], "nothing is left in the folder of another program");
});
