/* A provider that does what a story says, byte by byte.
 *
 * It speaks raw sockets, because what it must be able to do (stop in the middle of a head,
 * reset, say nothing) no HTTP server does on purpose. Each request is read in full and
 * recorded; then the next script is played. A script is a list of steps, or a function
 * of the call that gives such a list:
 *
 *   text or Buffer   is written
 *   promise, latch   is waited for
 *   function         is called with the call, and waited for
 *   RESET            the connection is reset (RST)
 *   END              the connection is closed (FIN)
 *   SILENCE          nothing more, until the client goes
 *
 * After the last step the connection waits for another request. */
import net from "node:net";
import tls from "node:tls";
import { free_port, later, patience, soon, until } from "./story.mjs";

export const RESET = Symbol("RESET");
export const END = Symbol("END");
export const SILENCE = Symbol("SILENCE");

class Call {
  constructor(socket, parsed) {
    this.socket = socket;
    Object.assign(this, parsed);
    this.at = performance.now();
    this.closed = socket.departed;
  }

  header(name) {
    return this.headers[name.toLowerCase()];
  }

  get json() {
    return JSON.parse(this.body.toString("utf8"));
  }

  get key() {
    return (this.header("authorization") ?? "").replace(/^Bearer /, "");
  }

  /* Resolves when the kernel took the bytes, also when the client is gone. */
  write(bytes) {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve();
      this.socket.write(bytes, () => resolve());
    });
  }
}

class Upstream {
  constructor() {
    this.calls = [];
    this.scripts = [];
    this.fallback = answer("ok");
    this.sockets = new Set();
    this.connections = 0;
  }

  /* The next request gets this script; several queue up. */
  next(...scripts) {
    this.scripts.push(...scripts);
    return this;
  }

  /* What a request gets when none is queued. */
  always(script) {
    this.fallback = script;
    return this;
  }

  /* The index-th call (from 0), as soon as it is complete. */
  async call(index = 0) {
    return until(
      () => this.calls[index],
      () => `call ${index} of an upstream that has seen ${this.calls.length}`,
    );
  }

  get last() {
    return this.calls.at(-1);
  }

  forget() {
    this.calls = [];
    this.scripts = [];
  }
}

