---@meta neap.host
--- neap.host: signatures of the private C module (host/script/api_*.c and their neighbours). Never
--- loaded: `require "neap.host"` gives the module itself. Only the library in lua/neap and the
--- admin API use it; policies cannot. "Waits" means that the fiber yields until then.

-- luacheck: ignore 241 431 432

---@class neap.host
---@field json_null userdata the JSON null
local host = {}

-- ------------------------------------------------------------------------------------
-- Clocks, chance, hashes, log (api_misc.c)

---@return number seconds of a clock that never jumps
function host.now() end

---@return number seconds since 1970
function host.wall() end

---@param wall number
---@return string "2026-11-21T08:00:00.123Z"
function host.time_text(wall) end

---@return number # from 0 to below 1
function host.random() end

---@param text string
---@return number # below 2^53; the same for the same text in every process
function host.hash(text) end

---@param text string
---@return string # in lower case, in every script that has one
function host.fold(text) end

---@param text string
---@return string # 32 bytes, keyed for this storage folder, or for the process where it has none
function host.digest(text) end

--- What an answer took; neap.usage has the names, and reads its members. What is no number that a
--- count can be is 0.
---@param in_fresh number
---@param cache_read number
---@param cache_write_5m number
---@param cache_write_1h number
---@param in_audio number
---@param out_total number
---@param out_audio number
---@param reasoning number
---@param requests number
---@param seconds number
---@param images number
---@param is_estimate boolean
---@param raw string? of which 4 KiB are kept
---@param reported_cost number?
---@return userdata
function host.usage(in_fresh, cache_read, cache_write_5m, cache_write_1h, in_audio, out_total,
  out_audio, reasoning, requests, seconds, images, is_estimate, raw, reported_cost) end

---@param prices table as neap.price compiles them
---@return userdata # their form in which costs are made of them
function host.rates(prices) end

---@param rates userdata
---@param used userdata a usage
---@return number # whole micros
function host.cost(rates, used) end

--- An attempt of the record that ends next. They are told in their order, and their texts must stay
--- until end_record.
---@param place integer from 1; what was told of later ones is forgotten
---@param target string? "provider/model"
---@param key string?
---@param status integer?
---@param failure string?
---@param why string?
---@param seconds number
---@param first_event_seconds number?
function host.record_attempt(place, target, key, status, failure, why, seconds,
  first_event_seconds) end

--- A request is over: its line goes to the log, where that is JSON, and its record to the journal.
--- Its attempts were told before. neap.record has the other names.
---@param attempt_count integer
---@param used userdata? a usage
---@param uuid string
---@param ... string|number|boolean|nil id, origin, client, path, endpoint, wall, seconds,
---generation, token, group, model, stream, conversation, dialect_in, bytes_in, status, outcome,
---provider, target_model, key, dialect_out, bytes_out, first_byte_seconds, first_event_seconds,
---cost_micros, price_version, error, policy, trace
---@return boolean # whether the log's lines are text: then there is none of this record yet
function host.end_record(attempt_count, used, uuid, ...) end

---@return string # a UUIDv7
function host.id() end

---@param level "debug"|"info"|"warn"|"error"
---@param area string
---@param text string
function host.log(level, area, text) end

---@param text string a finished line of level info
function host.log_line(text) end

---@return table<string, number|boolean> figures of the process, for health
function host.figures() end

---@return number
function host.generation() end

--- Adds to a figure that all workers count together; step 0 only reads it.
---@param name "faults"|"done_skipped"
---@param step integer
---@return number sum
function host.tally(name, step) end

--- Waits.
---@param seconds number
function host.sleep(seconds) end

---@param guard function at which an overrun of a run's limits is caught
function host.set_boundary(guard) end

---@return boolean was_overrun
function host.relax() end

-- ------------------------------------------------------------------------------------
-- Objects (api_object.c)

--- The __index of a class of neap.object.
---@param name string
---@param members table<string, function|true|table> methods, true for a field of the inside, or
---{ getter }, a function(inside, self) that does not wait
---@return function
function host.object_index(name, members) end

---@param class table a metatable, see neap.object
---@param inside table
---@return userdata
function host.object_new(class, inside) end

---@param class table
---@param value any
---@return table? inside nil where the value is no object of the class
function host.object_inside(class, value) end

--- The same; raises for anything else, at the level of the caller's caller.
---@param class table
---@param value any
---@param what string what the value is called in the error
---@return table inside
function host.object_check(class, value, what) end

--- A new list with the same elements, up to the first hole.
---@param list any[]
---@return any[]
function host.copy_list(list) end

