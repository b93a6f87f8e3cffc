---@meta neap.policy
--- What `require "neap.policy"` gives to a policy, for editors. Never loaded: a test holds it to
--- lua/neap/policy.lua and to the objects that the library makes.

---@class neap.policy_module
local policy = {}

---@class neap.policy_fields what `policy.define` takes
---@field summary string a sentence that says what the policy does
---@field settings? table<string, neap.schema> what its user may set, made by neap.setting
---@field walks? "target"|"key" it tries one after the other
---@field orders? "target"|"key" it hands an order or a selection inward

--- Describes a policy. The file then defines its `run`, and `done` if it needs one, and returns it.
---@param fields neap.policy_fields
---@return neap.policy
function policy.define(fields) end

--- A number from 0 to below 2^53: the same for the same text, in every worker and always.
---@param text string
---@return number
function policy.hash(text) end

--- The text in lower case, in every script that has one: for comparing in any case.
---@param text string
---@return string
function policy.fold(text) end

---@class neap.stored
---@field failure_threshold integer failures that rest a target
---@field failure_window number seconds in which they count
---@field keywords string[] that no answer may hold

---@alias neap.next fun(request: neap.request): neap.response the rest of the chain

---@class neap.policy a policy; in its functions, `self`
---@field run fun(self: neap.policy, request: neap.request, next: neap.next): neap.response
---@field done? fun(self: neap.policy, request: neap.request, outcome: neap.outcome)
---@field name string as router.lua names it
---@field settings table<string, any> checked, with defaults, read-only
---@field shared neap.shared small values that all workers see at once
---@field stored neap.stored settings that are stored rather than written, read-only
local self = {}

--- A line in the request's trace, with file and line.
---@param format string as for string.format
---@param ... any
function self:note(format, ...) end

--- Seconds of a clock that never jumps.
---@return number
function self:now() end

--- A number from 0 to below 1.
---@return number
function self:random() end

--- Waits; other requests go on.
---@param seconds number
function self:sleep(seconds) end

--- Keeps a value for this policy's `done` of this request, in place of the one before. It outlives
--- a reload if JSON can hold it.
---@param value any
function self:remember(value) end

--- What was kept for this request; nil where there is nothing.
---@return any
function self:remembered() end

---@class neap.calendar
---@field year integer
---@field month integer 1 to 12
---@field day integer 1 to 31
---@field hour integer 0 to 23
---@field minute integer
---@field second integer
---@field weekday integer Monday is 1

--- What the calendar and the clock on the wall show.
---@param name? string an offset from UTC such as "+08:00", or what a setting.zone gave; else UTC
---@return neap.calendar
function self:calendar(name) end

---@alias neap.shared_value number|boolean|string|nil

---@class neap.shared of policy and group; of policy and provider where it walks or orders keys
local shared = {}

--- The value, or nil where there is none any more.
---@param key string
---@return neap.shared_value
function shared:get(key) end

--- Sets a value; nil removes it.
---@param key string
---@param value neap.shared_value
---@param ttl? number seconds that it stays
function shared:set(key, value, ttl) end

--- Adds to a number, from 0 where there is none. Returns the sum, or nil where it would pass the
--- limit; then nothing is added.
---@param key string
---@param step number
---@param ttl? number seconds that it stays, from its making
---@param limit? number
---@return number? sum
function shared:add(key, step, ttl, limit) end

--- Sets the new value if there is the old one.
---@param key string
---@param old neap.shared_value
---@param new neap.shared_value
---@param ttl? number seconds that it stays
---@return boolean did
function shared:swap(key, old, new, ttl) end

return policy
