/* The table of routes in docs/api.md, out of the OpenAPI document.
 *
 *	tools/api-routes.mjs [--check] OPENAPI.json PAGE.md
 *
 * Replaces what stands between the page's two marks; with --check it changes nothing and fails
 * where that would. */
import { readFileSync, writeFileSync } from "node:fs";

const BEGIN = "<!-- routes: made by make docs -->\n",
  END = "<!-- end of routes -->";

const args = process.argv.slice(2);
const is_check = args[0] === "--check";
const [from, page] = is_check ? args.slice(1) : args;
const document = JSON.parse(readFileSync(from, "utf8"));

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
);

function table(tag) {
  const rows = operations
    .filter((operation) => operation.tags.includes(tag.name))
    .sort((a, b) => (a.path + a.method < b.path + b.method ? -1 : 1))
    .map(
      ({ path, method, summary, "x-scope": scope }) =>
        `| \`${method.toUpperCase()} ${path}\` | ${scope} | ${summary.replaceAll("|", "\\|")} |`,
    );
  return [
    `### ${tag.name}`,
    "",
    tag.description,
    "",
    "| route | scope | |",
    "|---|---|---|",
    ...rows,
    "",
  ];
}

const text = readFileSync(page, "utf8");
const begin = text.indexOf(BEGIN),
  end = text.indexOf(END);
if (begin < 0 || end < begin) throw new Error(`${page} has no marks for the routes`);
const fresh =
  text.slice(0, begin + BEGIN.length) +
  "\n" +
  document.tags.flatMap(table).join("\n") +
  text.slice(end);
if (is_check && fresh !== text) {
  console.error(`${page}: the table of routes is out of date: make docs`);
  process.exit(1);
}
if (!is_check) writeFileSync(page, fresh);