-- ------------------------------------------------------------------------------------
-- Requests of neap's own (fetch.c)

---@class neap.host_fetch
---@field method string? GET
---@field url string absolute, http or https
---@field headers string[]? "Name: value"
---@field body string?
---@field timeout number? seconds for all of it, 15; 5 of them at most for the connection
---@field proxy string? "http://…", "https://…", "socks5://…", "socks5h://…"
---@field private boolean? whether private addresses are allowed
---@field size_max integer? bytes of the answer's body, decoded; 1 MiB, 16 MiB at most

--- One HTTP request, its answer held whole. Waits. Follows no redirect. Raises for wrong arguments;
--- what goes wrong on the way is nil, response.failure's name for it and a text without secrets.
---@param given neap.host_fetch
---@return integer? status, table<string, string>|string headers_or_failure, string body_or_why
function host.fetch(given) end

-- ------------------------------------------------------------------------------------
-- Values and health that all workers share (api_shared.c)

---@alias neap.shared_value number|boolean|string|nil

---@param key string
---@return neap.shared_value
function host.shared_get(key) end

---@param key string
---@param value neap.shared_value
---@param ttl number?
---@return true?, string? problem
function host.shared_set(key, value, ttl) end

---@param key string
---@param step number
---@param ttl number? from the entry's making
---@param limit number?
---@return number? sum, string? problem
function host.shared_add(key, step, ttl, limit) end

---@param key string
---@param old neap.shared_value
---@param new neap.shared_value
---@param ttl number?
---@return boolean? did, string? problem
function host.shared_swap(key, old, new, ttl) end

---@param name string
---@return neap.host_health # the process's one entry of that name
function host.health(name) end

---@class neap.host_view times in seconds
---@field state "ready"|"resting"|"disabled"
---@field remaining number? until it wakes or is probed
---@field since number
---@field why string
---@field in_flight integer
---@field uses number
---@field latency number
---@field rests integer in a row without a success between
---@field balance number?
---@field balance_at number? seconds since 1970

---@class neap.host_health
local health = {}

---@return boolean
function health:is_ready() end

---@return integer
function health:in_flight() end

---@return neap.host_view
function health:view() end

---@param other neap.host_health? whose state it is where this one is ready
---@return "ready"|"resting"|"disabled"
function health:state(other) end

---@return integer # in a row without a success between
function health:rests() end

---@param seconds number
---@param why string?
function health:rest(seconds, why) end

---@param why string
---@param probe_seconds number? 0: until somebody says well
function health:disable(why, probe_seconds) end

--- It works, as of then: what failed before is forgotten. Older than the last failure it says
--- nothing.
---@param at number? of host.now(); now
function health:well(at) end

---@return boolean # ready, without a rest or a failure since the last success
function health:is_well() end

---@param at number of host.now()
---@param window number seconds, from the first failure, that failures count
---@return integer # failures since the last success; 0: there was one after it
function health:fail(at, window) end

---@return boolean # whether the caller's attempt is the probe
function health:probe() end

---@param seconds number to the first event
function health:latency(seconds) end

---@return number? # what is left on a key; nil where nobody knows
function health:balance() end

---@param balance number? nil: it is not known any more
function health:set_balance(balance) end

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
---@return table<string, number|string>?
function host.journal_figures() end

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

-- ------------------------------------------------------------------------------------
-- Generations and jobs (reloads.c, spawn.c)

--- Loads everything anew, as SIGHUP does. Waits until it is in force in all workers; who asks
--- within 200 ms shares one load.
---@return number? generation, string? errors one a line
function host.reload() end

---@class neap.host_load
---@field generation number? nil: refused
---@field at number seconds since 1970
---@field cause "start"|"signal"|"watch"|"api"
---@field errors string?

---@return { current: number, loads: neap.host_load[] } # the last 32, the newest first
function host.generations() end

--- Runs fn(…) soon, in a fiber of its own that belongs to no request. It lives on when its
--- generation is replaced, and ends with the worker.
---@param fn function
---@param ... any at most 16
function host.spawn(fn, ...) end

---@return boolean # whether new requests come to this generation
function host.is_current() end

-- ------------------------------------------------------------------------------------
-- Files and policies, while a generation is built (modules.c)

---@param path string
---@return string? text, string? why
function host.read(path) end

---@param folder string
---@return string[] # the names in it, in order; none where it cannot be read
function host.files(folder) end

---@param name string
---@return string?
function host.env(name) end

---@return string # the folder that holds lua/ and policies/
function host.home() end

---@param table "config"|"keys"
---@return string[]? # key, value, key, value, …; nil where nothing is stored, as in neap check
function host.stored(table) end

