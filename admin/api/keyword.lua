--- admin.api.keyword: texts that make an answer a failure, which keyword_retry looks for in all
--- groups that have it.

local change = require "admin.api.change"
local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local patch = require "admin.api.patch"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local stored = require "admin.api.stored"

local keyword = {}

local PREFIX = "keyword/"
local NAME_MAX = 256 -- bytes of a keyword that name what keyword_retry counts

local properties = {
  text = { type = "string", minLength = 1, maxLength = 1000, format = "line" },
  note = stored.COMMON.note, off = stored.COMMON.off,
}

local view_of = schema.named("Keyword", schema.object({
  id = { type = "string" }, text = properties.text, note = properties.note, off = properties.off,
  hits = { type = "integer", description = "How often it was found since neap was started." },
  last_hit = { type = { "string", "null" }, format = "date-time" },
  created = { type = "string", format = "date-time" },
}, { "id", "text", "hits", "last_hit", "created" }))

--- How often a keyword was found, and when last, over all groups; since neap was started. Waits:
--- of many groups each has a run of its own.
---@param text string
---@return number hits, string? last
function keyword.found(text)
  local _, known = router.loaded()
  host.sleep(0)
  local hits, last = 0, nil
  for _, group in ipairs(known and known.group_list or {}) do
    local front = "keyword_retry\0group\0" .. group.name .. "\0"
    local name = text:sub(1, NAME_MAX)
    local at = host.shared_get(front .. "last_triggered " .. name)
    hits = hits + (host.shared_get(front .. "hits " .. name) or 0)
    if at and (not last or at > last) then last = at end
  end
  return hits, last
end

local function view(id, row)
  local hits, last = keyword.found(row.text)
  return json.object { id = id, text = row.text, note = row.note, off = row.off, hits = hits,
    last_hit = last or json.null, created = host.time_text(row.created or 0) }
end

local function list()
  local items = json.array {}
  for index, row in ipairs(rows.all("config", PREFIX)) do
    items[index] = view(row.key:sub(#PREFIX + 1), row.document)
  end
  return 200, json.object { items = items }
end

--- Refuses a text that another keyword has, in any case.
local function check_new(text, id)
  for _, row in ipairs(rows.all("config", PREFIX)) do
    if row.key ~= PREFIX .. id and host.fold(row.document.text or "") == host.fold(text) then
      problem.raise(409, "exists", "there is a keyword with this text already",
        { field = "/text" })
    end
  end
end

local function require_row(id)
  local row, text = rows.get("config", PREFIX .. id)
  if not row then problem.not_found("keyword with this id") end
  return row, text
end

local function put(of, id, row, before, before_text)
  check_new(row.text, id)
  row.version = (before and before.version or 0) + 1
  row.created, row.updated = before and before.created or host.wall(), host.wall()
  change.configure(of, { { "expect", "config", PREFIX .. id, before_text },
    { "put", "config", PREFIX .. id, row } }, { action = before and "update" or "create",
    object = PREFIX .. id, before = before and view(id, before), after = view(id, row) })
  return view(id, row), { "etag", etag.of_version(row.version) }
end

local function create(of)
  local row = patch.merge(json.object {}, of.body)
  return 201, put(of, host.id(), row)
end

local function show(of)
  local row = require_row(of.params.id)
  return 200, view(of.params.id, row), { "etag", etag.of_version(row.version) }
end

local function update(of)
  local before, text = require_row(of.params.id)
  etag.check(of, etag.of_version(before.version))
  local row = patch.merge(before, of.body)
  if not row.text then
    problem.raise(422, "invalid", "/text must be a text, not null", { field = "/text" })
  end
  return 200, put(of, of.params.id, row, before, text)
end

local function remove(of)
  local before, text = require_row(of.params.id)
  etag.check(of, etag.of_version(before.version))
  local key = PREFIX .. of.params.id
  change.configure(of, { { "expect", "config", key, text }, { "delete", "config", key } },
    { action = "delete", object = key, before = view(of.params.id, before) })
  return 204
end

local PATH = "/api/v1/keywords"
local params = { id = { type = "string", format = "id", maxLength = 100 } }

keyword.operations = {
  { id = "list_keywords", method = "GET", path = PATH, tag = "keywords", scope = "read",
    summary = "The failure keywords", run = list, responses = { { 200, "All of them.",
      schema.object({ items = { type = "array", items = view_of } }, { "items" }) } } },
  { id = "create_keyword", method = "POST", path = PATH, tag = "keywords", scope = "write",
    summary = "Add a failure keyword", body = schema.object(properties, { "text" }),
    errors = { 409 }, run = create, responses = { { 201, "It is in force.", view_of } } },
  { id = "get_keyword", method = "GET", path = PATH .. "/{id}", tag = "keywords", scope = "read",
    summary = "One failure keyword", params = params, has_etag = true, is_live = true,
    run = show,
    responses = { { 200, "The keyword.", view_of } } },
  { id = "update_keyword", method = "PATCH", path = PATH .. "/{id}", tag = "keywords",
    scope = "write", summary = "Change a failure keyword", params = params, has_etag = true,
    body = schema.patch(schema.object(properties)), errors = { 409 }, run = update,
    responses = { { 200, "As it is now, in force.", view_of } } },
  { id = "delete_keyword", method = "DELETE", path = PATH .. "/{id}", tag = "keywords",
    scope = "write", summary = "Remove a failure keyword", params = params, has_etag = true,
    errors = { 422 }, run = remove, responses = { { 204, "It is gone." } } },
}

return keyword
