/* The official client, from where `make deps-test` puts it (NEAP_TOOLS overrides). */
import { createRequire } from "node:module";
import path from "node:path";
import { root } from "./neap.mjs";

const tools = path.resolve(process.env.NEAP_TOOLS ?? path.join(root, "build/tools"));

export const OpenAI = createRequire(path.join(tools, "package.json"))("openai");

/* at: a neap or an upstream. No retries of its own, or it would hide neap's. */
export const client_of = (at, options = {}) =>
  new OpenAI({
    baseURL: at.scheme ? `${at.url}/v1` : at.url,
    apiKey: "client-secret-0123456789",
    maxRetries: 0,
    ...options,
  });
