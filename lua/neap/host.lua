---@meta neap.host
--- neap.host: signatures of the private C module (host/script/api_*.c and their neighbours). Never
--- loaded: `require "neap.host"` gives the module itself. Only the library in lua/neap and the
--- admin API use it; policies cannot. "Waits" means that the fiber yields until then. What the
--- storage is asked stands in host_storage.lua, what belongs to a request in host_request.lua.

-- luacheck: ignore 241 431 432

---@class neap.host
---@field json_null userdata the JSON null
---@field request neap.host_request the methods of requests, for who calls them by themselves
---@field attempt neap.host_attempt the same of attempts
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

---@param secrets string[] of which those below 8 bytes are left out
---@return userdata # which finds them in a text in a time that does not depend on how many they are
function host.known_secrets(secrets) end
---@param known userdata of known_secrets
---@param text string
---@return boolean # one of them stands in it
function host.has_secret(known, text) end

---@param rates userdata
---@param used userdata a usage
---@return number # whole micros
function host.cost(rates, used) end

--- An attempt of the record that ends next, but not its last. They are told in their order, and
--- their texts must stay until end_record.
---@param place integer from 1; what was told of later ones is forgotten
---@param status integer?
---@param seconds number
---@param first_event_seconds number?
---@param target string? "provider/model"
---@param key string?
---@param failure string?
---@param why string?
function host.record_attempt(place, status, seconds, first_event_seconds, target, key, failure,
  why) end

--- The request is over: its line goes to the log, where that is JSON, and its
--- record to the journal. Its attempts were told before, but for the last one; what the host knows
--- itself is not told (arrival.h). neap.record has the other names.
---@param request neap.host_request
---@param used userdata? a usage
---@param is_stream boolean
---@param ... number|string|boolean|nil what record_attempt takes, of the last attempt (place 0:
---there was none); seconds, first_byte_seconds, first_event_seconds, status, bytes_out,
---cost_micros, price_version; token, group, endpoint, dialect_in, dialect_out, model, provider,
---target_model, key, conversation; outcome, policy, error, trace, origin
---@return string? id, number? wall of the request, where the log's lines are text: then there is
---none of this record yet
function host.end_record(request, used, is_stream, ...) end

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

---@return number # the generation that this is of, which may have been replaced
function host.generation() end

--- Adds to a figure that all workers count together; step 0 only reads it.
---@param name "faults"|"done_skipped"
---@param step integer
---@return number sum
function host.tally(name, step) end

--- Waits.
---@param seconds number
function host.sleep(seconds) end

--- Others that are ready in the same turn of the loop may go first, so that each stage of a request
--- finds its code in the processor's cache: a function for each stage that may come next. It waits
--- where there are others, unless the request brings much along itself.
---@type { replies: fun(), records: fun(), routes: fun(), starts: fun() }
host.give_way = {}

---@param guard function at which an overrun of a run's limits is caught
function host.set_boundary(guard) end

---@return boolean was_overrun
function host.relax() end

--- Gives a run that has no limit of CPU time, as at load, one from now on; 0 takes it away again.
---@param ms integer
---@return boolean is_changed false: the run has a limit of its own, or, for 0, none
function host.limit_cpu(ms) end

-- ------------------------------------------------------------------------------------
-- Objects (api_object.c)

--- The __index of a class of neap.object.
---@param members table<string, function|boolean|table> methods, true for a field of the inside, or
---{ getter }, a function(inside) that does not wait; its own __index raises for others
---@return function
function host.object_index(members) end

---@param class table a metatable, see neap.object
---@param inside table
---@param metatable table? of the object's own, which keeps its class
---@return userdata
function host.object_new(class, inside, metatable) end

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

---@return number? # what is left on a key; nil where nobody knows
function health:balance() end

---@param balance number? nil: it is not known any more
function health:set_balance(balance) end

-- ------------------------------------------------------------------------------------
-- Generations and jobs (reloads.c, spawn.c)

--- Loads everything anew, as SIGHUP does. Waits until it is in force in all workers; who asks
--- within 200 ms shares one load.
---@return number? generation, string? errors one a line
function host.reload() end

---@class neap.host_load
---@field generation number? nil: refused
---@field at number seconds since 1970
---@field cause "start"|"signal"|"watch"|"api"|"memory"
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

---@param certificate string the path of a file
---@param key string
---@return string? # why a listener cannot use them
function host.certificate_problem(certificate, key) end

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

--- The same where the text may hold so many values at most, arrays and objects among them.
---@param text string
---@param most number
---@return any value, string? message, boolean? are_too_many
function host.json_decode_some(text, most) end

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

return host
