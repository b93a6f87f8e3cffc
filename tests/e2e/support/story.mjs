/* What every story shares: clean-up in reverse order, patience, free ports.
 *
 * A story waits for things; nothing here sleeps a guessed time. The only clocks are
 * bounds: patience() says how long something that must happen may take, and within()
 * how fast something must have happened. NEAP_SLACK stretches both on slow machines and
 * under sanitizers. */
import net from "node:net";
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export const deep = process.env.NEAP_DEEP === "1";
const slack = Number(process.env.NEAP_SLACK ?? 2.5);

export const within = (ms) => ms * slack;
export const patience = (ms = 20000) => ms * Math.max(1, slack / 2.5);
export const seconds_since = (start) => (performance.now() - start) / 1000;

const stacks = new WeakMap();

/* Runs undo when the story ends. node:test runs its own hooks first come, first served; a
 * story needs it the other way round: neap must be idle before its providers go away,
 * else their going would hide what neap left open. */
export function later(t, undo) {
  let stack = stacks.get(t);
  if (!stack) {
    stack = [];
    stacks.set(t, stack);
    t.after(async () => {
      const failures = [];
      while (stack.length) {
        try {
          await stack.pop()();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length) throw failures[0];
    });
  }
  stack.push(undo);
}

const files = new Set();
const remove = (made) => {
  files.delete(made);
  rmSync(made, { recursive: true, force: true });
};
process.on("exit", () => files.forEach(remove));

export function folder(t) {
  const made = mkdtempSync(path.join(tmpdir(), "neap-e2e-"));
  files.add(made);
  later(t, () => remove(made));
  return made;
}

/* A promise and the functions that settle it: the explicit steps of a story. */
export function latch() {
  const { promise, resolve, reject } = Promise.withResolvers();
  return { then: (a, b) => promise.then(a, b), release: resolve, fail: reject };
}

/* The value of promise, or a failure that says what was waited for. */
export async function soon(promise, what, ms = patience()) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === "function" ? what() : what;
      reject(new assert.AssertionError({ message: `waited ${ms} ms for ${text}` }));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/* Asks again and again until look() gives something true. what may be a function, so that
 * the failure can tell the last thing seen. */
export async function until(look, what, ms = patience()) {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > end) {
      const text = typeof what === "function" ? what() : what;
      throw new assert.AssertionError({ message: `waited ${ms} ms for ${text}` });
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/* Keeps the port from the stories that run at the same time, until this process ends. */
function reserve(port) {
  const mark = path.join(tmpdir(), `neap-port-${port}`);
  try {
    closeSync(openSync(mark, "wx"));
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
  files.add(mark);
  return true;
}

/* A port that nobody listens on. It lies below the range from which the kernel takes the
 * ports of outgoing connections: one of those could otherwise have it before neap does. */
export async function free_port() {
  for (let tries = 0; tries < 100; tries++) {
    const port = 15000 + Math.floor(Math.random() * 16000);
    if (!reserve(port)) continue;
    const server = net.createServer();
    const is_free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (is_free) return port;
  }
  throw new Error("no free port found in 100 tries");
}
