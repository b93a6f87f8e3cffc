---@meta _
--- What a policy's functions are given and make, for editors: requests, targets, keys, responses,
--- outcomes. Never loaded: a test holds it to the objects that the library makes.

---@alias neap.failure "connect"|"timeout"|"tls"|"reset"|"protocol"|"empty"|"keyword"|"exhausted"
---@alias neap.state "ready"|"resting"|"disabled"

-- ------------------------------------------------------------------------------------
-- The request

---@class neap.request read-only; a name that it does not have raises
---@field group string that the client named in `model`
---@field model string
---@field headers table<string, string> of the client, in lower case, without credentials
---@field token string? the name of the token that it came with
---@field stream boolean whether the client asked for a stream
---@field conversation string the id that the client gets: its own, a guess, or a new one
---@field told_conversation string? the id that the client itself gave
---@field tokens_estimate integer of the prompt, from its size; a file or an image counts as 1,000
---@field timeout number? seconds; what a policy narrowed it to
---@field attempts neap.attempt[] every attempt so far
---@field targets neap.target[] in the host's order, or a policy's; a new list each time
---@field target neap.target? the one that an attempt would take
---@field keys neap.key[] of `target`, in turn, or in a policy's order; a new list each time
---@field key neap.key? the one that an attempt would take
local request = {}

--- The decoded body. Raises where it is longer than 1 MiB, holds more than 40,000 values or is no
--- JSON; if nobody catches that, the client gets a 413 or 400.
---@return table
function request:json() end

---@class neap.request_changes
---@field target? neap.target
---@field targets? neap.target[]
---@field key? neap.key
---@field keys? neap.key[]
---@field model? string what the provider is asked for instead of the target's model
---@field timeout? number seconds; bounds each timer of the attempt
---@field headers? table<string, string> further headers of the attempt
---@field set? table<string, any> top-level members of the body; json.null for null

--- A narrowed request, for `next`.
---@param changes neap.request_changes
---@return neap.request
function request:with(changes) end

--- What is left of the group's `limits`.
---@return integer attempts
---@return number seconds
function request:remaining() end

--- An error of neap's own, in the client's dialect.
---@param status integer 400 to 599
---@param message string
---@param retry_after? number seconds
---@return neap.response
function request:refuse(status, message, retry_after) end

---@class neap.message
---@field text? string
---@field reasoning? string
---@field refusal? string
---@field tools? { id: string, name: string, arguments: string }[]
---@field finish? "stop"|"length"|"tool_calls"|"content_filter"
---@field id? string
---@field model? string
---@field usage? table

--- A complete answer of the policy's own, streamed if the client asked for a stream.
---@param message string|neap.message a text, or a message
---@return neap.response
function request:reply(message) end

---@class neap.leg
---@field [1] neap.request
---@field after? number seconds after the race's begin; sooner where no leg runs any more

--- Runs the rest of the chain in legs side by side. The first one with an answer wins; the others
--- are cancelled, and their open attempts end as "lost". Each leg's attempts count for the budget.
---@param next neap.next
---@param legs neap.leg[]
---@return neap.response
function request:race(next, legs) end

---@class neap.attempt
---@field target neap.target
---@field key neap.key?
---@field status integer? of the answer, where there was one
---@field failure neap.failure|"lost"|nil where there was none
---@field started number when it began, on the clock of self:now()
---@field seconds number?
---@field first_event_seconds number?

-- ------------------------------------------------------------------------------------
-- Targets and keys: one state for all workers and groups

---@class neap.target
---@field name string "provider/model"
---@field provider string
---@field model string
---@field priority integer the least is tried first
---@field weight number
---@field price number? USD per million tokens, in and out together
---@field in_flight integer attempts that run, in all workers
---@field latency number? seconds to the first content; nil before the first answer
---@field state neap.state
---@field rests integer in a row, without a success between
---@field is_well boolean ready, and nothing failed since its last success
local target = {}

--- What so many tokens cost in USD; nil where its prices are not known.
---@param prompt number
---@param completion number
---@return number?
function target:cost(prompt, completion) end

--- Takes it out of the front of the host's order for a while.
---@param time number seconds
---@param why? string
function target:rest(time, why) end

--- Whether this request is the one that may try it, where it is not ready.
---@return boolean
function target:probe() end

--- It works, as of then: ready again, its rests and what failed before forgotten. Where something
--- failed later it says nothing.
---@param at? number of self:now(); now
function target:well(at) end

--- It failed then. Returns how often since its last success, in all groups; 0 where it has had one
--- after that. It does not rest by itself.
---@param at number of self:now()
---@param window number seconds that failures count, from the first
---@return integer
function target:fail(at, window) end

---@class neap.key as seen from one target: what rests for the target's model alone counts
---@field id string
---@field state neap.state
---@field since number when the state began
---@field remaining number? seconds until it wakes or is probed
---@field rests integer in a row, without a success between
---@field why string the reason of its state
---@field balance number? as router.lua gives it
---@field in_flight integer attempts that run, in all workers
local key = {}

--- Leaves it out for a while; with a model, for that model alone.
---@param time number seconds
---@param why? string
---@param model? string
function key:rest(time, why, model) end

--- Leaves it out until a probe succeeds or somebody calls it well.
---@param why string
---@param probe_seconds? number
function key:disable(why, probe_seconds) end

--- Whether this request is the one that may try it, where it is not ready.
---@return boolean
function key:probe() end

--- It works: ready again, and its rests forgotten.
function key:well() end

-- ------------------------------------------------------------------------------------
-- What comes back

---@class neap.response not yet sent; exactly one of status and failure is set
---@field status integer?
---@field failure neap.failure?
---@field headers table<string, string> in lower case
---@field seconds number? from the attempt's begin
---@field first_event_seconds number?
---@field retry_after number? seconds that an error answer asks to wait
---@field body string? of an error answer, up to 64 KiB
local response = {}

--- The raw answer so far. Waits until so many bytes are there, the end, or the time; consumes
--- nothing.
---@param bytes integer
---@param seconds? number
---@return string
function response:peek(bytes, seconds) end

--- The content of the answer so far, decoded. Waits until so many characters are there, the end,
--- or the time; consumes nothing.
---@param characters integer
---@param seconds? number
---@return string
function response:text(characters, seconds) end

--- Turns an answer into a failure.
---@param failure neap.failure
---@param why? string
---@return neap.response
function response:fail(failure, why) end

---@class neap.usage in tokens
---@field prompt integer all parts included
---@field completion integer all parts included
---@field total integer
---@field in_fresh integer
---@field cache_read integer
---@field cache_write_5m integer
---@field cache_write_1h integer
---@field in_audio integer
---@field out_total integer
---@field reasoning integer part of out_total
---@field out_audio integer part of out_total
---@field requests integer calls
---@field seconds number of audio
---@field images integer made
---@field is_estimate boolean? nobody said how many
---@field reported_cost number? USD, where the provider says what it charged

---@class neap.outcome how a request ended, for `done`
---@field status integer? what the client got
---@field failure neap.failure?
---@field usage neap.usage?
---@field cost number? USD
---@field seconds number
---@field first_event_seconds number?
---@field aborted boolean the client left
---@field at_once boolean the first attempt brought the answer, and the client got all of it
---@field target neap.target? of the last attempt
---@field key neap.key?
