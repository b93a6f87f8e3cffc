--- admin.api.journal: the journal as resources read it: pages, records, statistics. Everything here
--- waits, and gives JSON as text, which nobody has decoded.
---
--- What cannot be read is raised as a problem: 400 where the question is wrong (a foreign cursor, a
--- span of which nothing so short is kept), 503 where the store failed.

local host = require "neap.host"
local problem = require "admin.api.problem"

local journal = {}

-- A search looks through the journal in short steps, each a transaction of its own. So many
-- seconds of them make a page; what they do not reach, the next page does.
local SEARCH_SECONDS = 2

local function raise_failure(why, text)
  if why == "failed" or why == "full" then
    host.log("error", "admin", "the journal cannot be read: " .. tostring(text))
    problem.raise(503, "storage_failed", "the journal cannot be read; neap's log says why")
  end
  problem.raise(400, "invalid_query", tostring(text or why))
end

--- One step of a search: see host.journal_page.
---@param filter table
---@return string text, string? cursor nil: there is nothing more
function journal.step(filter)
  local text, cursor, why = host.journal_page(filter)
  if not text then raise_failure(cursor, why) end
  return text, cursor
end

local function with(filter, cursor, limit)
  local copy = { cursor = cursor, limit = limit }
  for name, value in pairs(filter) do
    if copy[name] == nil then copy[name] = value end
  end
  return copy
end
journal.with = with

--- The places behind a mark, one after the other. A page may be of megabytes, of which a search
--- with a pattern would be refused.
---@param text string
---@param mark string
---@return fun(): integer?
function journal.behind(text, mark)
  local last = 0
  return function()
    last = select(2, text:find(mark, last + 1, true))
    return last and last + 1
  end
end

--- How many records a page's text holds: each begins with its id.
---@param text string
---@return integer
function journal.count(text)
  local count = 0
  for _ in journal.behind(text, '{"id":"') do count = count + 1 end
  return count
end

--- A page of records, as full as the time for it allows.
---@param filter table
---@param cursor string?
---@param limit integer
---@return string text a JSON array, string? cursor
function journal.page(filter, cursor, limit)
  local parts, count, ends = {}, 0, host.now() + SEARCH_SECONDS
  repeat
    local text, after = journal.step(with(filter, cursor, limit - count))
    local inside = text:sub(2, -2) -- no pattern: a page may be of megabytes
    if inside ~= "" then
      parts[#parts + 1] = inside
      count = count + journal.count(inside)
    end
    cursor = after
  until not cursor or count >= limit or host.now() >= ends
  return "[" .. table.concat(parts, ",") .. "]", cursor
end

--- A record with everything that is known of it, or nil.
---@param id string
---@return string?
function journal.record(id)
  local text, why, detail = host.journal_record(id)
  if not text and why ~= "missing" then raise_failure(why, detail) end
  return text
end

--- A kept body, or nil.
---@param id string
---@param part "request"|"response"
---@return string?
function journal.body(id, part)
  local bytes, why, detail = host.journal_body(id, part)
  if not bytes and why ~= "missing" then raise_failure(why, detail) end
  return bytes
end

---@param spec table see host.journal_stats
---@return string
function journal.stats(spec)
  local text, why, detail = host.journal_stats(spec)
  if not text then raise_failure(why, detail) end
  return text
end

return journal
