/* What the admin side stores is what clients get: in force within a second on every worker,
 * checked as a whole first, and still there after kill -9. */
import test from "node:test";
import assert from "node:assert/strict";
import { chat, say } from "./support/client.mjs";
import { serve_admin } from "./support/admin.mjs";
import { upstream } from "./support/upstream.mjs";
import { until } from "./support/story.mjs";

