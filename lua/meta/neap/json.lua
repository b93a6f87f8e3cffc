---@meta neap.json
--- What `require "neap.json"` gives to a policy, for editors. Never loaded: a test holds it to
--- lua/neap/json.lua.

---@class neap.json
---@field null userdata the JSON null; a member that is nil is absent instead
local json = {}

--- Decodes a document; nil and a message that names the offset where it is no JSON.
---@param text string
---@return any value
---@return string? message
function json.decode(text) end

--- Encodes a value. Raises on what JSON cannot hold.
---@param value any
---@return string
function json.encode(value) end

--- Finds one value without decoding the rest: `json.find(text, "choices", 1, "message")`.
---@param text string
---@param ... string|integer
---@return string? raw still JSON
---@return string? kind "null", "boolean", "number", "string", "array" or "object"
function json.find(text, ...) end

--- The top-level members of an object without decoding them: their texts by name, and the names
--- in their order. nil and a message where there is no unambiguous object.
---@param text string
---@return table<string, string>? members
---@return string[]|string names
function json.members(text) end

--- Marks a table, or a new one, as an array, also where it is empty.
---@param t? table
---@return table
function json.array(t) end

--- Marks a table, or a new one, as an object, also where it is empty.
---@param t? table
---@return table
function json.object(t) end

--- Whether a table was decoded from an array or marked as one.
---@param value any
---@return boolean
function json.is_array(value) end

--- Whether a table was decoded from an object or marked as one.
---@param value any
---@return boolean
function json.is_object(value) end

--- A value that `encode` writes as it is: the text of one JSON value, unchecked.
---@param text string
---@return userdata
function json.raw(text) end

return json