/* options: tls { key, cert }. */
export async function upstream(t, options = {}) {
  const up = new Upstream();
  const on_connection = (socket) => {
    up.connections++;
    up.sockets.add(socket);
    socket.departed = new Promise((resolve) => {
      const depart = () => resolve(performance.now());
      socket.once("end", depart).once("close", depart).once("error", depart);
    });
    socket.on("error", () => {});
    socket.on("close", () => up.sockets.delete(socket));
    socket.setNoDelay(true);
    serve(up, socket);
  };
  const server = options.tls
    ? tls.createServer(options.tls, on_connection)
    : net.createServer(on_connection);
  server.on("tlsClientError", () => {
    up.refused = (up.refused ?? 0) + 1;
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  up.port = server.address().port;
  up.root = `${options.tls ? "https" : "http"}://127.0.0.1:${up.port}`;
  up.url = `${up.root}/v1`;
  later(t, () => {
    for (const socket of up.sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return up;
}

/* Where connections are refused. */
export async function refusing() {
  const port = await free_port();
  const root = `http://127.0.0.1:${port}`;
  return { port, root, url: `${root}/v1` };
}

/* What came and was not read yet. Joined only when somebody looks at it: a body of 20 MB
 * comes in hundreds of pieces. */
class Intake {
  constructor(socket) {
    this.socket = socket;
    this.parts = [];
    this.size = 0;
    this.wake = () => {};
    socket.on("data", (data) => {
      this.parts.push(data);
      this.size += data.length;
      this.wake();
    });
    socket.on("end", () => this.wake());
    socket.on("close", () => this.wake());
  }

  get bytes() {
    if (this.parts.length !== 1) this.parts = [Buffer.concat(this.parts)];
    return this.parts[0];
  }

  drop(size) {
    this.parts = [this.bytes.subarray(size)];
    this.size -= size;
  }

  /* False when nothing more will come. */
  async more() {
    if (this.socket.destroyed || this.socket.readableEnded) return false;
    await new Promise((resolve) => {
      this.wake = resolve;
    });
    return true;
  }
}

async function serve(up, socket) {
  const intake = new Intake(socket);
  while (!socket.destroyed) {
    const request = await read_request(intake);
    if (!request) return;
    intake.drop(request.size);
    const call = new Call(socket, request);
    const script = up.scripts.length ? up.scripts.shift() : up.fallback;
    up.calls.push(call);
    await play(call, script);
  }
}

async function read_request(intake) {
  let end;
  while ((end = intake.bytes.indexOf("\r\n\r\n")) < 0) {
    if (!(await intake.more())) return null;
  }
  const request = read_head(Buffer.from(intake.bytes.subarray(0, end + 4)));
  const { head, headers } = request;
  if (headers.expect) intake.socket.write("HTTP/1.1 100 Continue\r\n\r\n");

  if (!/chunked/i.test(headers["transfer-encoding"] ?? "")) {
    const size = head.length + Number(headers["content-length"] ?? 0);
    while (intake.size < size) {
      if (!(await intake.more())) return null;
    }
    return Object.assign(request, {
      size,
      body: Buffer.from(intake.bytes.subarray(head.length, size)),
    });
  }
  for (;;) {
    const body = dechunk(intake.bytes.subarray(head.length));
    if (body) return Object.assign(request, { size: head.length + body.size, body: body.data });
    if (!(await intake.more())) return null;
  }
}

function read_head(head) {
  const [line, ...lines] = head.toString("latin1").trimEnd().split("\r\n");
  const [method, path] = line.split(" ");
  const fields = lines.map((text) => [
    text.slice(0, text.indexOf(":")),
    text.slice(text.indexOf(":") + 1).trim(),
  ]);
  const headers = {};
  for (const [name, value] of fields) headers[name.toLowerCase()] = value;
  return { method, path, line, head, fields, headers };
}

/* The data of a complete chunked body at the start of bytes, or null. */
export function dechunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return null;
    const size = parseInt(bytes.subarray(at, end).toString("latin1"), 16);
    at = end + 2;
    if (bytes.length < at + size + 2) return null;
    if (size === 0) {
      while (bytes.indexOf("\r\n", at) > at) at = bytes.indexOf("\r\n", at) + 2;
      return { data: Buffer.concat(parts), size: at + 2 };
    }
    parts.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
}

async function play(call, script) {
  let steps = typeof script === "function" ? await script(call) : script;
  if (!Array.isArray(steps)) steps = steps === undefined ? [] : [steps];
  for (const step of steps.flat(Infinity)) {
    if (call.socket.destroyed) return;
    if (step === RESET)
      call.socket.resetAndDestroy ? call.socket.resetAndDestroy() : call.socket.destroy();
    else if (step === END) call.socket.end();
    else if (step === SILENCE) await call.closed;
    else if (typeof step === "string" || Buffer.isBuffer(step))
      await Promise.race([call.write(step), call.closed]);
    else if (typeof step === "function") await Promise.race([step(call), call.closed]);
    else await Promise.race([step, call.closed]);
  }
}

/* -- answers ------------------------------------------------------------------------- */

const REASONS = {
  200: "OK",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Timeout",
  413: "Content Too Large",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

export function head(status, headers = {}) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? "Status"}\r\n${lines.join("")}\r\n`;
}

/* A whole answer with its length. */
export function reply(status, body, headers = {}) {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return [
    Buffer.concat([
      Buffer.from(
        head(status, {
          "content-type": "application/json",
          "content-length": bytes.length,
          ...headers,
        }),
      ),
      bytes,
    ]),
  ];
}

export function error(status, message, headers = {}, fields = {}) {
  return reply(
    status,
    { error: { message, type: "provider_error", param: null, code: null, ...fields } },
    headers,
  );
}

const STEM = { id: "chatcmpl-1", created: 1763600000, model: "m" };
export const USAGE = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };

export const completion = (text, message = {}) => ({
  ...STEM,
  object: "chat.completion",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: text, refusal: null, ...message },
      logprobs: null,
      finish_reason: message.tool_calls ? "tool_calls" : "stop",
    },
  ],
  usage: USAGE,
});

/* -- streams ------------------------------------------------------------------------- */

export const event = (value) =>
  `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const delta = (fields, finish_reason = null) =>
  event({
    ...STEM,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: fields, finish_reason }],
  });

export const role = () => delta({ role: "assistant", content: "" });
export const chunk = (text) => delta({ content: text });
export const reasoning = (text) => delta({ reasoning_content: text });
export const tool = (fields) => delta({ tool_calls: [fields] });
export const finish = (reason = "stop") => delta({}, reason);
export const usage = (numbers = USAGE) =>
  event({ ...STEM, object: "chat.completion.chunk", choices: [], usage: numbers });
export const DONE = event("[DONE]");

export const stream_head = (headers = {}) =>
  head(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "transfer-encoding": "chunked",
    ...headers,
  });

/* One chunk of a chunked body. */
export function piece(bytes) {
  const data = Buffer.from(bytes);
  return data.length
    ? Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")])
    : data;
}
export const LAST = "0\r\n\r\n";

/* A streamed answer: texts become chunks of the body, other steps stay what they are. The
 * body ends well unless a step before that leaves. */
export function stream(...steps) {
  return [
    stream_head(),
    ...steps
      .flat(Infinity)
      .map((step) => (typeof step === "string" || Buffer.isBuffer(step) ? piece(step) : step)),
    LAST,
  ];
}

/* A stream that says texts and stops: usage as asked for. */
export const talk =
  (...texts) =>
  (call) =>
    stream(
      role(),
      ...texts.map(chunk),
      finish(),
      call.json.stream_options?.include_usage ? usage() : [],
      DONE,
    );

/* What a good provider does: a stream where one is asked for, else a completion. */
export const answer = (text) => (call) => {
  const is_stream = call.body.length > 0 && call.json.stream === true;
  return is_stream
    ? talk(...(text.match(/\S+\s*/g) ?? [text]))(call)
    : reply(200, completion(text));
};

/* A call that left: how long after `since` its connection was closed, in ms. */
export async function closed_after(call, since) {
  return (await soon(call.closed, "the upstream connection to be closed", patience())) - since;
}