---@param text string
---@param name string shown in messages
---@param environment table
---@return function? chunk, string? message
function host.load_policy(text, name, environment) end

---@param require function
---@return table # a new environment for a policy
function host.environment(require) end

---@param t table
---@return table # a read-only view
function host.readonly(t) end

-- ------------------------------------------------------------------------------------
-- JSON (api_json.c); neap.json says what they do

---@param text string
---@return any value, string? message
function host.json_decode(text) end

--- The same for what is only read: what encoding needs besides the values is not kept.
---@param text string
---@return any value, string? message
function host.json_read(text) end

---@param value any
---@return string
function host.json_encode(value) end

---@param text string
---@param ... string|integer
---@return string? raw, string? kind
function host.json_find(text, ...) end

---@param text string
---@return table<string, string>?, string[]|string
function host.json_members(text) end

---@param t table?
---@return table
function host.json_array(t) end

---@param t table?
---@return table
function host.json_object(t) end

---@param value any
---@return boolean
function host.json_is_array(value) end

---@param value any
---@return boolean
function host.json_is_object(value) end

---@param text string
---@return userdata
function host.json_raw(text) end

-- ------------------------------------------------------------------------------------
-- Looks into documents (api_look.c)

--- A question to a document. Its paths are names with "/" between them, "*" for each element of an
--- array. What it takes, and its answer:
---
--- | take | answer |
--- |---|---|
--- | kind | of the value at the earliest path that leads to one: its kind, as json.find has it |
--- | text | of the same: a string, decoded; nil for anything else |
--- | raw | of the same: its text as it stands there, or nil |
--- | is_true | of the same: whether it is true |
--- | is_some | whether any value says something: neither null nor empty |
--- | bytes | of the raw texts of all values but null, together |
--- | number | at the earliest path with a good one, or nil: from 0 to max; may be a string |
--- | count | the same without its fraction |
--- | greatest | the greatest count of all paths, or 0 |
---@class neap.host_question: string[] the paths
---@field take "kind"|"text"|"raw"|"is_true"|"is_some"|"bytes"|"number"|"count"|"greatest"
---@field max number? of a number

---@class neap.host_look what is wanted of a document, found in one walk over it
local look = {}

--- Made at load: the answers come in the order of the questions.
---@param questions neap.host_question[] at most 16; no path stands in two
---@return neap.host_look
function host.look(questions) end

---@param text string
---@return any ...
function look:of(text) end

--- What a look says that asks for usage: its questions are those of neap.usage, in their order.
--- Nil where no count is said.
---@param text string
---@return userdata?
function look:usage(text) end

-- ------------------------------------------------------------------------------------
-- A client's request (api_request.c)

---@class neap.host_said where a body has what its user said; made at load

---@class neap.host_said_names names of members, but for text
---@field list string the messages
---@field member string of a message: it counts
---@field text string where its member is this
---@field part string of a message: what it says, a text or a list of parts
---@field inner string of a part: its text

---@param names neap.host_said_names
---@return neap.host_said
function host.said(names) end

---@class neap.host_request
local request = {}

---@return string method, string path, string query
function request:line() end

--- What is known of a request when it has arrived. The request's id is the client's X-Request-Id
--- where it is a sound one: at most 128 letters, digits and - _ . :, else the uuid.
---@return string method
---@return string path
---@return string request_id
---@return string uuid neap's own
---@return string peer
---@return number now seconds of the clock that never jumps
---@return number wall seconds since 1970
---@return number generation
function request:arrive() end

---@param name string
---@return string?
function request:header(name) end

---@return string[] # name, value, name, value … as they came
function request:headers() end

---@return string address, boolean is_loopback
function request:peer() end

--- The digest of the token that the client sent, wherever it put it; nil if there is none.
---@return string?
function request:token_digest() end

--- Waits until the body is complete, or never can be.
---@return number? size, "object"|"other"|integer|nil kind_or_status, string? message
function request:receive() end

---@return number
function request:size() end

---@param most number
---@return string? # nil where it is longer, or lies in a file
function request:body(most) end

--- The answers of a look into the body; of its members only those whose texts are kept are seen.
---@param look neap.host_look
---@return any ...
function request:look(look) end

---@param name string of a top-level member
---@return string? raw, string? kind, number? size
function request:member(name) end

--- The conversation of what the user said last and before that, as far as it is known from the last
--- so many seconds, else fresh; it is kept for as long again. nil where the body says nothing.
---@param said neap.host_said
---@param scope string nothing of another one is seen
---@param fresh string of at most 39 bytes
---@param seconds number
---@return string? id
function request:guess(said, scope, fresh, seconds) end

