--- admin.api.policy: policies: what there is, their texts and settings, and new versions of them.
---
--- A policy is a file in the user's folder, a stored text, or one of neap's, and the first of
--- these is the one that runs. So the admin side cannot change what somebody keeps in files, and
--- can put its own in place of what neap brings. Every stored text stays as a version to go back
--- to. A new one is loaded in the sandbox, and with all groups that use it, before it is stored.

local chain = require "neap.chain"
local change = require "admin.api.change"
local etag = require "admin.api.etag"
local fault = require "neap.fault"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rehearsal = require "admin.api.rehearsal"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local stored = require "admin.api.stored"

local policy = {}

local PREFIX, VERSIONS = "policy/", "policy_version/"
local TEXT_MAX = 256 * 1024

local setting_schema = { type = "object", component = "PolicySetting", required = { "kind" },
  properties = { kind = { type = "string" }, help = { type = "string" }, default = {},
    min = { type = "number" }, max = { type = "number" }, values = { type = "array", items = {} },
    of = { type = "object", additionalProperties = true } } }

local facts = {
  summary = { type = "string" },
  walks = { enum = { "target", "key" } }, orders = { enum = { "target", "key" } },
  settings = { type = "object", additionalProperties = setting_schema },
  problem = { type = "string", description = "Why it cannot be loaded." },
}

local function with_facts(more)
  for name, one in pairs(facts) do more[name] = one end
  return more
end

local item_schema = schema.named("Policy", schema.object(with_facts {
  name = { type = "string" },
  origin = { enum = { "file", "stored", "neap" }, description = "Where the text that runs is." },
  version = { type = { "integer", "null" }, description = "Of the stored text, if there is one." },
  shadowed = { type = "boolean", description = "A stored text is there, and a file goes before." },
  text = { type = "string", description = "Of a single policy only." },
}, { "name", "origin", "version", "shadowed" }))

-- ------------------------------------------------------------------------------------
-- Reading

local setting_view
function setting_view(setting)
  return json.object { kind = setting.kind, help = setting.help, min = setting.min,
    max = setting.max, default = stored.to_json(setting.default),
    values = setting.values and json.array { unpack(setting.values) },
    of = setting.of and setting_view(setting.of) or nil }
end

--- What the definition of a name in this loader says, or the problem that it has.
local function facts_of(loader, name)
  local definition, text
  local _, raised = fault.catch(function() definition, text = chain.definition(loader, name) end)
  if raised or not definition then return { problem = raised or text } end
  local settings = json.object {}
  for setting_name, setting in pairs(definition.settings) do
    settings[setting_name] = setting_view(setting)
  end
  return { summary = definition.summary, walks = definition.walks, orders = definition.orders,
    settings = settings }
end

