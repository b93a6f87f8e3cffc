--- admin.api.admin_token: credentials for programs that use this API. Made by a person only, so
--- that no token can make a wider one; shown once, kept as a hash.

local change = require "admin.api.change"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local session = require "admin.api.session"

local PREFIX = "admin_token/"

local scopes = { type = "array", minItems = 1, uniqueItems = true,
  items = { enum = { "read", "write", "keys", "bodies" } },
  description = "`write` includes `read`; `keys` is for the secrets of providers alone, `bodies` "
    .. "for what is kept of requests' and answers' bodies." }

local view_of = schema.named("AdminToken", schema.object({
  id = { type = "string" }, name = { type = "string" }, scopes = scopes,
  created = { type = "string", format = "date-time" },
  expires = { type = { "string", "null" }, format = "date-time" },
  last4 = { type = "string", description = "The last characters of the secret." },
}, { "id", "name", "scopes", "created", "expires", "last4" }))

local made_of = schema.named("NewAdminToken", schema.object({
  token = view_of, secret = { type = "string", description = "Shown this once." },
}, { "token", "secret" }))

local function view(row)
  return json.object { id = row.id, name = row.name, scopes = json.array(row.scopes),
    created = host.time_text(row.created), last4 = row.last4,
    expires = row.expires and host.time_text(row.expires) or json.null }
end

local function list()
  local items = json.array {}
  for index, row in ipairs(rows.all("objects", PREFIX)) do items[index] = view(row.document) end
  return 200, json.object { items = items }
end

local function create(of)
  local expires = of.body.expires
  expires = type(expires) == "string" and schema.moment(expires) or nil
  if expires and expires <= host.wall() then
    problem.raise(422, "invalid", "/expires lies in the past", { field = "/expires" })
  end
  local secret = host.token_new()
  local row = json.object { id = host.id(), name = of.body.name, scopes = of.body.scopes,
    created = host.wall(), expires = expires, last4 = secret:sub(-4) }
  change.commit(of, { { "put", "objects", session.key(PREFIX, secret), row } },
    { action = "create", object = PREFIX .. row.id, after = view(row) })
  return 201, json.object { token = view(row), secret = secret }
end

local function remove(of)
  for _, row in ipairs(rows.all("objects", PREFIX)) do
    if row.document.id == of.params.id then
      change.commit(of, { { "delete", "objects", row.key } },
        { action = "delete", object = PREFIX .. row.document.id, before = view(row.document) })
      return 204
    end
  end
  problem.not_found("admin token with this id")
end

return {
  { id = "list_admin_tokens", method = "GET", path = "/api/v1/admin_tokens", tag = "login",
    scope = "session", summary = "The admin tokens", run = list,
    responses = { { 200, "All of them, without their secrets.", schema.object({
      items = { type = "array", items = view_of } }, { "items" }) } } },
  { id = "create_admin_token", method = "POST", path = "/api/v1/admin_tokens", tag = "login",
    scope = "session", summary = "Make an admin token",
    body = schema.object({
      name = { type = "string", minLength = 1, maxLength = 100, format = "line" }, scopes = scopes,
      expires = { type = { "string", "null" }, format = "date-time" },
    }, { "name", "scopes" }),
    run = create, responses = { { 201, "The token, with its secret.", made_of } } },
  { id = "delete_admin_token", method = "DELETE", path = "/api/v1/admin_tokens/{id}",
    tag = "login", scope = "session", summary = "Take an admin token away",
    params = { id = { type = "string", format = "id" } }, run = remove,
    responses = { { 204, "It is not good any more." } } },
}
