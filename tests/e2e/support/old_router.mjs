/* What other routers leave behind: their databases, made here with the tables that they make, and
 * runs of `neap import` on them. */
import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { writeFileSync } from "node:fs";
import { run } from "./neap.mjs";

/* A SQLite file. tables: { name: { columns: "id integer, …", rows: [{ id: 1 }] } }. */
export function database(file, tables) {
  const made = new DatabaseSync(file);
  for (const [name, { columns, rows = [] }] of Object.entries(tables)) {
    made.exec(`CREATE TABLE "${name}" (${columns})`);
    for (const row of rows) {
      const names = Object.keys(row).map((one) => `"${one}"`);
      const places = names.map(() => "?");
      made
        .prepare(`INSERT INTO "${name}" (${names}) VALUES (${places})`)
        .run(...Object.values(row));
    }
  }
  made.close();
  return file;
}

/* The tables of NiceAPI's newest state. rows: { api_providers: [...], ... }. */
export const niceapi = (file, rows) => database(file, filled(NICEAPI, rows));
export const nexusai = (file, rows) => database(file, filled(NEXUSAI, rows));
export const nexusai_stats = (file, rows) => database(file, filled(NEXUSAI_STATS, rows));
export const siliconflow = (file, rows) => database(file, filled(SILICONFLOW, rows));
export const one_api = (file, rows) => database(file, filled(ONE_API, rows));
export const new_api = (file, rows) => database(file, filled(NEW_API, rows));

const filled = (tables, rows) =>
  Object.fromEntries(
    Object.entries(tables).map(([name, columns]) => [name, { columns, rows: rows[name] }]),
  );

const NICEAPI = {
  api_providers:
    "id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, api_endpoint VARCHAR NOT NULL, api_key VARCHAR NOT NULL, model VARCHAR, price_per_million_tokens FLOAT, input_price_per_million_tokens FLOAT, output_price_per_million_tokens FLOAT, type VARCHAR, is_active BOOLEAN, total_calls INTEGER, successful_calls INTEGER",
  groups: "id INTEGER PRIMARY KEY, name VARCHAR UNIQUE",
  provider_group_association:
    "provider_id INTEGER, group_id INTEGER, priority INTEGER, active_calls INTEGER, PRIMARY KEY (provider_id, group_id)",
  api_keys:
    "id INTEGER PRIMARY KEY, key VARCHAR UNIQUE, is_active BOOLEAN, created_at DATETIME, last_used_at DATETIME, name VARCHAR",
  api_key_group_association:
    "api_key_id INTEGER, group_id INTEGER, PRIMARY KEY (api_key_id, group_id)",
  call_logs:
    "id INTEGER PRIMARY KEY, provider_id INTEGER, api_key_id INTEGER, request_timestamp DATETIME, response_timestamp DATETIME, is_success BOOLEAN, status_code INTEGER, response_time_ms INTEGER, error_message VARCHAR, prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER, cost FLOAT",
  error_maintenance:
    "id INTEGER PRIMARY KEY, keyword VARCHAR UNIQUE, description VARCHAR, last_triggered DATETIME, is_active BOOLEAN",
  settings: "key VARCHAR PRIMARY KEY, value VARCHAR",
};

const NEXUSAI = {
  service_providers:
    "id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, server_url TEXT NOT NULL, server_key TEXT NOT NULL, personalized_key TEXT NOT NULL, description TEXT",
  provider_models:
    "id INTEGER PRIMARY KEY AUTOINCREMENT, provider_id INTEGER, model_name TEXT NOT NULL, description TEXT, UNIQUE (provider_id, model_name)",
};

const NEXUSAI_STATS = {
  chat_stats:
    "id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT, conversation_id TEXT, provider_id INTEGER, model_name TEXT, tokens_count INTEGER, is_prompt BOOLEAN",
  chat_messages:
    "id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT, conversation_id TEXT, provider_id INTEGER, model_name TEXT, role TEXT, content TEXT, tokens_count INTEGER",
};

const SILICONFLOW = {
  api_keys:
    "key TEXT PRIMARY KEY, add_time REAL, balance REAL, usage_count INTEGER, enabled INTEGER DEFAULT 1",
  logs: "id INTEGER PRIMARY KEY AUTOINCREMENT, used_key TEXT, model TEXT, call_time REAL, input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER",
  sessions: "session_id TEXT PRIMARY KEY, username TEXT, created_at REAL",
};

const ABILITIES =
  '"group" varchar(64), model varchar(255), channel_id integer, enabled numeric, priority bigint, weight integer';
const OPTIONS = 'key text PRIMARY KEY, "value" text';
const CHANNEL =
  '"id" integer PRIMARY KEY, "type" integer DEFAULT 0, "key" text NOT NULL, "status" integer DEFAULT 1, "name" text, "weight" integer DEFAULT 0, "created_time" bigint, "base_url" text DEFAULT \'\', "balance" real, "models" text, "group" varchar(64) DEFAULT \'default\', "model_mapping" text, "priority" bigint DEFAULT 0';
const TOKEN =
  '"id" integer PRIMARY KEY, "user_id" integer, "key" char(48) UNIQUE, "status" integer DEFAULT 1, "name" text, "created_time" bigint, "expired_time" bigint DEFAULT -1, "remain_quota" integer DEFAULT 0, "unlimited_quota" numeric, "used_quota" integer DEFAULT 0';
const USER =
  '"id" integer PRIMARY KEY, "username" text, "status" integer DEFAULT 1, "group" varchar(64) DEFAULT \'default\', "quota" integer DEFAULT 0';

const LOG =
  '"id" integer PRIMARY KEY, "user_id" integer, "created_at" bigint, "type" integer, "content" text, "username" text, "token_name" text DEFAULT \'\', "model_name" text DEFAULT \'\', "quota" integer DEFAULT 0, "prompt_tokens" integer DEFAULT 0, "completion_tokens" integer DEFAULT 0, "channel_id" integer';

const ONE_API = {
  channels: `${CHANNEL}, "config" text, "system_prompt" text`,
  abilities: ABILITIES,
  tokens: `${TOKEN}, "models" text, "subnet" text DEFAULT ''`,
  users: USER,
  options: OPTIONS,
  logs: `${LOG}, "elapsed_time" integer DEFAULT 0, "is_stream" numeric`,
};

const NEW_API = {
  channels: `${CHANNEL}, "openai_organization" text, "auto_ban" integer DEFAULT 1, "tag" text, "setting" text, "param_override" text, "header_override" text, "channel_info" json, "settings" text`,
  abilities: ABILITIES,
  tokens: `${TOKEN}, "model_limits_enabled" numeric, "model_limits" text, "allow_ips" text DEFAULT '', "group" text DEFAULT '', "deleted_at" datetime`,
  users: USER,
  options: OPTIONS,
  logs: `${LOG}, "use_time" integer DEFAULT 0, "is_stream" numeric, "token_id" integer DEFAULT 0, "group" text, "ip" text DEFAULT ''`,
};

/* Runs `neap import` for a neap of a story, whose secrets must not show in what it says. */
export async function import_files(t, neap, files, { secrets = [], args = [], env } = {}) {
  const ended = await run(t, ["import", "-c", "router.lua", ...args, ...files], {
    cwd: neap.folder,
    env,
  });
  for (const secret of secrets)
    assert.ok(!ended.text.includes(secret), `a secret in the report:\n${ended.text}`);
  return ended;
}

/* The path of a file of the old router in neap's folder, written if there is a text. */
export function old_file(neap, name, text) {
  const file = path.join(neap.folder, name);
  if (text !== undefined) writeFileSync(file, text);
  return file;
}
