--- A journal of millions of records, made once and kept, and the questions that it is asked.
---
--- journal_fill writes the records; then neap itself is started on the folder for a moment, gives
--- out the credential for its admin API, and is told to keep records for ever, since the bench may
--- run long after they were made.
local http = require "http"
local json = require "cjson"
local process = require "process"

local large = {}

local READY_SECONDS, FILL_SECONDS, DAY = 10, 1800, 86400
local PASSWORD = "the bench's password"
local JSON = "Content-Type: application/json\r\n"

-- ------------------------------------------------------------------------------------
-- The store

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function fill(folder, build, count)
  os.execute(("rm -rf '%s/data'; mkdir -p '%s/data'"):format(folder, folder))
  local filling = process.start {
    argv = { build.folder .. "/journal_fill", folder .. "/data/journal", ("%d"):format(count) },
    log = folder .. "/fill.log",
  }
  local line = filling:line(FILL_SECONDS)
  -- It ends once old sums are trimmed.
  while filling:is_running() do process.sleep(0.1) end
  filling:stop()
  return line ~= nil
end

--- Until the admin side listens.
local function connect(port, running)
  local limit = process.now() + READY_SECONDS
  while process.now() < limit and running:is_running() do
    local connection = http.open(port)
    if connection and connection:ask("GET", "/health", "") == 200 then return connection end
    if connection then connection:close() end
    process.sleep(0.01)
  end
end

--- The password is neap's once it has hashed it.
local function log_in(admin)
  local limit = process.now() + READY_SECONDS
  repeat
    local body = json.encode { username = "admin", password = PASSWORD }
    local status, head = admin:ask("POST", "/login", JSON, body)
    local cookie = status == 200 and head:match "[Ss]et%-[Cc]ookie: *([^;\r]+)"
    if cookie then return ("Cookie: %s\r\nX-Neap-Request: 1\r\n"):format(cookie) .. JSON end
    process.sleep(0.1)
  until process.now() > limit
end

local function set_up(target)
  local running = process.start {
    argv = target.argv, environment = { NEAP_ADMIN_PASSWORD = PASSWORD },
    core = 1, log = target.log, quiet = true,
  }
  local admin = connect(target.admin_port, running)
  local headers = admin and log_in(admin)
  local token
  if headers then
    local _, _, made = admin:ask("POST", "/api/v1/admin_tokens", headers,
      '{"name":"bench","scopes":["read"]}')
    token = made and made:match '"secret":"([^"]+)"'
    local status = admin:ask("PATCH", "/api/v1/settings", headers,
      '{"record_age":0,"record_bytes":0}')
    token = status == 200 and token or nil
  end
  running:stop()
  return token
end

--- Makes the store of the target where there is none yet; returns whether there is one now.
---@param target table of targets.lua; gets `admin_token`
function large.prepare(build, target)
  local path = target.folder .. "/token"
  target.admin_token = read(path)
  if target.admin_token then return true end
  io.stderr:write(("bench: %d records are made for %s, once\n"):format(target.records, target.name))
  if not fill(target.folder, build, target.records) then return false end
  local token = set_up(target)
  if not token then return false end
  local file = assert(io.open(path, "w"))
  file:write(token)
  file:close()
  target.admin_token = token
  return true
end

-- ------------------------------------------------------------------------------------
-- Questions

local function moment(ago) return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - ago) end

--- Half of the pages are the newest ones, half end anywhere in the 90 days.
local function pages(filter)
  local paths = {}
  for i = 1, 40 do
    local path = "/api/v1/records?limit=100" .. filter
    if i % 2 == 0 then path = path .. "&until=" .. moment(i * 7919 % 80 * DAY + i * 997) end
    paths[i] = path
  end
  return paths
end

local function statistics()
  local from = "from=" .. moment(89 * DAY)
  local paths = {
    "overview?" .. from, "series?step=day&" .. from,
    "series?step=day&zone=Europe/Berlin&" .. from,
    "series?step=day&model=vendor-model-20251001-3&" .. from,
    "breakdown?by=model&" .. from, "breakdown?by=token&" .. from,
    "breakdown?by=provider&order=cost&" .. from,
  }
  for i, path in ipairs(paths) do paths[i] = "/api/v1/statistics/" .. path end
  return paths
end

--- The paths of a kind of question.
---@param kind string
---@return string[]
function large.paths(kind)
  if kind == "statistics" then return statistics() end
  if kind == "all" then
    local paths = statistics()
    for _, name in ipairs { "time", "token", "model", "outcome", "text" } do
      for i = 1, 4 do paths[#paths + 1] = large.paths(name)[i] end
    end
    return paths
  end
  return pages(({
    time = "", token = "&token=team-7", group = "&group=group-3", provider = "&provider=provider-7",
    model = "&model=vendor-model-20251001-29", outcome = "&outcome=failed",
    text = "&text=overloaded", nowhere = "&text=xyzzy",
  })[kind])
end

return large
