--- admin.api.routes: every operation of the admin side. One table each is the single source of
--- dispatch, checks, rights and the OpenAPI document.
---
--- A resource is a module that returns a list of operations:
---
---     { id = "get_settings", method = "GET", path = "/api/v1/settings", tag = "settings",
---       summary = "The settings.", scope = "read",
---       query = { name = schema }, body = schema, takes = "json", has_etag = true,
---       responses = { { 200, "The settings.", schema } }, errors = { 409 },
---       run = function(of) return 200, document, { "etag", tag } end }
---
--- A response: status, text, schema and the content type, which is JSON where none stands; a status
--- that has bodies of several types stands once for each, JSON first.
--- `scope`: `open` (no login), `read`, `write`, `keys`, `bodies`, or `session` (a person who is
--- logged in, never a token). `takes`: `json`; `form` (JSON or a form of the same members); `text`
--- (any text: `of.text`, and JSON where the type says so). `params` has schemas for the {names} of
--- the path; without one it is a text. `is_compat`: a path of another system's, which its own
--- clients call, so without the header against forged requests. `has_effect`: a GET that changes
--- something.
--- `is_live`: what a GET shows changes without a new version of it, so that it is never 304.
--- `changes_nothing`: a POST that leaves no row in the audit log. `is_stream`: a GET that takes
--- long, and has no HEAD. The handler gets `of`: `params`, `query`,
--- `body`, `text`, `who`, `handle`, `address`. It returns status, document and fields, or raises by
--- admin.api.problem.

local query = require "admin.api.query"

local routes = {}

local SCOPES = { open = true, read = true, write = true, keys = true, bodies = true,
  session = true }

-- Each helper's resources are a line of their own.
local RESOURCES = {
  "admin.api.health",
  "admin.api.login",
  "admin.api.setup",
  "admin.api.session_list",
  "admin.api.admin_token",
  "admin.api.settings",
  "admin.api.provider",
  "admin.api.key",
  "admin.api.key_pool",
  "admin.api.group",
  "admin.api.token",
  "admin.api.keyword",
  "admin.api.policy",
  "admin.api.model_import",
  "admin.api.configuration",
  "admin.api.job",
  "admin.api.generations",
  "admin.api.audit_list",
  "admin.api.records",
  "admin.api.kept_bodies",
  "admin.api.statistics",
  "admin.api.conversations",
  "admin.api.metrics",
  "admin.api.playground",
  "admin.api.compat.siliconflow",
  "admin.api.compat.niceapi",
  "admin.api.compat.niceapi_groups",
  "admin.api.compat.niceapi_access",
  "admin.api.compat.niceapi_more",
  "admin.api.compat.nexusai_hub",
  "admin.api.compat.gemini_balance",
}

local function segments_of(path)
  local list = {}
  for segment in (path:sub(2) .. "/"):gmatch("([^/]*)/") do list[#list + 1] = segment end
  return list
end

local function check(op)
  local name = op.id or op.path or "?"
  if not SCOPES[op.scope] then error(("operation %s has no scope"):format(name)) end
  for _, field in ipairs { "id", "method", "path", "tag", "summary", "responses", "run" } do
    if not op[field] then error(("operation %s has no %s"):format(name, field)) end
  end
end

--- Adds an operation to the table; raises where its path and method, or its id, are taken.
function routes.add(self, op)
  check(op)
  local node = self.tree
  for _, segment in ipairs(segments_of(op.path)) do
    local param = segment:match("^{(.+)}$")
    local place = param and "param" or "fixed"
    local key = param and 1 or segment
    node[place] = node[place] or {}
    node[place][key] = node[place][key] or {}
    node = node[place][key]
  end
  node.methods = node.methods or {}
  if node.methods[op.method] or self.by_id[op.id] then
    error(("operation %s %s (%s) is there twice"):format(op.method, op.path, op.id))
  end
  node.methods[op.method], self.by_id[op.id] = op, op
  self.list[#self.list + 1] = op
end

local function find(node, segments, index, values)
  if index > #segments then return node.methods, values end
  local segment = segments[index]
  local fixed = node.fixed and node.fixed[segment]
  if fixed then
    local methods, found = find(fixed, segments, index + 1, values)
    if methods then return methods, found end
  end
  if not node.param or segment == "" then return nil end
  local longer = { unpack(values) }
  longer[#longer + 1] = segment
  return find(node.param[1], segments, index + 1, longer)
end

local Routes = {}
Routes.__index = Routes

--- The operations of a path by method, and the values in the places of its {names}, in order; nil
--- if there is no such path.
---@return table<string, table>? methods, string[]? values
function Routes:find(path)
  if #path > 2000 then return nil end
  return find(self.tree, segments_of(path), 1, {})
end

--- The values by the names that an operation gives them; nil where one cannot be read.
function routes.params(op, values)
  local params, index = {}, 0
  for name in op.path:gmatch("{([^}]+)}") do
    index = index + 1
    params[name] = query.decode(values[index])
    if not params[name] then return nil end
  end
  return params
end

--- The table of these operations.
---@param lists table[] what the resource modules return: a list, or a module with `operations`
function routes.new(lists)
  local self = setmetatable({ tree = {}, list = {}, by_id = {} }, Routes)
  for _, list in ipairs(lists) do
    for _, op in ipairs(list.operations or list) do routes.add(self, op) end
  end
  return self
end

--- The table of all resources.
function routes.all()
  local lists = {}
  for index, name in ipairs(RESOURCES) do lists[index] = require(name) end
  return routes.new(lists)
end

-- ------------------------------------------------------------------------------------
-- Statuses

local function note(set, ...)
  for _, status in ipairs { ... } do set[status] = true end
end

--- Every status that an operation can answer with: those that it declares, and those that follow
--- from what it takes.
---@return table<integer, true>
function routes.statuses(op)
  local set = {}
  for _, response in ipairs(op.responses) do note(set, response[1]) end
  for _, status in ipairs(op.errors or {}) do note(set, status) end
  note(set, 400, 403, 500, 503)
  if op.scope ~= "open" then note(set, 401) end
  if op.path:find("{", 1, true) then note(set, 404) end
  if op.body or op.takes then note(set, 413, 415, 422) end
  if op.method ~= "GET" then note(set, 412, 507) end
  if op.has_etag and op.method == "GET" and not op.is_live then note(set, 304) end
  return set
end

return routes
