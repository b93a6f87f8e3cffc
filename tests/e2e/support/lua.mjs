/* Text of router.lua out of plain values. */

export class Raw {
  constructor(text) {
    this.text = text;
  }
}

/* Lua code as it is: raw('env "KEY"'). */
export const raw = (text) => new Raw(text);

export function lua(value) {
  if (value instanceof Raw) return value.text;
  if (value === null || value === undefined) return "nil";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `{ ${value.map(lua).join(", ")} }`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `[${quote(name)}] = ${lua(member)}`);
  return `{ ${members.join(", ")} }`;
}

const quote = (text) =>
  `"${text.replace(/[\\"]/g, "\\$&").replace(/[\x00-\x1f\x7f]/g, (c) => `\\${String(c.charCodeAt(0)).padStart(3, "0")}`)}"`;

/* A provider of the openai dialect at an upstream (or at a URL). */
export function provider(name, at, fields = {}) {
  const url = typeof at === "string" ? at : at.url;
  return `provider ${quote(name)} ${lua({ dialect: "openai", url, keys: [`sk-${name}-secret-0001`], ...fields })}\n`;
}

/* targets: provider names, or { provider, model, priority }; tried in the order written. */
export function group(name, targets, fields = {}) {
  const list = targets.map((target, index) => {
    const {
      provider: at,
      model = "m",
      ...rest
    } = typeof target === "string" ? { provider: target } : target;
    const members = Object.entries({ priority: index + 1, ...rest }).map(
      ([key, value]) => `${key} = ${lua(value)}`,
    );
    return raw(`{ ${[quote(at), quote(model), ...members].join(", ")} }`);
  });
  return `group ${quote(name)} ${lua({ targets: list, ...fields })}\n`;
}

/* The default chain without the breaker, for stories in which one target fails again and again. */
export const NO_BREAKER = ["priority_failover", "key_rotation", "keyword_retry"];

export const token = (name, fields) => `token ${quote(name)} ${lua(fields)}\n`;
export const use = (name, settings) => raw(`use(${quote(name)}, ${lua(settings)})`);
