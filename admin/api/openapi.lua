--- admin.api.openapi: the operations as an OpenAPI 3.1 document.

local json = require "neap.json"
local routes = require "admin.api.routes"
local schema = require "admin.api.schema"

local openapi = {}

local MEANINGS = {
  [304] = "The caller has this version already.",
  [400] = "The path, a parameter or the form of the body is wrong.",
  [401] = "No login, or one that is not good any more.",
  [403] = "The login may not do this, or the request comes from a foreign page.",
  [404] = "There is no such thing.",
  [409] = "It cannot be done as things are.",
  [412] = "It was changed by somebody else, since it was read (If-Match) or meanwhile.",
  [413] = "The body is too long.",
  [415] = "The body is of a type that is not taken here.",
  [422] = "The body has the right form, and something in it is wrong.",
  [429] = "Too many attempts: Retry-After says when the next one is looked at.",
  [500] = "neap itself failed; its log says why.",
  [502] = "A provider failed.",
  [503] = "The store or a queue cannot take more right now.",
  [504] = "A provider did not answer in time.",
  [507] = "The disk is full; nothing was changed.",
}

local SCOPES = {
  open = "No login is needed.",
  read = "Scope `read`.",
  write = "Scope `write`.",
  keys = "Scope `keys`.",
  bodies = "Scope `bodies`.",
  session = "A person who is logged in; no token.",
}

-- What an operation's tag stands for.
local TAGS = {
  audit = "Who changed what.",
  configuration = "All that is stored, as one document.",
  groups = "What clients name: targets, policies and limits.",
  conversations = "Requests that belong together.",
  compat = "Paths of the systems that neap replaces, for their clients.",
  generations = "What is in force, and loading it anew.",
  health = "Whether neap is well.",
  jobs = "What neap does by itself now and then.",
  keys = "The secrets of providers.",
  keywords = "Texts that make an answer a failure.",
  login = "Who comes in: passwords, sessions and admin tokens.",
  policies = "Scripts that decide; their texts, versions and settings.",
  providers = "Upstream services, with their models and prices.",
  playground = "Requests through the router, by hand.",
  records = "Requests and what became of them.",
  settings = "Settings of the whole that take effect without a restart.",
  tokens = "Clients' credentials: what each may use, how much of it, and until when.",
  statistics = "Sums of requests, tokens, costs and times.",
}

local problem_schema = schema.named("Error", schema.object({
  error = schema.object({
    code = { type = "string", description = "Stable: programs decide by it." },
    message = { type = "string", description = "For people; may change." },
    field = { type = "string", description = "A JSON pointer into the body, or the name of a "
      .. "parameter or header." },
    details = { type = "array", items = { type = "string" },
      description = "Where there is more to say: one line for each thing that is wrong." },
  }, { "code", "message" }),
  detail = { type = "string", description = "The message again, on paths of other systems, whose "
    .. "clients look for it here." },
}, { "error" }))
openapi.problem = problem_schema

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function content(kind, described)
  return json.object { [kind] = json.object { schema = described } }
end

local function parameter(place, name, self, components)
  local described = schema.document(self, components)
  local is_required = place == "path" or self.is_required or nil
  local text = described.description
  described.description = nil
  return json.object { name = name, ["in"] = place, required = is_required,
    description = text, schema = described }
end

