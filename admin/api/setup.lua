--- admin.api.setup: the first password. There is no default account: as long as there is none, the
--- log shows a link with a secret that works once, and from this machine or over TLS only.
---
--- NEAP_ADMIN_PASSWORD or NEAP_ADMIN_PASSWORD_FILE make the account without the link. What they say
--- is taken when it differs from what they said the last time, so that a password that was changed
--- by hand stays, and a lost one is replaced by setting the variable anew.

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
local throttle = require "admin.api.throttle"

local setup = {}

-- The hash of the link's secret, in the memory of the process: it outlives reloads, not restarts.
local KEY = "admin\0setup"
-- The hash of the environment's password once it was taken: a reload need not look at it again.
local TAKEN = "admin\0environment"
local TRIES, TRY_EVERY = 60, 1 -- seconds between two tries to have it looked at
local GUESSES = "the setup link" -- no name of an account: it has spaces

-- ------------------------------------------------------------------------------------
-- At the start

--- The password that the environment gives; nil and what is wrong with it. While a generation is
--- built.
---@return string? password, string? problem
function setup.read_environment()
  local password, path = host.env("NEAP_ADMIN_PASSWORD"), host.env("NEAP_ADMIN_PASSWORD_FILE")
  local name = "NEAP_ADMIN_PASSWORD"
  if (password or "") == "" and (path or "") ~= "" then
    name = "NEAP_ADMIN_PASSWORD_FILE"
    local text, why = host.read(path)
    if not text then return nil, ("%s: %s: %s"):format(name, path, why) end
    password = text:gsub("[\r\n]+$", "")
  end
  if (password or "") == "" then return nil end
  if #password < account.PASSWORD_MIN or #password > account.PASSWORD_MAX then
    return nil, ("%s: a password has %d to %d bytes"):format(name, account.PASSWORD_MIN,
      account.PASSWORD_MAX)
  end
  return password
end

--- For rows that neap writes by itself: who asks is the program.
local function by_itself()
  return { id = host.id(), address = "-", who = { kind = "program", name = "neap" } }
end

--- Whether it is what the environment said the last time. Waits until that can be looked at: who
--- took it for another one would undo what was changed by hand, and end all sessions.
local function is_known(row, password)
  if not (row and row.env_hash) then return false end
  for _ = 1, TRIES do
    local result = host.password_verify(row.env_hash, password)
    if result ~= nil then return result end
    host.sleep(TRY_EVERY)
  end
  problem.busy("the environment's password could not be looked at")
end

local function write_password(password)
  local row, text = account.get(account.NAME)
  if is_known(row, password) then return end
  local hash, ops, of = account.hash(password), {}, by_itself()
  if row then
    account.change(ops, row, text, hash, hash)
    session.end_all(ops, row.name)
  else
    account.create(ops, account.NAME, hash, hash)
  end
  change.commit(of, ops, { action = row and "change_password" or "create",
    object = "account/" .. account.NAME })
  host.log("info", "admin", "the password of \"" .. account.NAME .. "\" is the environment's")
end

--- The link's host is another name only where it works from anywhere, and a certificate has it.
local function link(admin, is_secure, secret)
  local name, port = admin.listen:match("^(.*):(%d+)$")
  if name == "" or name == "0.0.0.0" or name == "[::]" then name = "127.0.0.1" end
  if is_secure and admin.names and admin.names[1] then name = admin.names[1] end
  return ("%s://%s:%s/setup?token=%s"):format(is_secure and "https" or "http", name, port, secret)
end

local function take_password(password)
  local digest = host.digest(password)
  if host.shared_get(TAKEN) == digest then return end
  write_password(password)
  host.shared_set(TAKEN, digest)
end

--- Makes the account that the environment asks for, or the link to make one. Waits.
---@param admin table of the configuration
function setup.start(admin, is_secure, password)
  if password then return take_password(password) end
  if account.exists() or host.shared_get(KEY) then return end
  local secret = host.token_new()
  host.shared_set(KEY, host.digest(secret))
  host.log("warn", "admin", "no password is set yet: open " .. link(admin, is_secure, secret))
end

-- ------------------------------------------------------------------------------------
-- The link

local function refuse()
  problem.raise(401, "unauthorized", "the setup link is not good, or has been used: neap shows one "
    .. "when it starts without an account")
end

local function is_near(of)
  local _, is_loopback = of.handle:peer()
  return of.is_secure or is_loopback
end

--- Raises unless the secret is that of the link.
local function check(of, secret)
  throttle.enter(GUESSES, of.address)
  if not secret or not is_near(of) then return refuse() end
  local known = host.shared_get(KEY)
  if not known or known ~= host.digest(secret) or account.exists() then return refuse() end
  throttle.pass(GUESSES, of.address)
  return known
end

local function escaped(text)
  return (text:gsub("[&<>\"']", function(sign) return ("&#%d;"):format(sign:byte()) end))
end

local FORM = [[<!doctype html>
<html lang="en"><meta charset="utf-8"><title>neap</title>
<h1>neap: the first password</h1>
<form method="post" action="/setup">
<input type="hidden" name="token" value="%s">
<p><label>Name <input name="username" value="admin" autocomplete="username"></label></p>
<p><label>Password, 10 characters or more
<input name="password" type="password" minlength="10" autocomplete="new-password" required>
</label></p>
<p><button>Set it</button></p>
</form></html>
]]

local function show(of)
  check(of, of.query.token)
  return 200, reply.raw("text/html; charset=utf-8", FORM:format(escaped(of.query.token)))
end

local function create(of)
  local known = check(of, of.body.token)
  local name = of.body.username or account.NAME
  local hash = account.hash(of.body.password)
  -- Whoever takes the link's hash away has used it: of two at once only one does.
  if not host.shared_swap(KEY, known, nil) then return refuse() end
  local ops = {}
  account.create(ops, name, hash)
  local secret, made = session.begin(ops, of, name)
  audit.note(ops, of, { action = "create", object = "account/" .. name, account = name })
  local is_done, raised = pcall(rows.write, ops)
  if not is_done then
    host.shared_set(KEY, known)
    error(raised, 0)
  end
  return 200, json.object { message = "the account \"" .. name .. "\" is made",
    ends = session.view(made).ends }, { session.cookie(of, secret) }
end

setup.operations = {
  { id = "show_setup", method = "GET", path = "/setup", tag = "login", scope = "open",
    summary = "The form for the first password, by the link in neap's log", errors = { 401, 429 },
    query = { token = { type = "string", maxLength = 200 } }, run = show,
    responses = { { 200, "The form.", { type = "string" }, "text/html" } } },
  { id = "create_account", method = "POST", path = "/setup", tag = "login", scope = "open",
    summary = "Set the first password, by the link in neap's log", takes = "form",
    errors = { 401, 429 }, run = create,
    body = schema.object({ token = { type = "string", maxLength = 200 },
      username = { type = "string", minLength = 1, maxLength = 100, format = "name" },
      password = account.new_password }, { "token", "password" }),
    responses = { { 200, "The account is made, and its session has begun.", schema.object({
      message = { type = "string" }, ends = { type = "string", format = "date-time" } },
      { "message", "ends" }) } } },
}

return setup
