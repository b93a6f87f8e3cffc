--- admin.api.audit_list: what was changed, the newest first.

local audit = require "admin.api.audit"
local host = require "neap.host"
local json = require "neap.json"
local page = require "admin.api.page"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"

local anything = { description = "As the API shows it, without secrets; null for nothing." }

local entry = schema.named("AuditEntry", schema.object({
  id = { type = "string" }, time = { type = "string", format = "date-time" },
  action = { type = "string", examples = { "create", "update", "delete", "login" } },
  object = { type = "string", examples = { "settings", "group/chat" } },
  actor = schema.object({ kind = { enum = { "session", "token", "program", "none" } },
    name = { type = "string" }, id = { type = "string" } }, { "kind" }),
  address = { type = "string" }, request_id = { type = "string" },
  before = anything, after = anything,
}, { "id", "time", "action", "object", "actor", "address", "request_id", "before", "after" }))

local function view(row)
  return json.object { id = row.id, time = host.time_text(row.time), action = row.action,
    object = row.object, actor = row.actor, address = row.address, request_id = row.request_id,
    before = row.before == nil and json.null or row.before,
    after = row.after == nil and json.null or row.after }
end

local function is_wanted(row, query)
  if query.object and row.object:sub(1, #query.object) ~= query.object then return false end
  return (not query.action or row.action == query.action)
    and (not query.actor or row.actor.name == query.actor)
end

--- A filter may find little: it looks through so many rows and no more before it answers.
local LOOK_MAX = 2000
local STEP = 10 -- rows that are decoded in one run

-- Bytes of rows that an answer has: one of a provider has all of its models, twice.
local SIZE_MAX = 512 * 1024

local function list(of)
  local items, at, looked, size = json.array {}, page.after(of), 0, 0
  while true do
    local some, has_more = rows.page("objects", { prefix = audit.PREFIX, reverse = true,
      before = at, limit = STEP })
    for _, row in ipairs(some) do
      at, looked = row.key, looked + 1
      if is_wanted(row.document, of.query) then
        items[#items + 1], size = view(row.document), size + #row.text
      end
      if #items == of.query.limit or size > SIZE_MAX then return 200, page.document(items, at) end
    end
    if not has_more or not some[1] then return 200, page.document(items) end
    if looked >= LOOK_MAX then return 200, page.document(items, at) end
    host.sleep(0)
  end
end

return {
  { id = "list_audit", method = "GET", path = "/api/v1/audit", tag = "audit", scope = "read",
    summary = "Who changed what, the newest first", run = list,
    query = page.query {
      action = { type = "string", maxLength = 100 },
      actor = { type = "string", maxLength = 100, description = "Its name." },
      object = { type = "string", maxLength = 300, description = "What its name begins with." },
    },
    responses = { { 200, "A page. With a filter, or of long rows, it may be short, and still not "
      .. "the last.", page.schema(entry) } } },
}
