--- admin.api.session: who is logged in. The store keeps a hash of each session's id, never the id.
---
--- A session ends 8 hours after it was last used, 7 days after it began, at logout, and with all
--- others when the password changes.

local host = require "neap.host"
local json = require "neap.json"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"

local session = {}

local PREFIX = "session/"
local IDLE, TOTAL = 8 * 3600, 7 * 86400 -- seconds
local NOTE_EVERY = 60                   -- seconds between two notes of when it was used
session.TOTAL = TOTAL

local function to_hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- The key of whatever has this secret: "session/…", "admin_token/…".
function session.key(prefix, secret) return prefix .. to_hex(host.digest(secret)) end

local function has_ended(row, now) return now >= row.used + IDLE or now >= row.created + TOTAL end

--- When it ends if it is not used any more.
local function ends_at(row) return math.min(row.used + IDLE, row.created + TOTAL) end

local function agent_of(of)
  return ((of.handle:header("user-agent") or ""):sub(1, 200):gsub("[^\32-\126]", "?"))
end

--- Removes what has ended; called at a login, when somebody waits for a password's hash anyway.
local function sweep(ops, now)
  for _, row in ipairs(rows.all("objects", PREFIX)) do
    if has_ended(row.document, now) then ops[#ops + 1] = { "delete", "objects", row.key } end
  end
end

--- Adds to ops what begins a session for the account.
---@return string secret to be shown once
---@return table row
function session.begin(ops, of, account)
  local now, secret = host.wall(), (host.token_new())
  local row = json.object { id = host.id(), account = account, created = now, used = now,
    address = of.address, agent = agent_of(of) }
  sweep(ops, now)
  ops[#ops + 1] = { "put", "objects", session.key(PREFIX, secret), row }
  return secret, row
end

--- The session of a secret, or nil. Notes that it is used.
---@return table? row, string? key
function session.find(secret)
  local key, now = session.key(PREFIX, secret), host.wall()
  local row, text = rows.get("objects", key)
  if not row or has_ended(row, now) then return nil end
  if now - row.used >= NOTE_EVERY then
    row.used = now
    -- Whoever else notes it at the same moment notes the same.
    host.store_write { { "expect", "objects", key, text },
      { "put", "objects", key, json.encode(row) } }
  end
  return row, key
end

--- Those that have not ended: { key, document }.
function session.list()
  local list, now = {}, host.wall()
  for _, row in ipairs(rows.all("objects", PREFIX)) do
    if not has_ended(row.document, now) then list[#list + 1] = row end
  end
  return list
end

--- Adds to ops what ends all sessions of the account.
function session.end_all(ops, account)
  for _, row in ipairs(rows.all("objects", PREFIX)) do
    if row.document.account == account then ops[#ops + 1] = { "delete", "objects", row.key } end
  end
end

session.schema = schema.named("Session", schema.object({
  id = { type = "string" }, account = { type = "string" },
  created = { type = "string", format = "date-time" },
  used = { type = "string", format = "date-time" },
  ends = { type = "string", format = "date-time",
    description = "When it ends if it is not used any more." },
  address = { type = "string" }, agent = { type = "string" },
  is_current = { type = "boolean", description = "Whether the request itself belongs to it." },
}, { "id", "account", "created", "used", "ends", "address", "agent", "is_current" }))

--- What the API shows of a session.
function session.view(row, is_current)
  return json.object { id = row.id, account = row.account, created = host.time_text(row.created),
    used = host.time_text(row.used), ends = host.time_text(ends_at(row)), address = row.address,
    agent = row.agent, is_current = is_current }
end

-- ------------------------------------------------------------------------------------
-- The cookie

--- Over TLS the name itself says that no other host or path has set it.
function session.cookie_name(is_secure)
  return is_secure and "__Host-neap_session" or "neap_session"
end

--- The Set-Cookie field for a secret; without one it takes the cookie away.
function session.cookie(of, secret)
  return "set-cookie", ("%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s"):format(
    session.cookie_name(of.is_secure), secret or "", secret and TOTAL or 0,
    of.is_secure and "; Secure" or "")
end

--- The secret in the request's cookie, or nil.
function session.cookie_of(of)
  local cookies = "; " .. (of.handle:header("cookie") or "")
  local name = session.cookie_name(of.is_secure):gsub("%-", "%%-")
  return cookies:match("[;%s]" .. name .. "=([%w_-]+)")
end

return session
