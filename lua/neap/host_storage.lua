---@meta neap.host
--- neap.host: signatures of what the storage is asked: rows, records and statistics, secrets. As
--- host.lua never loaded.

-- luacheck: ignore 241 431 432

---@class neap.host
local host = {}

-- ------------------------------------------------------------------------------------
-- What is stored (api_storage.c). A text that says why comes with "failed" and "full"; "full" is
-- the disk.

---@alias neap.host_table "config"|"keys"|"objects"

--- Waits.
---@param table neap.host_table
---@param key string of 1 to 511 bytes
---@return string? value, "failed"? problem, string? why
function host.store_get(table, key) end

---@class neap.host_range all optional; bounds are not part of it
---@field prefix string
---@field after string
---@field before string
---@field limit integer rows, 1 to 1000 (100); a page ends after 4 MiB, too
---@field reverse boolean from the greatest key to the least

--- Waits. The cursor is the last key of a page behind which there may be more: the next page's
--- `after`, or its `before` where it is reversed.
---@param table neap.host_table
---@param range neap.host_range?
---@return string[]? rows key, value, key, value, …
---@return string? cursor_or_problem
---@return string? why
function host.store_scan(table, range) end

--- All of the ops in one transaction or none of them: { "put", table, key, value },
--- { "delete", table, key }, { "expect", table, key, value | nil } (the row is exactly this, or
--- there is none). Waits until it is on disk.
---@param ops table[] 1 to 10,000, of 16 MiB together; a value has 1 MiB at most
---@return true?, "conflict"|"full"|"failed"|nil problem, integer|string|nil place_or_why
function host.store_write(ops) end

-- ------------------------------------------------------------------------------------
-- Records and statistics (api_journal.c). Times are seconds since 1970. What fails gives nil,
-- "missing", "invalid" (the question), "large" (more than one call reads) or "failed", and a reason
-- in words. A question of a wrong type raises.

---@class neap.journal_filter all optional
---@field from number the earliest end of a request that is wanted
---@field before number the first that is not
---@field token string
---@field group string
---@field provider string of the answer or of any attempt; so are model and key
---@field model string or the one that was asked for
---@field key string
---@field conversation string
---@field text string a part, in any case, of a model, an error, a conversation or a request id
---@field status integer
---@field status_class integer 4
---@field outcome "ok"|"failed"|"aborted"|"truncated"|"any"
---@field stream boolean
---@field test boolean whether it was an administrator's test
---@field min_cost_micros integer
---@field min_ms integer
---@field cursor string of the page before
---@field limit integer records, 1 to 1000 (100)
---@field oldest_first boolean
---@field lines boolean an object in each line, for exports; else an array of them
---@field detailed boolean with raw usage, error and trace

--- Waits. A page may have fewer records than its limit, or none, and yet a cursor: what a search
--- has found in its time.
---@param filter neap.journal_filter
---@return string? text JSON (record_json.h)
---@return string? cursor_or_problem of the next page; nil: there is none
---@return number|string|nil reached_or_why where the next page begins
function host.journal_page(filter) end

--- One record with its attempts, details, and what there is of bodies. Waits.
---@param id string neap's own
---@return string? text, string? problem, string? why
function host.journal_record(id) end

--- A body as it was kept. Waits.
---@param id string
---@param part "request"|"response"|"sent"|"received"
---@return string? bytes, string? problem, string? why
function host.journal_body(id, part) end

---@class neap.journal_spec without edges and by: one sum
---@field from number whole seconds
---@field before number
---@field dimension string? "provider", "model", "group", "token", "endpoint" or "key": only `value`
---@field value string?
---@field edges number[]? 2 to 3001 rising times: a series of the spans between them
---@field by string? a dimension: a breakdown
---@field order "requests"|"tokens"|"cost"|nil of the breakdown
---@field top integer? values of the breakdown, 1 to 1000 (100)

--- Sums of a span, a series of them, or a breakdown (stats.h, stats_json.h). Waits.
---@param spec neap.journal_spec
---@return string? text, string? problem, string? why
function host.journal_stats(spec) end

--- Gives records other costs, and the sums that they are in, in one transaction. Only on the admin
--- side. Waits.
---@param changes (string|number|false)[] id, micros or false, price version, …: 1,000 at most
---@return integer? changed, integer|string missing_or_problem, string? why
function host.journal_recost(changes) end

--- written, dropped, bodies_dropped, transactions, removed (since the start), waiting_bytes of
--- the fullest ring of ring_bytes, `last` (the time of the last write), `error` (of it, if it
--- failed), and on the admin side `bytes` on disk; nil where no journal could be started.
--- Of retention bodies_removed, `retained` (see journal_retain), `held` (seconds for which nothing
--- is removed, since the clock went ahead) and `retention_error`, if it failed.
---@return table<string, number|string>?
function host.journal_figures() end

--- Has what is old removed from the journal at once, and does not wait. Only on the admin side.
---@return number? # what journal_figures' `retained` comes to when it is done; nil: no journal
function host.journal_retain() end

-- ------------------------------------------------------------------------------------
-- Secrets (api_secret.c)

--- In the admin's worker and while a generation is built; raises elsewhere.
---@param record string where it belongs: table and key of its row
---@param field string
---@param secret string
---@return string? sealed base64
---@return string? why
function host.seal(record, field, secret) end

--- As seal.
---@param record string
---@param field string
---@param sealed string
---@return string? secret, string? why
function host.unseal(record, field, sealed) end

--- Waits.
---@param password string
---@return string? hash, "busy"|"failed"|nil problem
function host.password_hash(password) end

--- Waits. Without a hash (there is no such user) it takes as long and is false. is_weak: right, and
--- to be hashed again.
---@param hash string?
---@param password string
---@return boolean? is_right, boolean|"busy"|"failed"|nil is_weak_or_problem
function host.password_verify(hash, password) end

---@return string token, string digest as host.digest gives it
function host.token_new() end

return host
