--- admin.api.account: the accounts that log in with a password. There is none to begin with.

local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local throttle = require "admin.api.throttle"

local account = {}

local PREFIX = "account/"
account.NAME = "admin" -- where nobody says another
account.PASSWORD_MIN, account.PASSWORD_MAX = 10, 1024 -- bytes

--- The schema of a new password, and of one that is entered.
account.new_password = { type = "string", minLength = account.PASSWORD_MIN,
  maxLength = account.PASSWORD_MAX, description = "At least 10 characters." }
account.password = { type = "string", maxLength = account.PASSWORD_MAX }

function account.exists() return rows.page("objects", { prefix = PREFIX, limit = 1 })[1] ~= nil end

--- Whose password it is where nobody says: the only account's.
---@return string
function account.usual_name()
  local found = rows.page("objects", { prefix = PREFIX, limit = 2 })
  return found[1] and not found[2] and found[1].key:sub(#PREFIX + 1) or account.NAME
end

local function refuse_busy() problem.busy("too many passwords are being looked at") end

--- A password as it is stored; a problem where it is too long, or too many are waiting. Waits for a
--- tenth of a second.
function account.hash(password)
  if #password > account.PASSWORD_MAX then
    problem.raise(422, "invalid", ("a password has %d bytes at most"):format(account.PASSWORD_MAX))
  end
  return host.password_hash(password) or refuse_busy()
end

--- Whether it is the password; takes as long where there is no such account. Waits.
local function is_right(row, password)
  if #password > account.PASSWORD_MAX then return false end -- nobody's
  local result = host.password_verify(row and row.hash, password)
  if result == nil then refuse_busy() end
  return result and row ~= nil
end

--- Looks at a password that somebody entered: the account's row and its text, or nil where name or
--- password is wrong. Raises 429 where there were too many attempts. Waits.
---@return table? row, string? text
function account.check(of, name, password)
  throttle.enter(name, of.address)
  local row, text = rows.get("objects", PREFIX .. name)
  if not is_right(row, password) then return nil end
  throttle.pass(name, of.address)
  return row, text
end

--- Raises 403 unless the person who is logged in has entered his password again. Waits.
function account.check_again(of, password)
  local row, text = account.check(of, of.who.name, password)
  if row then return row, text end
  problem.raise(403, "wrong_password", "the password is not right", { field = "/password" })
end

--- Adds to ops what makes an account.
function account.create(ops, name, hash, env_hash)
  local now = host.wall()
  ops[#ops + 1] = { "expect", "objects", PREFIX .. name, nil }
  ops[#ops + 1] = { "put", "objects", PREFIX .. name, json.object { name = name, hash = hash,
    env_hash = env_hash, created = now, changed = now } }
end

--- Adds to ops what gives it another password. row, text: as it was read.
function account.change(ops, row, text, hash, env_hash)
  local key = PREFIX .. row.name
  row.hash, row.env_hash, row.changed = hash, env_hash or row.env_hash, host.wall()
  ops[#ops + 1] = { "expect", "objects", key, text }
  ops[#ops + 1] = { "put", "objects", key, row }
end

--- The account of a name: its row and text, or nil. Waits.
function account.get(name) return rows.get("objects", PREFIX .. name) end

return account
