/* The wire of the tests' own dialect (tests/dialects), as a scripted provider speaks it. */
import path from "node:path";
import { provider } from "./lua.mjs";
import { root } from "./neap.mjs";
import { reply, stream } from "./upstream.mjs";

/* What makes a neap know it. */
export const env = { NEAP_LUA: path.join(root, "tests/dialects"), NEAP_DIALECTS: "shout" };

export const shouter = (name, up, fields) =>
  provider(name, up.root, { dialect: "shout", ...fields });

export const tell = (name, value) => `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
export const hello = () => tell("hello", { id: "shout-1", of: "m" });
export const say_it = (text) => tell("say", { say: text });
export const stop = (why = "done") => tell("stop", { why });
export const cost = () => tell("cost", { in: 9, out: 2 });
export const BYE = tell("bye", {});
export const oops = (code, what) => tell("oops", { code, what });

export const said = (text, fields) =>
  reply(200, { said: text, why: "done", cost: { in: 9, out: 2 }, ...fields });

/* A stream that says these texts and ends well. */
export const shouts = (...texts) =>
  stream(hello(), ...texts.map(say_it), stop(), cost(), BYE);

/* A stream where one is asked for, else the whole answer. */
export const both = (text) => (call) => (call.path.endsWith("/live") ? shouts(text) : said(text));
