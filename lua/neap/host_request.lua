---@meta neap.host
--- neap.host: signatures of what belongs to one client's request: the looks into bodies, the
--- request itself, its attempts. As host.lua never loaded.

-- luacheck: ignore 241 431 432

---@class neap.host
local host = {}

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

---@class neap.host_look_questions
---@field [integer] neap.host_question
---@field usage neap.host_question[]? those of neap.usage: the last answer is a usage, or nil where
---no count is said

---@class neap.host_look what is wanted of a document, found in one walk over it
local look = {}

--- Made at load: the answers come in the order of the questions.
---@param questions neap.host_look_questions at most 24; no path stands in two
---@return neap.host_look
function host.look(questions) end

---@param text string
---@return any ...
function look:of(text) end

-- ------------------------------------------------------------------------------------
-- A client's request (api_request.c)

---@class neap.host_said names of members, but for text
---@field list string the messages
---@field member string of a message: it counts
---@field text string where its member is this
---@field part string of a message: what it says, a text or a list of parts
---@field inner string of a part: its text

--- Where bodies of a dialect have what their user said, which request:guess looks for; at load.
--- Raises where another dialect has other names in the same list.
---@param names neap.host_said
function host.said(names) end

---@class neap.host_request
local request = {}

---@return string method, string path, string query
function request:line() end

--- The router takes the request: it has its ids from now on, and its time runs (arrival.h).
---@param record table as of set_record
---@return string method, string path
function request:arrive(record) end

--- The client's X-Request-Id where it is a sound one: at most 128 letters, digits and - _ . :, else
--- the uuid.
---@return string
function request:id() end

---@return string # neap's own, a UUIDv7
function request:uuid() end

---@return number seconds since it arrived
---@return boolean is_gone whether the client left before its answer had ended
function request:elapsed() end

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
--- so many seconds, else its own uuid; it is kept for as long again. nil where the body says
--- nothing.
---@param scope string nothing of another one is seen
---@param seconds number
---@return string? id
function request:guess(scope, seconds) end

---@return "object"|"other"|nil
function request:kind() end

---@param what "cancel"|"drain"|"detach"
function request:on_disconnect(what) end

---@param record table what its end, by whatever way, will be told with
function request:set_record(record) end

---@return table?
function request:record() end

--- The record of the request whose fiber runs; nil in any other coroutine, also in a race's leg.
---@return table?
function host.running_record() end

--- Has the journal keep the request's body and the answer's, without secrets. Before the answer,
--- once.
---@param size_max number bytes of each, up to 16 MiB
---@param failures_only boolean?
function request:keep_bodies(size_max, failures_only) end

---@param status integer
---@param fields (string|number)[] name, value, …
---@param body string
function request:reply(status, fields, body) end

--- The fields are neap's own for an answer that a provider gave, those of `more`, and what the
--- filter lets pass of the provider's.
---@param attempt neap.host_attempt whose body has ended; it is closed
---@param status integer
---@param filter neap.host_filter
---@param conversation string?
---@param provider string
---@param attempts integer how many there were
---@param more (string|number)[]?
---@return number seconds as of elapsed, with the answer sent
---@return boolean is_gone
function request:reply_held(attempt, status, filter, conversation, provider, attempts, more) end

---@param status integer
---@param fields (string|number)[]
---@param length number -1 where it is not known
function request:start(status, fields, length) end

--- Waits while the client reads too slowly.
---@param text string
function request:write(text) end

function request:finish() end
function request:cut() end

--- The last thing that the fiber does. As reply_held, and:
---@param attempt neap.host_attempt
---@param status integer
---@param filter neap.host_filter
---@param conversation string?
---@param provider string
---@param attempts integer
---@param more (string|number)[]?
---@param length number
---@param plan neap.host_plan?
function request:relay(attempt, status, filter, conversation, provider, attempts, more, length,
  plan) end

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
---@field health neap.host_health[]? the target's and the key's, counted as in flight

---@param request neap.host_request
---@param route neap.host_route
---@param body string|(string|false)[]|nil a text, or edits of the client's: name, raw or false, …
---@return neap.host_attempt
function host.start(request, route, body) end

---@class neap.host_attempt
local attempt = {}

--- Waits for the head; where the answer is no error and no stream, also for its end, or until no
--- more can be held. Then it gives what is held, whether it has ended, and what the look finds in
--- one that has.
---@param look neap.host_look?
---@return integer? status
---@return string? type_or_failure the content type or nil
---@return integer|string|nil held_or_text
---@return boolean? is_ended
---@return any ...
function attempt:answer(look) end

--- The answer is a good one: the latency of its target is told.
---@param started number of host.now()
---@return number seconds since then
function attempt:accept(started) end

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