---@return "object"|"other"|nil
function request:kind() end

---@param what "cancel"|"drain"|"detach"
function request:on_disconnect(what) end

---@return boolean
function request:is_gone() end

---@param record table
function request:set_record(record) end

---@return table?
function request:record() end

--- Has the journal keep the request's body and the answer's, without secrets. Before the answer,
--- once.
---@param size_max number bytes of each, up to 16 MiB
---@param failures_only boolean?
function request:keep_bodies(size_max, failures_only) end

---@param status integer
---@param fields (string|number)[] name, value, …
---@param body string
function request:reply(status, fields, body) end

---@param attempt neap.host_attempt whose body has ended; it is closed
---@param status integer
---@param fields (string|number)[]
function request:reply_held(attempt, status, fields) end

---@param status integer
---@param fields (string|number)[]
---@param length number -1 where it is not known
function request:start(status, fields, length) end

--- Waits while the client reads too slowly.
---@param text string
function request:write(text) end

function request:finish() end
function request:cut() end

--- The last thing that the fiber does.
---@param attempt neap.host_attempt
---@param status integer
---@param fields (string|number)[]
---@param length number
---@param plan neap.host_plan?
function request:relay(attempt, status, fields, length, plan) end

-- ------------------------------------------------------------------------------------
-- Attempts (attempt.c) and plans (plan.c)

---@class neap.host_start
---@field url string
---@field method string? POST
---@field headers string[] "Name: value"
---@field forward string[] names of the client's headers that go on, lower case
---@field connect number? seconds, like the other timers; 0: none
---@field first_byte number?
---@field first_event number?
---@field idle number?
---@field total number?
---@field proxy string?
---@field private boolean? whether private addresses are allowed
---@field stream boolean? many small reads are expected
---@field health neap.host_health[]? at most two, counted as in flight

---@param request neap.host_request
---@param route neap.host_route
---@param body string|(string|false)[]|nil a text, or edits of the client's: name, raw or false, …
---@return neap.host_attempt
function host.start(request, route, body) end

---@class neap.host_attempt
local attempt = {}

--- Waits.
---@return integer? status, string? type_or_failure the content type or nil, string? text
function attempt:head() end

--- Waits.
---@param offset integer
---@param seconds number?
---@return string|false|nil data, integer|string next_offset_or_reason, string? name_or_text
function attempt:event(offset, seconds) end

--- Waits until so many are held, the body has ended, no more can be held, or the time is over.
---@param count number
---@param seconds number?
---@return integer? held, boolean|string is_ended_or_failure, string? text
function attempt:bytes(count, seconds) end

---@param from integer?
---@param size number?
---@return string
function attempt:text(from, size) end

--- The answers of a look into what is held.
---@param look neap.host_look
---@return any ...
function attempt:look(look) end

--- The usage that a look finds in what is held: as look:usage.
---@param look neap.host_look
---@return userdata?
function attempt:usage(look) end

---@param ... string|integer
---@return string? raw, string? kind
function attempt:find(...) end

---@param ... string|integer
---@return string? kind, integer? size of the raw text
function attempt:measure(...) end

---@param name string
---@return string?
function attempt:header(name) end

---@return string[]
function attempt:headers() end

---@param count integer bytes to drop from the front
function attempt:release(count) end

---@param seconds number 0 takes it back
function attempt:deadline(seconds) end

---@return integer held, boolean is_ended, string? failure, string? text
function attempt:state() end

function attempt:close() end

---@param request neap.host_request
---@return neap.host_legs # none of which has started
function host.legs(request) end

---@class neap.host_legs functions that run beside the fiber that began them (legs.c)
local legs = {}

--- Runs the function in a fiber of its own, up to its first wait.
---@param run fun()
---@return integer place from 1 on
function legs:start(run) end

--- Waits until a leg has ended that was not told of yet.
---@param seconds number?
---@return integer? place nil: it is late, string? message of a leg that raised
function legs:wait(seconds) end

--- Those that still run end now.
function legs:close() end

---@class neap.host_plan what a relay looks for in a stream
---@param rules table { { when = …, ["do"] = … }, …, broken = bytes, late = bytes }
---@return neap.host_plan
function host.plan(rules) end

---@class neap.host_filter which of a provider's headers a client gets
---@param names string[] lower case; a * at the end stands for any rest
---@return neap.host_filter
function host.filter(names) end

---@class neap.host_route
---@param fixed neap.host_start
---@return neap.host_route
function host.route(fixed) end

return host
