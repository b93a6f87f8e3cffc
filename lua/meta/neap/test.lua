---@meta neap.test
--- What `require "neap.test"` gives to a test of policies, for editors. Never loaded: a test holds
--- it to lua/neap/test.lua.

---@class neap.test
---@overload fun(name: string, run: fun())
local test = {}

---@class neap.test_world_fields
---@field policies (string|table)[] names, or { "name", { setting = … } }, outermost first
---@field fallback? (string|table)[] the chain that answers where a policy raises
---@field targets? (string|table)[] "provider/model", or { "provider/model", priority = 1, … }
---@field keys? table<string, table> by provider: ids, or { id = …, balance = … }; else "k1"
---@field prices? table<string, table> by target: { input = …, output = … }
---@field upstream? table<string, table> by target: an answer, a list in turn, either by key
---@field limits? { attempts: integer?, seconds: number? }
---@field timeouts? table<string, number>
---@field texts? table<string, string> further policies, as the text of their files
---@field random? number what self:random() gives each time
---@field wall? number seconds since 1970, when the world begins
---@field stored? table<string, any> what self.stored has besides its defaults
---@field request? neap.test_request of `test.run`

---@class neap.test_answer
---@field text? string an answer, streamed if the client asked for a stream
---@field stream? (string|table)[] "text", { "text", at = 1 }, { failure = … }, { data = … }
---@field status? integer
---@field headers? table<string, string>
---@field body? string
---@field failure? neap.failure none
---@field why? string
---@field after? number seconds before it begins

---@class neap.test_request the members of the body, and:
---@field messages? string|table[] a text stands for one message
---@field headers? table<string, string>
---@field token? string the name of the token that it comes with
---@field stream? boolean
---@field model? string
---@field [string] any

---@class neap.test_attempt
---@field target string
---@field key string?
---@field status integer?
---@field failure neap.failure?
---@field seconds number

---@class neap.test_run
---@field status integer what the client got
---@field text string the content of the answer
---@field body string the answer as it went out
---@field headers table<string, string>
---@field failure neap.failure? of the response that the chain returned
---@field tried string[] each attempt: "provider/model status" or "provider/model failure"
---@field keys string[] each attempt's key
---@field attempts neap.test_attempt[]
---@field notes string[] what the policies noted
---@field trace table[] every step
---@field seconds number until the chain returned
---@field sent { url: string, headers: string[], edits: string|table }[] what each attempt sent
---@field error string? what a policy raised

--- One request in a world of its own.
---@param given neap.test_world_fields
---@return neap.test_run
function test.run(given) end

--- A group with its providers, whose state lasts over several requests. Raises what is wrong with
--- the policies or their settings.
---@param given neap.test_world_fields
---@return neap.test_world
function test.world(given) end

--- What `require "policies.lib.NAME"` gives to a policy.
---@param name string
---@return any
function test.lib(name) end

--- Tables are equal if their members are.
---@param got any
---@param want any
---@param what? string what is compared
function test.equal(got, want, what) end

--- Neither nil nor false.
---@param value any
---@param what? string
function test.ok(value, what) end

--- The text holds the Lua pattern.
---@param text any
---@param pattern string
---@param what? string
function test.match(text, pattern, what) end

--- The function raises, and its message holds the Lua pattern.
---@param run function
---@param pattern? string
---@return any message
function test.raises(run, pattern) end

---@class neap.test_world: neap.test_world_fields
local world = {}

--- Sends one request and waits for its answer.
---@param given? neap.test_request
---@return neap.test_run
function world:run(given) end

--- Sends requests side by side.
---@param requests neap.test_request[]
---@return neap.test_run[]
function world:run_all(requests) end

--- Lets time pass.
---@param seconds number
function world:sleep(seconds) end

--- A target of the group, as policies see it.
---@param name string "provider/model"
---@return neap.target
function world:target(name) end

--- A provider's key, as policies see it; with a model, as seen from that target.
---@param provider string
---@param id string
---@param model? string
---@return neap.key
function world:key(provider, id, model) end

--- What a policy shares under a key; for one that walks or orders keys, of a provider.
---@param policy string
---@param key string
---@param provider? string
---@return neap.shared_value
function world:shared(policy, key, provider) end

return test
