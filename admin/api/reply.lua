--- admin.api.reply: the answers of the admin side, each with the headers that keep browsers from
--- doing what nobody asked for.

local etag = require "admin.api.etag"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"

local reply = {}

local Raw = {}

-- A page of the admin side loads nothing from elsewhere, has no script in it, and stands in no
-- frame.
local POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
  .. "object-src 'none'"

--- A handler's answer that is not JSON.
---@param kind string content type
---@param text string
function reply.raw(kind, text) return setmetatable({ kind = kind, text = text }, Raw) end

--- The fields of each answer; names and values of `more` follow.
function reply.fields(of, more)
  local fields = {
    "x-request-id", of.id, "cache-control", "no-store", "x-content-type-options", "nosniff",
    "content-security-policy", POLICY, "referrer-policy", "no-referrer",
    "cross-origin-resource-policy", "same-origin",
  }
  if of.is_secure then
    fields[#fields + 1], fields[#fields + 2] = "strict-transport-security", "max-age=31536000"
  end
  for _, list in ipairs { of.fields, more or {} } do
    for _, value in ipairs(list) do fields[#fields + 1] = value end
  end
  return fields
end

local function find(fields, name)
  for index = 1, #(fields or {}), 2 do
    if fields[index] == name then return fields[index + 1] end
  end
end

--- Reads are for whoever looks for something, writes and refusals for whoever watches.
local function write_log(of, status)
  local is_notable = status >= 400 or (of.method ~= "GET" and of.method ~= "HEAD")
  host.log(is_notable and "info" or "debug", "admin", ("%s %s %s -> %d %s %d ms"):format(of.id,
    of.method, of.op and of.op.path or "-", status, of.who and of.who.name or "-",
    math.floor((host.now() - of.start) * 1000 + 0.5)))
end
reply.write_log = write_log

--- Sends a handler's answer: status, a document or reply.raw or nothing, and fields.
function reply.send(of, status, document, fields)
  local tag = find(fields, "etag")
  local may_be_known = status == 200 and tag and of.method ~= "PATCH" and not of.op.is_live
  if may_be_known and etag.is_known(of, tag) then
    status, document = 304, nil
  end
  local all, body = reply.fields(of, fields), ""
  if getmetatable(document) == Raw then
    all[#all + 1], all[#all + 2] = "content-type", document.kind
    body = document.text
  elseif document ~= nil then
    all[#all + 1], all[#all + 2] = "content-type", "application/json"
    body = json.encode(document)
  end
  of.is_answered = true
  of.handle:reply(status, all, body)
  write_log(of, status)
end

--- Sends what was raised as a problem.
function reply.refuse(of, raised)
  reply.send(of, raised.status, problem.document(raised, of.is_compat), raised.headers)
end

return reply
