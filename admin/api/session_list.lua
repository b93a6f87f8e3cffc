--- admin.api.session_list: the sessions of all who are logged in, and the password.

local account = require "admin.api.account"
local change = require "admin.api.change"
local json = require "neap.json"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"
local session = require "admin.api.session"

local function list(of)
  local items = json.array {}
  for index, row in ipairs(session.list()) do
    items[index] = session.view(row.document, row.document.id == of.who.id)
  end
  return 200, json.object { items = items }
end

local function remove(of)
  for _, row in ipairs(session.list()) do
    if row.document.id == of.params.id then
      change.commit(of, { { "delete", "objects", row.key } },
        { action = "delete", object = "session/" .. row.document.id,
          before = session.view(row.document, row.document.id == of.who.id) })
      return 204
    end
  end
  problem.not_found("session with this id")
end

--- Ends all sessions of the account and begins a new one for who has changed it.
local function change_password(of)
  local row, text = account.check_again(of, of.body.password)
  local ops = {}
  account.change(ops, row, text, account.hash(of.body.new_password))
  session.end_all(ops, row.name)
  local secret = session.begin(ops, of, row.name)
  change.commit(of, ops, { action = "change_password", object = "account/" .. row.name })
  if not of.who.is_cookie then
    return 200, json.object { access_token = secret }
  end
  return 200, json.object {}, { session.cookie(of, secret) }
end

return {
  { id = "list_sessions", method = "GET", path = "/api/v1/sessions", tag = "login",
    scope = "session", summary = "Everyone who is logged in", run = list,
    responses = { { 200, "The sessions that have not ended.", schema.object({
      items = { type = "array", items = session.schema } }, { "items" }) } } },
  { id = "delete_session", method = "DELETE", path = "/api/v1/sessions/{id}", tag = "login",
    scope = "session", summary = "Log somebody out",
    params = { id = { type = "string", format = "id" } }, run = remove,
    responses = { { 204, "The session has ended." } } },
  { id = "change_password", method = "POST", path = "/api/v1/password", tag = "login",
    scope = "session", summary = "Change the password of who is logged in",
    description = "All sessions of the account end. Who asked with a cookie gets the one of a new "
      .. "session, who asked with a bearer a new access_token.",
    body = schema.object({ password = account.password, new_password = account.new_password },
      { "password", "new_password" }),
    errors = { 429 }, run = change_password,
    responses = { { 200, "It is changed.",
      schema.object({ access_token = { type = "string" } }) } } },
}
