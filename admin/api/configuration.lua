--- admin.api.configuration: the whole stored configuration as one document: out of neap, and into
--- it again, in place of what is stored or on top of it.
---
--- What router.lua and files say is no part of it and is not touched; neither are accounts, admin
--- tokens, the audit log, the journal and the states of keys. An import is tried out as a whole
--- first and then written in one transaction, or nothing is. Secrets travel sealed: under another
--- master key they cannot be opened, and the import that meets such a record says which, and does
--- nothing unless it is told to leave these out.

local change = require "admin.api.change"
local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local policy = require "admin.api.policy"
local problem = require "admin.api.problem"
local record = require "admin.api.configuration_record"
local rehearsal = require "admin.api.rehearsal"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local suggest = require "neap.suggest"

local FORMAT, VERSION = "neap.configuration", 1
local OPS_MAX = 7000 -- of one transaction
local SLICE = 200    -- records between two rests

--- Goes through a list, and lets others run now and then.
local function each(list, visit)
  for place, one in ipairs(list) do
    visit(one)
    if place % SLICE == 0 then host.sleep(0) end
  end
end

-- ------------------------------------------------------------------------------------
-- What is stored

--- Everything that an export has, { [id] = { kind, name, document, text } }, and its ETag. A
--- document is nil where the row is no JSON object. Waits.
local function read_all()
  local all, texts = {}, {}
  local function take(kind, name, row)
    if not record.is_kind(kind) then return end
    local document = json.is_object(row.document) and row.document or nil
    all[kind .. "/" .. name] = { kind = kind, name = name, document = document, text = row.text }
    texts[#texts + 1] = kind .. "/" .. name .. "\n" .. row.text
  end
  for _, row in ipairs(rows.all("config", "")) do
    local kind, name = row.key:match("^(%l+)/(.+)$")
    if kind ~= "key" then take(kind, name, row) end
  end
  for _, row in ipairs(rows.all("keys", "")) do
    -- The state of keys and targets lies among the keys and is no configuration.
    if row.key:sub(1, 6) ~= "state/" then take("key", row.key, row) end
  end
  return all, etag.of_text(table.concat(texts, "\n"))
end

local function export()
  local all, tag = read_all()
  local records = json.object {}
  each(suggest.sorted(all), function(id)
    local one = all[id]
    records[id] = one.document and record.export(one.kind, one.name, one.document)
  end)
  return 200, json.object { format = FORMAT, version = VERSION, records = records },
    { "etag", tag, "content-disposition", "attachment; filename=\"neap-configuration.json\"" }
end

-- ------------------------------------------------------------------------------------
-- What an import would do

local function invalid(id, pointer, text)
  local at = "/records/" .. id:gsub("~", "~0"):gsub("/", "~1") .. pointer
  problem.raise(422, "invalid", at .. " " .. text, { field = at })
end

local function check_record(id, given)
  local kind, name = record.parse(id)
  if not kind then invalid(id, "", name) end
  local pointer, text = record.check(kind, given)
  if pointer then invalid(id, pointer, text) end
  return kind, name
end

--- What becomes of one record of the document: { id, kind, name, action, why, fields, before }.
local function decide(id, given, before)
  local kind, name = check_record(id, given)
  local known = before and before.document
  local item = { id = id, kind = kind, name = name, before = before }
  local fields, why = record.import(kind, name, given, known)
  if not fields then
    item.action, item.why = "unopened", why
    return item
  end
  item.fields = fields
  if not known then
    item.action, item.why = before and "change" or "add",
      before and "what is stored cannot be read" or "nothing of this name is stored"
    return item
  end
  local names = record.differences(known, fields)
  item.action = names[1] and "change" or "keep"
  item.why = names[1] and "it differs in " .. table.concat(names, ", ") or "it is the same"
  return item
end

--- Every record of the document, and those that go, in the order of their names. Waits.
local function plan_of(records, all, is_replacing)
  local ids, items = {}, {}
  for id in pairs(records) do ids[id] = true end
  for id in pairs(is_replacing and all or {}) do ids[id] = true end
  each(suggest.sorted(ids), function(id)
    local one = all[id]
    items[#items + 1] = records[id] and decide(id, records[id], one) or { id = id,
      kind = one.kind, name = one.name, before = one, action = "remove",
      why = "the document does not have it" }
  end)
  return items
end

local IS_WRITTEN = { add = true, change = true, remove = true }

local function ops_of(item)
  local of_table, at = record.place(item.kind, item.name)
  local before, fields = item.before, item.fields
  local expected = { "expect", of_table, at, before and before.text }
  if item.action == "remove" then return { expected, { "delete", of_table, at } } end
  fields.version = (before and before.document and before.document.version or 0) + 1
  fields.updated = host.wall()
  if item.kind == "policy" then fields.version = policy.newest(item.name) + 1 end
  local ops = { expected, { "put", of_table, at, fields } }
  if item.kind == "policy" then ops[3] = policy.version_op(item.name, fields) end
  return ops
end

local function all_ops(items)
  local ops = {}
  each(items, function(item)
    for _, op in ipairs(IS_WRITTEN[item.action] and ops_of(item) or {}) do ops[#ops + 1] = op end
  end)
  if #ops > OPS_MAX then
    problem.raise(422, "invalid", ("that would write more than %d rows at once: import it in "
      .. "parts, with the mode merge"):format(OPS_MAX), { field = "/records" })
  end
  return ops
end

-- ------------------------------------------------------------------------------------
-- What speaks against it

local function has_right(fields, right)
  for _, one in ipairs(fields and fields.rights or {}) do
    if one == right then return true end
  end
  return false
end

--- Keys, and the right to see them, are for callers who have the scope themselves.
local function check_rights(of, items)
  if of.who.scopes.keys then return end
  for _, item in ipairs(items) do
    local before = item.before and item.before.document
    local is_giving = item.kind == "token" and has_right(item.fields, "keys")
      and not has_right(before, "keys")
    if IS_WRITTEN[item.action] and (item.kind == "key" or is_giving) then
      problem.raise(403, "forbidden", ("%s takes a caller with the scope \"keys\""):format(item.id),
        { field = "/records" })
    end
  end
end

--- Keys whose provider would not be there. The rehearsal is without keys.
local function lost_keys(items, all)
  local is_there, lines = {}, {}
  for _, given in ipairs(router.kept().configuration.providers) do is_there[given.name] = true end
  for _, one in pairs(all) do
    if one.kind == "provider" then is_there[one.name] = true end
  end
  for _, item in ipairs(items) do
    if item.kind == "provider" and item.action ~= "unopened" then
      is_there[item.name] = item.action ~= "remove" or nil
    end
  end
  local function look(id, name)
    local provider = name:match("^[^/]+")
    if not is_there[provider] then
      lines[#lines + 1] = ("%s: there is no provider %q"):format(id, provider)
    end
  end
  for _, item in ipairs(items) do
    if item.kind == "key" and item.fields then look(item.id, item.name) end
  end
  return lines
end

--- Everything for which the import would be refused, as lines. Waits.
local function problems_of(items, all, ops)
  local lines = json.array(lost_keys(items, all))
  local is_fine, raised = pcall(rehearsal.check, ops)
  local refused = not is_fine and problem.of(raised)
  if not is_fine and not refused then error(raised, 0) end
  for _, text in ipairs(refused and refused.details or {}) do lines[#lines + 1] = text end
  return lines
end

local function unopened_of(items)
  local lines = json.array {}
  for _, item in ipairs(items) do
    if item.action == "unopened" then
      lines[#lines + 1] = ("%s: its secret cannot be opened: %s"):format(item.id, item.why)
    end
  end
  return lines
end

-- ------------------------------------------------------------------------------------
-- Doing it

local function document_of(items, problems, is_applied)
  local list, counts = json.array {}, json.object {}
  for place, item in ipairs(items) do
    list[place] = json.object { record = item.id, action = item.action, why = item.why }
    counts[item.action] = (counts[item.action] or 0) + 1
  end
  return json.object { items = list, counts = counts, problems = problems,
    is_applied = is_applied }
end

--- What the audit log has of it: names and what became of them.
local function noted(of, document)
  local touched = json.array {}
  for _, item in ipairs(document.items) do
    if item.action ~= "keep" then touched[#touched + 1] = item.action .. " " .. item.record end
  end
  return { action = "import", object = "configuration", after = json.object {
    mode = of.query.mode, counts = document.counts, records = touched } }
end

local function import(of)
  local all, tag = read_all()
  etag.check(of, tag)
  local items = plan_of(of.body.records, all, of.query.mode == "replace")
  check_rights(of, items)
  local ops, unopened = all_ops(items), unopened_of(items)
  local problems = problems_of(items, all, ops)
  if of.query.dry_run then
    for _, text in ipairs(of.query.skip_unopened and {} or unopened) do
      problems[#problems + 1] = text
    end
    return 200, document_of(items, problems, false)
  end
  if unopened[1] and not of.query.skip_unopened then
    problem.raise(422, "sealed_elsewhere", "secrets were sealed under another master key: import "
      .. "under that one, or leave these records out with skip_unopened", { details = unopened })
  end
  if problems[1] then
    problem.raise(422, "invalid_configuration", problems[1], { details = problems })
  end
  local document = document_of(items, problems, true)
  if ops[1] then change.configure(of, ops, noted(of, document))
  else change.commit(of, ops, noted(of, document)) end
  return 200, document
end

-- ------------------------------------------------------------------------------------

local document_schema = schema.named("Configuration", schema.object({
  format = { const = FORMAT }, version = { const = VERSION },
  records = { type = "object", additionalProperties = { type = "object",
    additionalProperties = true },
    description = "By KIND/NAME: provider, group, token, keyword, policy, setting, and "
      .. "key/PROVIDER/ID. Each has what making one takes, created (seconds since 1970), and "
      .. "sealed: its secrets, which open under the same master key only." },
}, { "format", "version", "records" }))

local result_schema = schema.object({
  items = { type = "array", items = schema.object({ record = { type = "string" },
    action = { enum = { "add", "change", "keep", "remove", "unopened" },
      description = "unopened: a secret of it cannot be opened; it is left out." },
    why = { type = "string" } }, { "record", "action", "why" }) },
  counts = { type = "object", additionalProperties = { type = "integer" } },
  problems = { type = "array", items = { type = "string" },
    description = "Why a dry run's import would be refused." },
  is_applied = { type = "boolean" },
}, { "items", "counts", "problems", "is_applied" })

local PATH = "/api/v1/configuration"

return {
  { id = "export_configuration", method = "GET", path = PATH .. "/export", tag = "configuration",
    scope = "write", summary = "The whole stored configuration, secrets sealed", has_etag = true,
    description = "Sealed texts of headers, proxies and tokens differ each time; all else, the "
      .. "order too, is the same as long as nothing is changed, and so is the ETag.",
    run = export, responses = { { 200, "A document that an import takes.", document_schema } } },
  { id = "import_configuration", method = "POST", path = PATH .. "/import", tag = "configuration",
    scope = "write", summary = "Take a configuration in, on top of what is stored or in its place",
    description = "All of it or nothing, tried out as a whole first. Keys, and tokens with the "
      .. "right keys, take the scope keys besides. If-Match takes the ETag of an export.",
    query = {
      mode = { type = "string", enum = { "merge", "replace" }, default = "merge",
        description = "replace removes what is stored and not in the document." },
      dry_run = { type = "boolean", default = false,
        description = "Only tell what would be done, and what speaks against it." },
      skip_unopened = { type = "boolean", default = false,
        description = "Leave records out whose secrets cannot be opened; what is stored under "
          .. "their names stays. Without it the import is refused and names them." },
    },
    has_etag = true, body = document_schema, run = import,
    responses = { { 200, "What became of each record.", result_schema } } },
}