local function stored_texts()
  local texts, documents = {}, {}
  for _, row in ipairs(rows.all("config", PREFIX)) do
    local name = row.key:sub(#PREFIX + 1)
    texts[name], documents[name] = row.document.text, row.document
  end
  return texts, documents
end

local function loader_of(texts)
  local kept = router.kept()
  return chain.loader(kept.folders, { read = kept.read, stored = texts })
end

local function file_text(place, name)
  local kept = router.kept()
  return kept.read(("%s/%s.lua"):format(kept.folders[place], name))
end

--- The policy of a name as it is shown, and its text; nil where there is none.
local function view_of(name, loader, documents)
  local own, row = file_text(1, name), documents[name]
  local text = own or row and row.text or file_text(2, name)
  if not text then return nil end
  local view = json.object(facts_of(loader, name))
  view.name, view.version = name, row and row.version or json.null
  view.origin = own and "file" or row and "stored" or "neap"
  view.shadowed = own ~= nil and row ~= nil
  return view, text
end

local function list()
  local texts, documents = stored_texts()
  local loader, names, seen = loader_of(texts), {}, {}
  local kept = router.kept()
  local known = {}
  for name in pairs(documents) do known[#known + 1] = name end
  for _, some in ipairs { kept.names.own, known, kept.names.neap } do
    for _, name in ipairs(some) do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  table.sort(names)
  local items = json.array {}
  for index, name in ipairs(names) do
    items[index] = view_of(name, loader, documents)
    host.sleep(0) -- each has its time for itself
  end
  return 200, json.object { items = items }
end

local function tag_of(row, text)
  return row and etag.of_version(row.version) or etag.of_text(text)
end

local function show(of)
  local texts, documents = stored_texts()
  local view, text = view_of(of.params.name, loader_of(texts), documents)
  if not view then problem.not_found(("policy %q"):format(of.params.name)) end
  view.text = text
  return 200, view, { "etag", tag_of(documents[of.params.name], text) }
end

-- ------------------------------------------------------------------------------------
-- Writing

local function row_of(of, text, before, note)
  return json.object { text = text, version = (before and before.version or 0) + 1,
    created = before and before.created or host.wall(), updated = host.wall(), note = note,
    author = of.who.name }
end

local function version_key(name, version) return ("%s%s/%08d"):format(VERSIONS, name, version) end

--- The op that keeps a row of the table config as a version to go back to.
function policy.version_op(name, row)
  return { "put", "objects", version_key(name, row.version), row }
end

--- The number of the newest version, also of one that was taken away. Waits.
function policy.newest(name)
  local page = rows.page("objects", { prefix = VERSIONS .. name .. "/", reverse = true, limit = 1 })
  return page[1] and page[1].document.version or 0
end

local function check_file(name)
  if file_text(1, name) then
    problem.raise(409, "read_only", ("policies/%s.lua is a file, which goes before what is stored: "
      .. "change it there"):format(name))
  end
end

local function put_text(of, text, note, action)
  local name = of.params.name
  check_file(name)
  local before, before_text = rows.get("config", PREFIX .. name)
  etag.check(of, before and etag.of_version(before.version)
    or etag.of_text(file_text(2, name) or ""))
  local row = row_of(of, text, { version = policy.newest(name),
    created = before and before.created }, note)
  change.configure(of, { { "expect", "config", PREFIX .. name, before_text },
    { "put", "config", PREFIX .. name, row }, policy.version_op(name, row) },
    { action = action, object = PREFIX .. name,
      before = json.object { version = before and before.version },
      after = json.object { version = row.version, note = note } })
  local texts, documents = stored_texts()
  -- The answer is about this one, also where somebody has taken it away by now.
  texts[name], documents[name] = text, row
  local view = view_of(name, loader_of(texts), documents)
  view.text = text
  return 200, view, { "etag", etag.of_version(row.version) }
end

local function put(of) return put_text(of, of.body.text, of.body.note, "update") end

local function remove(of)
  local name = of.params.name
  local before, text = rows.get("config", PREFIX .. name)
  if not before then problem.not_found(("stored policy %q"):format(name)) end
  etag.check(of, etag.of_version(before.version))
  change.configure(of, { { "expect", "config", PREFIX .. name, text },
    { "delete", "config", PREFIX .. name } }, { action = "delete", object = PREFIX .. name,
    before = json.object { version = before.version } })
  return 204
end

--- Whether a text would do: it loads in the sandbox, and so do the groups that use the name.
local function validate(of)
  local name, text = of.params.name, of.body.text
  local texts = stored_texts()
  texts[name] = text
  local loader = loader_of(texts)
  -- The text itself is what is asked about, also where a file goes before it.
  local read = loader.read
  loader.read = function(path)
    if path == ("%s/%s.lua"):format(loader.folders[1], name) then return nil end
    return read(path)
  end
  local result = json.object(facts_of(loader, name))
  local lines = json.array { result.problem }
  if not result.problem and not file_text(1, name) then
    local is_fine, raised = pcall(rehearsal.check, { { "put", "config", PREFIX .. name,
      row_of(of, text) } })
    local refused = not is_fine and problem.of(raised)
    if not is_fine and not refused then error(raised, 0) end
    for _, line in ipairs(refused and refused.details or {}) do lines[#lines + 1] = line end
  end
  result.problem = nil
  result.problems, result.is_valid = lines, lines[1] == nil
  return 200, result
end

-- ------------------------------------------------------------------------------------
-- Versions

local function version_view(row, has_text)
  return json.object { version = row.version, time = host.time_text(row.updated),
    author = row.author, note = row.note, text = has_text and row.text or nil }
end

local function list_versions(of)
  local items = json.array {}
  for index, row in ipairs(rows.all("objects", VERSIONS .. of.params.name .. "/")) do
    items[index] = version_view(row.document, false)
  end
  return 200, json.object { items = items }
end

local function require_version(of)
  local number = of.params.version:find("^%d+$") and tonumber(of.params.version)
  local row = number and rows.get("objects", version_key(of.params.name, number))
  if not row then problem.not_found("such version") end
  return row
end

local function show_version(of) return 200, version_view(require_version(of), true) end

--- The old text becomes a new version: nothing that was is lost.
local function restore(of)
  local row = require_version(of)
  return put_text(of, row.text, ("version %d again"):format(row.version), "restore")
end

-- ------------------------------------------------------------------------------------

local PATH = "/api/v1/policies"
local params = { name = { type = "string", format = "policy", minLength = 1, maxLength = 100 } }
local version_params = { name = params.name,
  version = { type = "string", format = "id", maxLength = 8 } }
local text_schema = { type = "string", minLength = 1, maxLength = TEXT_MAX }
local version_schema = schema.named("PolicyVersion", schema.object({
  version = { type = "integer" }, time = { type = "string", format = "date-time" },
  author = { type = "string" }, note = { type = "string" }, text = { type = "string" },
}, { "version", "time" }))

schema.formats.policy = { what = "a policy's name: letters, digits, _ and -",
  matches = { lua = "^[%w_][%w_-]*$", pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]*$" } }

local function op(more)
  more.tag = "policies"
  if more.path ~= PATH then more.params = more.params or params end
  return more
end

policy.operations = {
  op { id = "list_policies", method = "GET", path = PATH, scope = "read",
    summary = "All policies, with what can be set", run = list,
    responses = { { 200, "Files, what is stored, and neap's own.", schema.object({
      items = { type = "array", items = item_schema } }, { "items" }) } } },
  op { id = "get_policy", method = "GET", path = PATH .. "/{name}", scope = "read",
    summary = "One policy, with its text", has_etag = true, run = show,
    responses = { { 200, "The text that runs.", item_schema } } },
  op { id = "put_policy", method = "PUT", path = PATH .. "/{name}", scope = "write",
    summary = "Store a new version of a policy", has_etag = true,
    description = "It is in force when the answer comes. Refused where it cannot be loaded, where "
      .. "a group that uses it could not be any more (422), and where the name is a file (409).",
    body = schema.object({ text = text_schema, note = { type = "string", maxLength = 200 } },
      { "text" }), errors = { 409 }, run = put,
    responses = { { 200, "It is in force.", item_schema } } },
  op { id = "delete_policy", method = "DELETE", path = PATH .. "/{name}", scope = "write",
    summary = "Take away a stored policy; neap's own of the name runs again", has_etag = true,
    errors = { 422 }, run = remove, responses = { { 204, "Its versions stay." } } },
  op { id = "validate_policy", method = "POST", path = PATH .. "/{name}/validate", scope = "write",
    summary = "Whether a text would do as this policy", run = validate,
    body = schema.object({ text = text_schema }, { "text" }),
    responses = { { 200, "What is wrong with it, and what could be set.", schema.object(with_facts {
      is_valid = { type = "boolean" }, problems = { type = "array", items = { type = "string" } },
    }, { "is_valid", "problems" }) } } },
  op { id = "list_policy_versions", method = "GET", path = PATH .. "/{name}/versions",
    scope = "read", summary = "The stored versions of a policy, the oldest first",
    run = list_versions, responses = { { 200, "Without their texts.", schema.object({
      items = { type = "array", items = version_schema } }, { "items" }) } } },
  op { id = "get_policy_version", method = "GET", path = PATH .. "/{name}/versions/{version}",
    scope = "read", summary = "One stored version of a policy, with its text",
    params = version_params, run = show_version,
    responses = { { 200, "The version.", version_schema } } },
  op { id = "restore_policy_version", method = "POST", scope = "write", has_etag = true,
    path = PATH .. "/{name}/versions/{version}/restore", params = version_params,
    summary = "Roll back: store the text of a version as the newest one", errors = { 409, 422 },
    run = restore, responses = { { 200, "It is in force.", item_schema } } },
}

return policy
