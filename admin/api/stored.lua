--- admin.api.stored: what a kind of configuration records (providers, groups, tokens) has in common
--- over HTTP: lists, pages of one, making, patching and removing.
---
--- What router.lua says is listed beside it, marked with its origin, and cannot be changed here. A
--- stored record of the same name is *shadowed*; one that is wrong has its `problems`.

local change = require "admin.api.change"
local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local patch = require "admin.api.patch"
local problem = require "admin.api.problem"
local router = require "neap.router"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"

local stored = {}

local NAME_MAX = 200 -- bytes

local MARKS = {
  origin = { enum = { "router.lua", "stored" },
    description = "What stands in router.lua cannot be changed here." },
  shadowed = { type = "boolean", description = "router.lua has one of the same name, which wins." },
  problems = { type = "array", items = { type = "string" },
    description = "Why it is not in force, where something is wrong with it." },
  created = { type = { "string", "null" }, format = "date-time" },
  updated = { type = { "string", "null" }, format = "date-time" },
}

--- Members that any record may have.
stored.COMMON = {
  note = { type = "string", maxLength = 2000, description = "For whoever looks after it." },
  off = { type = "boolean", description = "True leaves it out, without an error." },
}

local Kind = {}
Kind.__index = Kind

-- ------------------------------------------------------------------------------------
-- Reading

function Kind:key(name) return self.kind .. "/" .. name end

local function report() return (router.loaded() or { stored = {} }).stored end

