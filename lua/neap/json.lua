--- neap.json: JSON without loss.
---
--- Objects and arrays are plain tables, so that `ipairs`, `pairs`, `#` and comparisons work.
--- What a plain table cannot say (the order of the members, that an empty table is an array,
--- that a number was written `1.0`) is kept out of sight, and `encode` writes it back: decoding
--- and encoding gives the same document.
---
---     local json = require "neap.json"
---     local body = assert(json.decode(text))
---     body.temperature = nil                    -- the member vanishes
---     body.stop = json.array { "END" }          -- a new one comes after the others
---     local text = json.encode(body)
---
--- A number's text stays as long as the number in its place does; a number that is moved to
--- another table, or is a whole document, is written anew. `json.members` and `json.raw` carry
--- values from one document to another untouched.

local host = require "neap.host"

---@class neap.json
local json = {}

--- The JSON null: one value, equal to itself only. A member set to `nil` is absent instead.
---@type userdata
json.null = host.json_null

--- Decodes a document. Of members with the same name the last one counts. Returns
--- `nil` and a message that names the offset if the text is not JSON.
---@type fun(text: string): value: any, message: string?
json.decode = host.json_decode

--- Encodes a value. A table without a mark is an array if it has elements, else an object; new
--- members follow the known ones, sorted by name. Raises on what JSON cannot hold, naming its
--- place: functions, NaN, tables with names and indices, holes, metatables of another kind,
--- more than 64 levels.
---@type fun(value: any): string
json.encode = host.json_encode

--- Marks a table as an array, also when it is empty, and returns it; without one, a new table.
---@type fun(t: table?): table
json.array = host.json_array

--- Marks a table as an object, also when it is empty, and returns it; without one, a new table.
---@type fun(t: table?): table
json.object = host.json_object

--- Whether the value is a table that was decoded from an array or marked as one.
---@type fun(value: any): boolean
json.is_array = host.json_is_array

--- Whether the value is a table that was decoded from an object or marked as one.
---@type fun(value: any): boolean
json.is_object = host.json_is_object

--- A value that `encode` writes as it is: the text of one JSON value, which is not checked.
---@type fun(text: string): userdata
json.raw = host.json_raw

--- Finds one value in a text without decoding it, and without checking what lies before it:
--- `json.find(text, "choices", 1, "message", "content")`. Returns the value's text, still
--- JSON, and its kind: "null", "boolean", "number", "string", "array" or "object"; `nil` if the
--- path leads nowhere. Names that the document writes with an escape are not found.
---@type fun(text: string, ...: string|integer): raw: string?, kind: string?
json.find = host.json_find

--- The top-level members of an object without decoding them: their texts by name, and their
--- names in the document's order. `nil` and a message that names the offset if the text is no
--- JSON object, or one whose top-level names are ambiguous (twice the same, or escaped).
---@type fun(text: string): members: table<string, string>?, names: string[]|string
json.members = host.json_members

return json
