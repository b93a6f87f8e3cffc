--- neap.plain: neap's own small JSON answers.

local json = require "neap.json"
local record = require "neap.record"

local plain = {}

--- Answers with a JSON document and ends the request.
function plain.send(of, status, document)
  local fields = { "x-request-id", of.handle:id(), "content-type", "application/json",
    "cache-control", "no-store" }
  for _, value in ipairs(of.cors) do fields[#fields + 1] = value end
  local body = json.encode(document)
  of.handle:reply(status, fields, body)
  of.record.status, of.record.outcome, of.record.bytes_out = status, "ok", #body
  record.finish(of.record)
end

return plain
