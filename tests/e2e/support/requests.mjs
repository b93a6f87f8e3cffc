/* Requests made from the OpenAPI document: right ones, nearly right ones, and garbage.
 *
 * Values come from the schemas; where a text could name something that is there, its name is
 * taken often enough that requests get past "there is no such thing". No value is a URL of
 * another machine: neap would ask it. */
import { fast_check as fc, naughty } from "./openapi.mjs";

const DEPTH = 5; // schemas that refer to themselves end here

const is_harmless = (text) => !/[a-z0-9]:\/\/|\/\/\w|\w\.\w/i.test(text);
const odd_texts = [
  ...naughty.filter(is_harmless),
  "",
  "x".repeat(3000),
  "\ud800",
  "a\0b",
  "..",
  ".",
  "/",
  "%",
  "1e309",
  "-1",
  "9".repeat(30),
  "__proto__",
];
const odd_numbers = [0, -0, -1, 1.5, 1e300, -1e300, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e-320];
const odd_text = fc.constantFrom(...odd_texts);
const odd = fc.oneof(
  odd_text,
  fc.constantFrom(...odd_numbers, null, true, false),
  fc.constantFrom([], {}, [[]], { a: {} }, [null]),
  fc.jsonValue({ maxDepth: 2 }).filter((value) => is_harmless(JSON.stringify(value))),
);

const MOMENTS = [
  "2026-11-21T08:00:00Z",
  "1969-01-01T00:00:00.5+14:00",
  "9999-12-31T23:59:59Z",
  "0000-01-01T00:00:00Z",
  "2027-02-30t00:00:00z",
  "2060-01-01T23:59:60-12:00",
];

const FORMATS = {
  "date-time": fc.constantFrom(...MOMENTS),
  date: fc.constantFrom("2026-11-21", "0000-00-00", "9999-12-31"),
  uuid: fc.oneof(fc.uuid(), fc.constant("0193c0de-0000-7000-8000-000000000000")),
};

/* known: { names, urls, by: { property: values } }: what is there. */
export class Maker {
  constructor(document, known) {
    this.document = document;
    this.known = known;
  }

  /* Values of a schema; name is the property or parameter that they are for. */
  value(schema, name = "", depth = 0) {
    if (schema.$ref) {
      const inner = this.document.components.schemas[schema.$ref.split("/").pop()];
      return this.value(inner, name, depth + 1);
    }
    if (schema.const !== undefined) return fc.constant(schema.const);
    if (schema.enum) return fc.constantFrom(...schema.enum);
    if (schema.anyOf)
      return fc.oneof(...schema.anyOf.map((each) => this.value(each, name, depth + 1)));
    const types = [schema.type ?? "any"].flat();
    return fc.oneof(...types.map((type) => this.typed(type, schema, name, depth)));
  }

