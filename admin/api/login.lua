--- admin.api.login: POST /login and POST /api/auth/login, for people and for programs that were
--- written for other systems, and /logout.

local account = require "admin.api.account"
local audit = require "admin.api.audit"
local change = require "admin.api.change"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local reply = require "admin.api.reply"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local session = require "admin.api.session"

local credentials = schema.named("Credentials", schema.object({
  username = { type = "string", minLength = 1, maxLength = 100, format = "line",
    description = "Where there is one account alone, it need not be given." },
  password = account.password,
}, { "password" }))

--- The row in the audit log of a login that was refused. What is no account's name is not kept:
--- people enter their password there by mistake.
local function note_failure(ops, of, name)
  local known = account.get(name) and name
  audit.note(ops, of, { action = "login_failed", account = known,
    object = known and "account/" .. known or "account" })
end

--- Begins a session for whoever knows the password: its secret and row.
local function log_in(of)
  local name = of.body.username or account.usual_name()
  local row = account.check(of, name, of.body.password)
  local ops = {}
  if not row then
    note_failure(ops, of, name)
    rows.write(ops)
    problem.raise(401, "wrong_password", "name or password is wrong")
  end
  local secret, made = session.begin(ops, of, row.name)
  change.commit(of, ops, { action = "login", object = "account/" .. row.name, account = row.name })
  return secret, made
end

local function login(of)
  local secret, made = log_in(of)
  return 200, json.object { message = "logged in", ends = session.view(made).ends },
    { session.cookie(of, secret) }
end

local function login_for_token(of)
  local secret = log_in(of)
  return 200, json.object { access_token = secret, token_type = "bearer",
    expires_in = session.TOTAL }
end

local function end_session(of)
  local ops = { { "delete", "objects", of.who.key } }
  change.commit(of, ops, { action = "logout", object = "session/" .. of.who.id })
end

local function logout(of)
  end_session(of)
  return 204, nil, { session.cookie(of, nil) }
end

--- What a link does: back to the front page.
local function logout_by_link(of)
  end_session(of)
  local fields = { session.cookie(of, nil) }
  fields[#fields + 1], fields[#fields + 2] = "location", "/"
  return 303, reply.raw("text/plain", "logged out\n"), fields
end

local function show(of)
  local scopes = json.array {}
  for _, scope in ipairs { "read", "write", "keys", "bodies" } do
    if of.who.scopes[scope] then scopes[#scopes + 1] = scope end
  end
  return 200, json.object { kind = of.who.kind, name = of.who.name, id = of.who.id, scopes = scopes,
    session = of.who.row and session.view(of.who.row, true) or json.null,
    time = host.time_text(host.wall()) }
end

return {
  { id = "login", method = "POST", path = "/login", tag = "login", scope = "open",
    summary = "Log in with a password; sets the cookie of a session", body = credentials,
    takes = "form", is_compat = true, errors = { 401, 429 }, run = login,
    responses = { { 200, "Logged in.", schema.object({ message = { type = "string" },
      ends = { type = "string", format = "date-time" } }, { "message", "ends" }) } } },
  { id = "login_for_token", method = "POST", path = "/api/auth/login", tag = "login",
    scope = "open", summary = "Log in with a password; gives a text for the header Authorization",
    body = credentials, takes = "form", is_compat = true, errors = { 401, 429 },
    run = login_for_token,
    responses = { { 200, "Logged in.", schema.object({ access_token = { type = "string" },
      token_type = { const = "bearer" }, expires_in = { type = "integer" } },
      { "access_token", "token_type", "expires_in" }) } } },
  { id = "logout", method = "POST", path = "/logout", tag = "login", scope = "session",
    summary = "End this session", run = logout, responses = { { 204, "Logged out." } } },
  { id = "logout_by_link", method = "GET", path = "/logout", tag = "login", scope = "session",
    summary = "End this session, and go to the front page", has_effect = true, run = logout_by_link,
    responses = { { 303, "Logged out.", { type = "string" }, "text/plain" } } },
  { id = "get_session", method = "GET", path = "/api/v1/session", tag = "login", scope = "read",
    summary = "Who is logged in, and what he may do", run = show,
    responses = { { 200, "The login that the request came with.", schema.object({
      kind = { enum = { "session", "token" } }, name = { type = "string" },
      id = { type = "string" },
      scopes = { type = "array", items = { enum = { "read", "write", "keys", "bodies" } } },
      session = schema.nullable(session.schema), time = { type = "string", format = "date-time" },
    }, { "kind", "name", "id", "scopes", "session", "time" }) } } },
}
