/* A neap of one story: started on a folder of its own, watched through its log and GET
 * /health, and stopped by SIGTERM, which must end it with 0.
 *
 * After each story neap must have nothing open that it did not have at its start: no
 * exchange, no attempt, no connection. A story that leaves something behind fails. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";
import { folder, free_port, later, patience, until } from "./story.mjs";
import { forget_connections, get } from "./client.mjs";

export const root = path.resolve(import.meta.dirname, "../../..");
export const binary = path.resolve(process.env.NEAP_BIN ?? path.join(root, "build/neap"));
/* Sanitizers keep freed memory for a while: what a story says about memory holds without
 * them only. */
export const is_sanitized = /-(asan|tsan)$/.test(binary);

class Neap {
  constructor(folder, port, scheme) {
    Object.assign(this, { folder, port, scheme });
    this.url = `${scheme}://127.0.0.1:${port}`;
    this.lines = []; // every line of stderr and stdout, as text
    this.log = []; // those that are JSON objects
  }

  get pid() {
    return this.child.pid;
  }

  async health() {
    const answer = await get(this, "/health");
    assert.equal(answer.status, 200, `GET /health: ${answer.text}`);
    return answer.json;
  }

  async open() {
    return (await this.health()).neap?.open ?? {};
  }

  async generation() {
    return (await this.health()).neap?.generation;
  }

  /* Log lines of requests. */
  requests() {
    return this.log.filter((line) => line.area === "request");
  }

  /* The log line of the request whose answer (or id) this is. */
  async line(answer) {
    const id = typeof answer === "string" ? answer : answer.headers["x-request-id"];
    assert.ok(id, "the answer has an x-request-id");
    return until(
      () => this.requests().find((line) => line.id === id),
      () => `the log line of request ${id}; the log ends with\n${this.tail()}`,
    );
  }

  /* The first log line (text) from index `from` on that matches. */
  async says(pattern, from = 0) {
    return until(
      () => this.lines.slice(from).find((line) => pattern.test(line)),
      () => `${pattern} in the log; it ends with\n${this.tail()}`,
    );
  }

  tail(count = 12) {
    return this.lines.slice(-count).join("\n");
  }

  text() {
    return this.lines.join("\n");
  }