  typed(type, schema, name, depth) {
    if (type === "any") return odd;
    if (type === "null") return fc.constant(null);
    if (type === "boolean") return fc.boolean();
    if (type === "integer" || type === "number") return this.number(type, schema, name);
    if (type === "string") return this.text(schema, name);
    if (type === "array") {
      const many = depth > DEPTH ? 0 : 3;
      return fc.array(this.value(schema.items ?? {}, name, depth + 1), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.max(schema.minItems ?? 0, Math.min(many, schema.maxItems ?? many)),
      });
    }
    return this.object(schema, depth);
  }

  number(type, schema, name) {
    const low = schema.minimum ?? -1000;
    const high = schema.maximum ?? 1e12;
    const listed = (this.known.by[name] ?? []).filter(Number.isInteger);
    const edges = [low, high, Math.max(low, Math.min(high, 1))];
    const any =
      type === "integer"
        ? fc.integer({ min: low, max: Math.min(high, 2 ** 31) })
        : fc.double({ min: low, max: high, noNaN: true });
    return listed.length
      ? fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...listed) }, any)
      : fc.oneof(fc.constantFrom(...edges), any);
  }

  text(schema, name) {
    if (schema.format === "uri" || /url|endpoint/.test(name))
      return fc.constantFrom(...this.known.urls);
    if (FORMATS[schema.format]) return FORMATS[schema.format];
    const pattern = schema.pattern && new RegExp(schema.pattern, "u");
    const fits = (text) => {
      const length = [...text].length;
      if (length < (schema.minLength ?? 0) || length > (schema.maxLength ?? Infinity)) return false;
      return !pattern || pattern.test(text);
    };
    const is_right = (one) => typeof one === "string" && fits(one);
    const own = (this.known.by[name] ?? []).map(String).filter(is_right);
    const names = this.known.names.filter(is_right);
    const odd_ones = odd_texts.filter((text) => fits(text) && text.isWellFormed());
    const weighed = [
      [12, own],
      [own.length ? 1 : 5, names],
      [1, odd_ones],
      [1, ["2".repeat(schema.minLength || 3)]],
    ].filter(([, list]) => list.length);
    return fc.oneof(
      ...weighed.map(([weight, list]) => ({ weight, arbitrary: fc.constantFrom(...list) })),
    );
  }

  object(schema, depth) {
    const properties = Object.entries(schema.properties ?? {});
    const required = schema.required ?? [];
    const wanted = properties.filter(([name]) => depth <= DEPTH || required.includes(name));
    const members = Object.fromEntries(
      wanted.map(([name, each]) => [name, this.value(each, name, depth + 1)]),
    );
    const own = fc.record(members, { requiredKeys: required.filter((name) => members[name]) });
    const others = schema.additionalProperties;
    if (!others || depth > DEPTH) return own;
    const more = fc.dictionary(
      fc.oneof(fc.constantFrom(...this.known.names), odd_text),
      others === true ? odd : this.value(others, "", depth + 1),
      { maxKeys: 3 },
    );
    return fc.tuple(own, more).map(([one, other]) => ({ ...other, ...one }));
  }

  /* Right values with one place in them made wrong. */
  nearly(schema) {
    const edit = fc.record({ way: fc.array(fc.nat(20), { maxLength: 4 }), odd, how: fc.nat(3) });
    return fc.tuple(this.value(schema), edit).map(([value, each]) => spoil(value, each));
  }

  /* { kind, body }: a body's type and text or bytes, or neither. */
  body(operation) {
    const kinds = Object.entries(operation.body);
    if (!kinds.length) return fc.constant({});
    return fc.oneof(
      ...kinds.flatMap(([kind, { schema }]) => [
        { weight: 4, arbitrary: this.value(schema).map((value) => encoded(kind, value)) },
        { weight: 3, arbitrary: this.nearly(schema).map((value) => encoded(kind, value)) },
      ]),
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constantFrom("application/json", "text/plain", "", "multipart/form-data", "a/b"),
          body: fc.oneof(odd_text, fc.uint8Array({ maxLength: 40 }), fc.constantFrom(...BROKEN)),
        }),
      },
      { weight: 1, arbitrary: fc.constant({}) },
    );
  }

  query(operation) {
    const specs = operation.parameters("query");
    const right_of = (one) =>
      this.value(one.schema, one.name).map((value) => [one.name, String(value)]);
    const needed = specs.filter((one) => one.required).map(right_of);
    const right = specs.filter((one) => !one.required).map(right_of);
    const wrong = fc.tuple(fc.constantFrom(...specs.map((one) => one.name), "surely"), odd_text);
    const some = fc.subarray(right).chain((list) => fc.tuple(...needed, ...list));
    return fc
      .tuple(
        some,
        fc.oneof({ weight: 8, arbitrary: fc.constant([]) }, fc.array(wrong, { maxLength: 2 })),
        fc.oneof(
          { weight: 40, arbitrary: fc.constant("") },
          fc.constantFrom("&&", "=%zz", "a=%", "?"),
        ),
      )
      .map(([one, two, tail]) => {
        const pairs = [...one, ...two].map(([name, text]) => `${escaped(name)}=${escaped(text)}`);
        return pairs.length || tail ? `?${pairs.join("&")}${tail}` : "";
      });
  }

  path(operation) {
    const names = operation.parameters("path").map(({ name, schema }) => {
      const place = /([^/]+)\/{([^}]+)}/g;
      const [, before] = [...operation.route.matchAll(place)].find(([, , one]) => one === name);
      const wrong = odd_text.filter((text) => text !== "" && text.length < 1000);
      return fc
        .oneof(
          {
            weight: 6,
            arbitrary: this.value(schema, `${before}/${name}`).filter((value) => value !== ""),
          },
          { weight: 1, arbitrary: wrong },
        )
        .map((value) => [name, escaped(String(value))]);
    });
    return fc.tuple(...names).map((pairs) => {
      const values = Object.fromEntries(pairs);
      return operation.route.replace(/{([^}]+)}/g, (_, name) => values[name]);
    });
  }

  headers(operation) {
    const names = operation.parameters("header").map((one) => one.name.toLowerCase());
    const value = fc.constantFrom('"1"', '"nonsense"', "*", 'W/"1"', "", "x".repeat(2000), '", "');
    const some = fc.dictionary(fc.constantFrom(...names, "accept", "x-neap-trace"), value, {
      maxKeys: 2,
    });
    return fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, some);
  }

  /* { method, path, headers, body } for the operation. */
  request(operation) {
    return fc
      .record({
        path: this.path(operation),
        query: this.query(operation),
        headers: this.headers(operation),
        sent: this.body(operation),
      })
      .map(({ path, query, headers, sent }) => ({
        method: operation.method,
        path: path + query,
        headers: { ...headers, ...(sent.kind ? { "content-type": sent.kind } : {}) },
        body: sent.body instanceof Uint8Array ? Buffer.from(sent.body) : sent.body,
      }));
  }
}

const BROKEN = [
  "{",
  "[",
  "{}x",
  '{"a":1,"a":2}',
  "nul",
  '"\\ud800"',
  "[".repeat(5000),
  '{"\\u0000":1}',
  "1e999",
  "\ufeff{}",
  "-",
  '{"name":"\xff"}',
  Buffer.from([0x22, 0xff, 0xfe, 0x22]),
];

/* encodeURIComponent refuses half of a pair; a client in another language would not. */
const escaped = (text) => encodeURIComponent(text.toWellFormed());

function encoded(kind, value) {
  if (kind.includes("json")) return { kind, body: JSON.stringify(value) ?? "null" };
  if (kind.includes("form")) {
    const pairs = Object.entries(Object(value)).map(
      ([name, one]) => `${escaped(name)}=${escaped(String(one))}`,
    );
    return { kind, body: pairs.join("&") };
  }
  return { kind, body: typeof value === "string" ? value.toWellFormed() : JSON.stringify(value) };
}

/* A copy in which the place that `way` leads to is odd, gone, or has a member too many. */
function spoil(value, { way, odd: other, how }) {
  if (value === null || typeof value !== "object" || way.length === 0) return other;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  const keys = Object.keys(copy);
  if (how === 0) return Array.isArray(copy) ? [...copy, other] : { ...copy, surely: other };
  if (!keys.length) return other;
  const key = keys[way[0] % keys.length];
  if (how === 1 && way.length === 1 && !Array.isArray(copy)) delete copy[key];
  else copy[key] = spoil(copy[key], { way: way.slice(1), odd: other, how });
  return copy;
}
