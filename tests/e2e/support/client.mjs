/* Clients of neap for what an SDK hides: bytes, headers, leaving early.
 *
 * Each request has a connection of its own unless the story asks otherwise, so that what
 * is open at the end was left open by neap. */
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { later, patience, soon, until } from "./story.mjs";

export const say = (model, fields = {}) => ({
  model,
  messages: [{ role: "user", content: "hello" }],
  ...fields,
});

/* An answer that is on its way: status, headers and rawHeaders are there, the body comes. */
class Answer {
  constructor(request, response) {
    this.request = request;
    this.response = response;
    this.status = response.statusCode;
    this.headers = response.headers;
    this.fields = response.rawHeaders;
    this.parts = [];
    this.at = performance.now();
    this.ended = new Promise((resolve) => {
      response.on("data", (data) => {
        this.parts.push(data);
        this.wake?.();
      });
      response.on("end", () => {
        this.is_complete = true;
      });
      response.on("error", (error) => {
        this.error = error;
      });
      response.on("close", () => {
        this.is_closed = true;
        this.wake?.();
        resolve(this);
      });
    });
  }

  get body() {
    return Buffer.concat(this.parts);
  }

  get text() {
    return this.body.toString("utf8");
  }

  get json() {
    try {
      return JSON.parse(this.text);
    } catch (error) {
      throw new Error(
        `status ${this.status}, and the body is no JSON (${error.message}): ${this.text.slice(0, 500)}`,
      );
    }
  }

  /* The data of each event; [DONE] included. */
  get events() {
    return this.text.split(/\r\n\r\n|\n\n|\r\r/).flatMap((block) => {
      const data = block.split(/\r\n|\n|\r/).filter((line) => line.startsWith("data:"));
      return data.length ? [data.map((line) => line.slice(5).replace(/^ /, "")).join("\n")] : [];
    });
  }

  /* The content of a stream or of a completion. */
  get content() {
    if (!/event-stream/.test(this.headers["content-type"] ?? ""))
      return this.json.choices[0].message.content;
    return this.events
      .filter((data) => data !== "[DONE]")
      .map((data) => JSON.parse(data).choices?.[0]?.delta?.content ?? "")
      .join("");
  }

  /* Waits until the body so far holds text. */
  async has(text) {
    return until(
      () => {
        if (this.text.includes(text)) return true;
        if (this.is_closed)
          throw new Error(
            `the answer ended without ${JSON.stringify(text)}: ${this.text.slice(-500)}`,
          );
        return false;
      },
      () => `${JSON.stringify(text)} in the answer; so far: ${this.text.slice(-500)}`,
    );
  }

  async whole() {
    return soon(
      this.ended,
      () => `the end of an answer; so far: ${this.text.slice(-500)}`,
      patience(20000),
    );
  }

  /* Goes away with a FIN, or with a RST. Returns when. */
  leave({ is_reset = false } = {}) {
    const { socket } = this.request;
    const at = performance.now();
    if (is_reset) socket.resetAndDestroy();
    else this.request.destroy();
    return at;
  }
}

/* Sends a request; resolves at the head of the answer. options: method, headers, body
 * (Buffer, text or a value for JSON), agent, write (a function that writes the body). */
export function open(neap, path, options = {}) {
  return start(neap, path, options).answer;
}

/* The same in two steps: the request can be left before its answer comes. */
export function start(neap, path, options = {}) {
  const { body, headers = {}, agent = false } = options;
  const bytes =
    body === undefined || Buffer.isBuffer(body) || typeof body === "string"
      ? body
      : JSON.stringify(body);
  const request = (neap.scheme === "https" ? https : http).request({
    host: "127.0.0.1",
    port: neap.port,
    method: options.method ?? (body === undefined && !options.write ? "GET" : "POST"),
    path,
    agent,
    ca: neap.tls?.ca,
    headers: {
      ...(bytes !== undefined
        ? { "content-type": "application/json", "content-length": Buffer.byteLength(bytes) }
        : {}),
      ...headers,
    },
  });
  const answer = soon(
    new Promise((resolve, reject) => {
      request.on("response", (response) => resolve(new Answer(request, response)));
      request.on("error", reject);
    }),
    `the head of the answer to ${path}`,
    options.patience_ms ?? patience(20000),
  );
  answer.catch(() => {});
  if (options.write) options.write(request);
  else request.end(bytes);
  return {
    request,
    answer,
    leave: ({ is_reset = false } = {}) => {
      const at = performance.now();
      if (is_reset) request.socket.resetAndDestroy();
      else request.destroy();
      return at;
    },
  };
}

export const get = async (neap, path, headers = {}) =>
  (await open(neap, path, { headers })).whole();

export const chat = async (neap, body, headers = {}, path = "/v1/chat/completions") =>
  (await open(neap, path, { body, headers })).whole();

export const open_chat = (neap, body, headers = {}) =>
  open(neap, "/v1/chat/completions", { body, headers });

/* fetch() and the SDK keep connections for later; this closes them. Node gives no other
 * hold on its own dispatcher than this well-known symbol. */
export function forget_connections() {
  const symbol = Symbol.for("undici.globalDispatcher.1");
  const dispatcher = globalThis[symbol];
  if (!dispatcher?.destroy) return;
  globalThis[symbol] = new dispatcher.constructor();
  dispatcher.destroy().catch(() => {});
}

/* A bare connection. */
class Wire {
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    socket.on("data", (data) => {
      this.bytes = Buffer.concat([this.bytes, data]);
    });
    socket.on("end", () => {
      this.is_ended = true;
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    socket.on("close", () => {
      this.is_closed = true;
    });
  }

  get text() {
    return this.bytes.toString("latin1");
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  async has(pattern, ms) {
    const look =
      typeof pattern === "string"
        ? () => this.text.includes(pattern)
        : () => pattern.test(this.text);
    await until(
      look,
      () => `${pattern} on the wire; it has ${JSON.stringify(this.text.slice(-600))}`,
      ms,
    );
    return this;
  }

  /* Waits until the other side has closed. */
  async closed(ms) {
    await until(
      () => this.is_ended || this.is_closed,
      () => `the connection to be closed; it has ${JSON.stringify(this.text.slice(-600))}`,
      ms,
    );
    return this;
  }
}

export async function wire(t, port) {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.setNoDelay(true);
  later(t, () => socket.destroy());
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return new Wire(socket);
}

/* The text of a chat request as bytes on the wire. */
export function chat_bytes(body, headers = {}) {
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const lines = Object.entries({
    host: "127.0.0.1",
    "content-type": "application/json",
    "content-length": bytes.length,
    ...headers,
  });
  return Buffer.concat([
    Buffer.from(
      `POST /v1/chat/completions HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    ),
    bytes,
  ]);
}