  write(name, text) {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /* A new router.lua with the same first line (listen, storage, …). */
  configure(config) {
    this.write("router.lua", this.first_line + config);
  }

  signal(name) {
    assert.ok(this.is_running(), `neap has ended\n${this.tail()}`);
    process.kill(this.pid, name);
  }

  /* SIGHUP, and waits until the new generation is in force. */
  async reload() {
    const before = await this.generation();
    this.signal("SIGHUP");
    return until(
      async () => {
        const now = await this.generation();
        return now !== before && now;
      },
      () => `a generation after ${before}; the log ends with\n${this.tail()}`,
    );
  }

  /* SIGHUP with something broken: waits for the line that says why; the old one stays. */
  async reload_refused(pattern) {
    const before = await this.generation();
    const from = this.lines.length;
    this.signal("SIGHUP");
    const line = await this.says(pattern, from);
    assert.equal(await this.generation(), before, "a broken configuration changed the generation");
    return line;
  }

  /* Resident memory in bytes. */
  /* Bytes of memory of its own. Without files: what the journal has written lies in the page
   * cache, and counts as resident where it is mapped. */
  rss() {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/RssAnon:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  fds() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /* Until it has exited and its last line was read. */
  is_running() {
    return !this.has_ended;
  }

  /* kill -9, and waits until it is gone. */
  async kill() {
    this.signal("SIGKILL");
    assert.equal(await this.ended(), "SIGKILL");
  }

  /* How it ended: the exit code, or the signal's name. */
  async ended(ms) {
    await until(
      () => !this.is_running(),
      () => `neap to exit; the log ends with\n${this.tail()}`,
      ms,
    );
    return this.child.exitCode ?? this.child.signalCode;
  }

  /* Waits until nothing more is open than at the start. */
  async settled() {
    forget_connections();
    let now;
    await until(
      async () => {
        now = await this.open();
        return Object.keys(this.idle).every((what) => now[what] <= this.idle[what]);
      },
      () =>
        `neap to be idle: open ${JSON.stringify(now)}, at the start ${JSON.stringify(this.idle)}; ` +
        `the log ends with\n${this.tail()}`,
    );
  }

  /* Starts it, also anew after stop(), and waits until it is ready. */
  async start() {
    this.has_ended = false;
    launch(this, this.options);
    await until(
      () => is_ready(this),
      () => `neap to be ready; it says\n${this.tail(40)}`,
      patience(40000),
    );
  }

  async stop() {
    if (!this.is_running()) return this.child.exitCode;
    this.signal("SIGTERM");
    try {
      return await this.ended(patience());
    } finally {
      if (this.is_running()) this.child.kill("SIGKILL");
    }
  }
}

/* Starts neap with this router.lua. options:
 *   first   more words for the first line (a table of Lua texts: { workers: 1 })
 *   files   { "policies/own.lua": text }, relative to the folder
 *   env     more environment
 *   args    more arguments
 *   tls     { ca } where the listener has a certificate
 *   whole   config is the whole file; PORT in it stands for the port
 *   is_left the story ends neap itself: no check at the end */
export async function serve(t, config, options = {}) {
  assert.ok(existsSync(binary), `no ${binary}: build it first (make), or set NEAP_BIN`);
  const port = await free_port();
  const neap = new Neap(folder(t), port, options.tls ? "https" : "http");
  neap.tls = options.tls;
  const first = { listen: `"127.0.0.1:${port}"`, storage: '"data"', ...options.first };
  neap.first_line = options.whole
    ? ""
    : `${Object.entries(first)
        .map(([name, value]) => `${name} = ${value}`)
        .join(" ")}\n`;
  for (const [name, text] of Object.entries(options.files ?? {})) neap.write(name, text);
  neap.configure(options.whole ? config.replaceAll("PORT", port) : config);
  neap.options = options;
  later(t, () => finish(neap, options));
  await neap.start();
  neap.idle = await neap.open();
  return neap;
}

/* After it was killed, or has ended: starts neap again on the same folder, with what
 * router.lua says now. */
export async function start_again(neap, options = {}) {
  assert.ok(!neap.is_running(), "neap still runs");
  neap.has_ended = false;
  forget_connections();
  launch(neap, options);
  await until(
    () => is_ready(neap),
    () => `neap to be ready again; it says\n${neap.tail(40)}`,
    patience(40000),
  );
}

/* Runs neap with these arguments to its end. */
export async function run(t, args, options = {}) {
  const child = spawn(binary, args, {
    cwd: options.cwd ?? folder(t),
    env: environment(options),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "",
    stderr = "";
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), patience(120000));
  const code = await new Promise((resolve) =>
    child.on("close", (status, signal) => resolve(status ?? signal)),
  );
  clearTimeout(timer);
  return { code, stdout, stderr, text: stdout + stderr };
}

/* Without what the developer's own shell has set: a key of theirs would switch the
 * example's providers on. */
function environment(options) {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/_API_KEY|^OLLAMA_HOST$|_proxy$|_PROXY$|^NEAP_TOKEN/i.test(name)) delete env[name];
  }
  return { ...env, ...options.env };
}

/* A story that is stopped from outside (its time is up) takes its neap with it. */
const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) process.once(name, () => process.exit(1));

function launch(neap, options) {
  const args = ["serve", "-c", path.join(neap.folder, "router.lua"), ...(options.args ?? [])];
  neap.child = spawn(binary, args, {
    cwd: neap.folder,
    env: environment(options),
    stdio: ["ignore", "pipe", "pipe"],
  });
  neap.child.on("error", (error) => neap.lines.push(String(error)));
  children.add(neap.child);
  neap.child.on("close", () => {
    children.delete(neap.child);
    neap.has_ended = true;
  });
  for (const pipe of [neap.child.stdout, neap.child.stderr]) {
    let rest = "";
    pipe.setEncoding("utf8").on("data", (data) => {
      const parts = (rest + data).split("\n");
      rest = parts.pop();
      for (const line of parts) take_line(neap, line);
    });
  }
}

function take_line(neap, line) {
  neap.lines.push(line);
  if (!line.startsWith("{")) return;
  try {
    neap.log.push(JSON.parse(line));
  } catch {
    neap.bad_line ??= line;
  }
}

async function is_ready(neap) {
  assert.ok(
    neap.is_running(),
    `neap ended with ${neap.child.exitCode ?? neap.child.signalCode} at its start:\n${neap.tail(40)}`,
  );
  return get(neap, "/readyz").then(
    (answer) => answer.status === 200,
    () => false,
  );
}

async function finish(neap, options) {
  try {
    if (neap.idle && !options.is_left && neap.is_running()) await neap.settled();
    const code = await neap.stop();
    if (!options.is_left)
      assert.equal(code, 0, `neap ended with ${code}; the log ends with\n${neap.tail(40)}`);
    assert.equal(neap.bad_line, undefined, "a log line that begins with { is not JSON");
    assert.ok(
      !/runtime error:|ERROR: \w+Sanitizer/.test(neap.text()),
      `a sanitizer complains\n${neap.tail(60)}`,
    );
  } finally {
    if (neap.is_running()) neap.child.kill("SIGKILL");
  }
}