local function parameters_of(op, components)
  local list = json.array {}
  for name in op.path:gmatch("{([^}]+)}") do
    local self = op.params and op.params[name] or { type = "string" }
    list[#list + 1] = parameter("path", name, self, components)
  end
  for _, name in ipairs(sorted_keys(op.query or {})) do
    list[#list + 1] = parameter("query", name, op.query[name], components)
  end
  if op.has_etag and not op.is_live then
    local name = op.method == "GET" and "If-None-Match" or "If-Match"
    list[#list + 1] = parameter("header", name, { type = "string",
      description = "The ETag of a version that was read." }, components)
  end
  return list[1] and list or nil
end

local function body_of(op, components)
  if not op.body and not op.takes then return nil end
  local described = schema.document(op.body or { type = "string" }, components)
  local kinds = json.object {}
  if op.body then kinds["application/json"] = json.object { schema = described } end
  if op.method == "PATCH" then
    kinds["application/merge-patch+json"] = json.object { schema = described }
  end
  if op.takes == "form" then
    kinds["application/x-www-form-urlencoded"] = json.object { schema = described }
  elseif op.takes == "text" then
    kinds["text/plain"] = json.object { schema = json.object { type = "string" } }
  end
  return json.object { required = op.is_body_optional ~= true, content = kinds }
end

local function header(text)
  return json.object { description = text, schema = json.object { type = "string" } }
end

local function success(op, response, components)
  local _, text, described, kind = unpack(response)
  local result = json.object { description = text }
  if described then
    result.content = content(kind or "application/json", schema.document(described, components))
  end
  if op.has_etag then
    result.headers = json.object { ETag = header("The version that this is.") }
  end
  return result
end

--- The same status, with a body of another type.
local function add_kinds(result, other)
  for kind, described in pairs(other.content) do result.content[kind] = described end
  result.description = result.description .. " " .. other.description
end

local function responses_of(op, components)
  local result, is_there = json.object {}, {}
  for _, response in ipairs(op.responses) do
    local status = tostring(response[1])
    is_there[response[1]] = true
    local one = success(op, response, components)
    if result[status] then add_kinds(result[status], one) else result[status] = one end
  end
  for _, status in ipairs(sorted_keys(routes.statuses(op))) do
    if not is_there[status] then
      local one = json.object { description = MEANINGS[status] or "An error." }
      if status >= 400 then
        one.content = content("application/json", schema.document(problem_schema, components))
      end
      result[tostring(status)] = one
    end
  end
  return result
end

local function security_of(op)
  if op.scope == "open" then return json.array {} end
  local list = json.array { json.object { cookie = json.array {} } }
  -- A session's id may be sent as a bearer as well, so that both stand here for every scope.
  list[2] = json.object { bearer = json.array {} }
  return list
end

local function operation(op, components)
  local text = (op.description and op.description .. "\n\n" or "") .. SCOPES[op.scope]
  return json.object { operationId = op.id, summary = op.summary, description = text,
    tags = json.array { op.tag }, parameters = parameters_of(op, components),
    requestBody = body_of(op, components), responses = responses_of(op, components),
    security = security_of(op), ["x-scope"] = op.scope }
end

local function tags_of(list)
  local seen, tags = {}, json.array {}
  for _, op in ipairs(list) do
    if not TAGS[op.tag] then error(op.id .. ": its tag has no text: " .. op.tag) end
    seen[op.tag] = true
  end
  for index, name in ipairs(sorted_keys(seen)) do
    tags[index] = json.object { name = name, description = TAGS[name] }
  end
  return tags
end

local function security_schemes(cookie)
  return json.object {
    cookie = json.object { type = "apiKey", ["in"] = "cookie", name = cookie,
      description = "What POST /login sets. Writes also need the header X-Neap-Request." },
    bearer = json.object { type = "http", scheme = "bearer",
      description = "An admin token, or the access_token of POST /api/auth/login." },
  }
end

--- The document of these operations.
---@param list table[] operations
---@param options { cookie: string, version: string? }
function openapi.document(list, options)
  local paths, components = json.object {}, json.object {}
  for _, op in ipairs(list) do
    paths[op.path] = paths[op.path] or json.object {}
    paths[op.path][op.method:lower()] = operation(op, components)
  end
  return json.object {
    openapi = "3.1.0",
    info = json.object { title = "neap admin API", version = options.version or "1",
      description = "Everything that neap can be told and asked over HTTP.",
      license = json.object { name = "MIT", identifier = "MIT" } },
    servers = json.array { json.object { url = "/" } },
    tags = tags_of(list),
    paths = paths,
    components = json.object { schemas = components,
      securitySchemes = security_schemes(options.cookie) },
  }
end

return openapi