--- { shadowed = set, problems = { [record] = { text, … } } } of the generation in force.
local function marks()
  local of, result = report(), { shadowed = {}, problems = {} }
  for _, record in ipairs(of.shadowed or {}) do result.shadowed[record] = true end
  for _, one in ipairs(of.errors or {}) do
    local list = result.problems[one.record] or json.array {}
    result.problems[one.record] = list
    list[#list + 1] = one.text
  end
  return result
end

local function time_of(seconds) return seconds and host.time_text(seconds) or json.null end

function Kind:view_stored(name, record, known)
  local view, key = self.view(record, name), self:key(name)
  view.name, view.origin = name, "stored"
  view.shadowed, view.problems = known.shadowed[key] or false, known.problems[key] or json.array {}
  view.created, view.updated = time_of(record.created), time_of(record.updated)
  return view
end

function Kind:view_written(given)
  local view = self.view_of_router(given)
  view.name, view.origin, view.shadowed, view.problems = given.name, "router.lua", false,
    json.array {}
  view.created, view.updated = json.null, json.null
  return view
end

--- router.lua's, by name.
function Kind:written(name)
  for _, given in ipairs(router.kept().configuration[self.list_name]) do
    if given.name == name then return given end
  end
end

function Kind:check_name(name)
  if #name > NAME_MAX then problem.not_found(self.kind .. " of so long a name") end
end

--- The stored record and its text; raises 404 where there is none, and 409 for one of router.lua's.
function Kind:require(name)
  self:check_name(name)
  local record, text = rows.get("config", self:key(name))
  if record then return record, text end
  if self:written(name) then
    problem.raise(409, "read_only", ("the %s %q stands in router.lua: change it there")
      :format(self.kind, name))
  end
  problem.not_found(("%s %q"):format(self.kind, name))
end

function Kind:list()
  local items, known = json.array {}, marks()
  for _, given in ipairs(router.kept().configuration[self.list_name]) do
    items[#items + 1] = self:view_written(given)
  end
  for _, row in ipairs(rows.all("config", self.kind .. "/")) do
    items[#items + 1] =
      self:view_stored(row.key:sub(#self.kind + 2), row.document, known)
  end
  return 200, json.object { items = items }
end

--- One of them: the stored one of a shadowed name is seen in the list only.
function Kind:get(name)
  self:check_name(name)
  local given = self:written(name)
  if given then
    local view = self:view_written(given)
    return 200, view, { "etag", etag.of_text(json.encode(view)) }
  end
  local record = self:require(name)
  return 200, self:view_stored(name, record, marks()),
    { "etag", etag.of_version(record.version) }
end

-- ------------------------------------------------------------------------------------
-- Writing

local function without_marks(document)
  local result = json.object {}
  for name, value in pairs(document) do result[name] = value end
  return result
end

--- What the caller sees of a record, for the audit log.
function Kind:audited(name, record)
  local view = self.view(record, name)
  view.name = name
  return view
end

--- Writes a record in place of what is there, with more ops in the same transaction.
function Kind:put(of, name, record, before, before_text, more)
  local now = host.wall()
  record.version = (before and before.version or 0) + 1
  record.created, record.updated = before and before.created or now, now
  local ops = { { "expect", "config", self:key(name), before_text },
    { "put", "config", self:key(name), record } }
  for _, op in ipairs(more or {}) do ops[#ops + 1] = op end
  change.configure(of, ops, { action = before and "update" or "create", object = self:key(name),
    before = before and self:audited(name, before), after = self:audited(name, record) })
  local view = self:view_stored(name, record, { shadowed = {}, problems = {} })
  if self.look_ahead then self.look_ahead(view, record, name) end
  return view, { "etag", etag.of_version(record.version) }
end

function Kind:create(of)
  local name = of.body.name
  if #name > NAME_MAX then
    problem.raise(422, "invalid", "/name must have at most 200 bytes", { field = "/name" })
  end
  if self:written(name) or rows.get("config", self:key(name)) then
    problem.raise(409, "exists", ("there is a %s %q already"):format(self.kind, name),
      { field = "/name" })
  end
  local record = without_marks(of.body)
  record.name = nil
  local more = self.prepare and self.prepare(of, record, nil, name)
  local view, fields = self:put(of, name, record, nil, nil, more and more.ops)
  if more and more.wrap then view = more.wrap(view) end
  return 201, view, fields
end

function Kind:update(of)
  local name = of.params.name
  local before, text = self:require(name)
  etag.check(of, etag.of_version(before.version))
  local record = patch.merge(before, of.body)
  if self.prepare then self.prepare(of, record, before, name) end
  return 200, self:put(of, name, record, before, text)
end

function Kind:remove(of)
  local name = of.params.name
  local before, text = self:require(name)
  etag.check(of, etag.of_version(before.version))
  local ops = { { "expect", "config", self:key(name), text },
    { "delete", "config", self:key(name) } }
  for _, op in ipairs(self.also_removed and self.also_removed(name) or {}) do
    ops[#ops + 1] = op
  end
  change.configure(of, ops, { action = "delete", object = self:key(name),
    before = self:audited(name, before) })
  return 204
end

-- ------------------------------------------------------------------------------------
-- Operations

local function merged(...)
  local result = {}
  for _, set in ipairs { ... } do
    for name, value in pairs(set) do result[name] = value end
  end
  return result
end

--- Where a path names one of the kind.
function stored.name_schema(format) return { type = "string", format = format, minLength = 1 } end

--- The five operations of a kind.
---@param self table { kind = "provider", list_name = "providers" (of a configuration), component =
---"Provider", name_format, properties (what can be written), required, shown (more that is only
---shown), made (schema of a creation's answer, else the view), view(record, name),
---view_of_router(given), prepare(of, record, before, name) → { ops, wrap }?, also_removed(name),
---look_ahead(view, record, name) (what a view says of the generation is of the one before a write:
---corrects it) }
---@return table[] operations
function stored.operations(self)
  setmetatable(self, Kind)
  local path, one = "/api/v1/" .. self.list_name, self.kind
  local name = stored.name_schema(self.name_format)
  local properties = merged(self.properties, stored.COMMON)
  local view = schema.named(self.component, schema.object(merged(properties, self.shown or {},
    MARKS, { name = name }), { "name", "origin", "shadowed", "problems" }))
  self.view_schema = view
  local given = schema.named("New" .. self.component, schema.object(merged(properties,
    { name = merged(name, { maxLength = NAME_MAX }) }), { "name", unpack(self.required or {}) }))
  local patched = schema.patch(schema.named(self.component .. "Fields", schema.object(properties)))
  local params = { name = name }
  local function op(more)
    more.tag = self.list_name
    return more
  end
  return {
    op { id = "list_" .. self.list_name, method = "GET", path = path, scope = "read",
      summary = ("All %s, router.lua's first"):format(self.list_name),
      run = function() return self:list() end,
      responses = { { 200, "All of them, without secrets.", schema.object({
        items = { type = "array", items = view } }, { "items" }) } } },
    op { id = "create_" .. one, method = "POST", path = path, scope = "write",
      summary = ("Make a %s"):format(one), body = given, errors = { 409 },
      run = function(of) return self:create(of) end,
      responses = { { 201, "It is in force.", self.made and self.made(view) or view } } },
    op { id = "get_" .. one, method = "GET", path = path .. "/{name}", scope = "read",
      summary = ("One %s"):format(one), params = params, has_etag = true,
      run = function(of) return self:get(of.params.name) end,
      responses = { { 200, ("The %s."):format(one), view } } },
    op { id = "update_" .. one, method = "PATCH", path = path .. "/{name}", scope = "write",
      summary = ("Change a %s that is stored"):format(one), params = params, has_etag = true,
      body = patched, errors = { 409 }, run = function(of) return self:update(of) end,
      responses = { { 200, "As it is now, in force.", view } } },
    op { id = "delete_" .. one, method = "DELETE", path = path .. "/{name}", scope = "write",
      summary = ("Remove a %s that is stored"):format(one), params = params, has_etag = true,
      errors = { 409, 422 }, run = function(of) return self:remove(of) end,
      responses = { { 204, "It is gone." } } },
  }
end

-- ------------------------------------------------------------------------------------
-- For views

--- The members of a record that are in `properties`, as they are stored.
function stored.pick(record, properties)
  local view = json.object {}
  for name in pairs(properties) do view[name] = record[name] end
  for name in pairs(stored.COMMON) do view[name] = record[name] end
  return view
end

--- A plain table of router.lua's as JSON: a list where it is one.
function stored.to_json(value, is_list)
  if type(value) ~= "table" then return value end
  local result = (is_list or value[1] ~= nil) and json.array {} or json.object {}
  for name, member in pairs(value) do
    if name ~= "line" then result[name] = stored.to_json(member) end
  end
  return result
end

return stored
