--- admin.api.page: lists come in pages: `limit` elements and a cursor for the next ones.
---
--- A cursor is opaque to callers: it names the last row that was shown, so that rows that come and
--- go between two pages move nothing.

local json = require "neap.json"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"

local page = {}

page.LIMIT, page.LIMIT_MAX = 50, 500

local CURSOR_MAX = 1022 -- characters: a key of the store, which has 511 bytes at most, in hex

--- The parameters of a list, to be put into an operation's query; `more` are its own.
---@param more table<string, table>?
function page.query(more)
  local query = {
    limit = { type = "integer", minimum = 1, maximum = page.LIMIT_MAX, default = page.LIMIT,
      description = "How many elements a page has at most." },
    cursor = { type = "string", format = "cursor", maxLength = CURSOR_MAX,
      description = "next_cursor of the page before; without it the first page." },
  }
  for name, one in pairs(more or {}) do query[name] = one end
  return query
end

--- The schema of a page of these.
function page.schema(items)
  return schema.object({
    items = { type = "array", items = items },
    next_cursor = { type = { "string", "null" }, description = "null: this is the last page." },
  }, { "items", "next_cursor" })
end

local function to_hex(text)
  return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- The store's key that the caller goes on behind, or nil at the beginning.
function page.after(of)
  local cursor = of.query.cursor
  if not cursor then return nil end
  if #cursor % 2 == 1 or cursor:find("%X") then
    problem.raise(400, "invalid_query", "cursor is none that a page had", { field = "cursor" })
  end
  return (cursor:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- A page as it is answered. key: of the last row that was looked at where there are more, else
--- nil.
function page.document(items, key)
  return json.object { items = json.array(items), next_cursor = key and to_hex(key) or json.null }
end

return page
