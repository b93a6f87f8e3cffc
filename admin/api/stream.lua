--- admin.api.stream: answers that go on: server-sent events, and lists that are too long for a
--- page.
---
---     run = function(of)
---       local events = stream.events(of)
---       while events:is_wanted() do
---         events:send("record", document)
---         events:rest(1)
---       end
---       events:finish()
---     end
---
--- A handler that has begun one returns nothing. A stream of events ends by itself when neap stops
--- or a newer generation is in force: the browser's EventSource comes back to that one by itself.

local host = require "neap.host"
local json = require "neap.json"
local reply = require "admin.api.reply"

local stream = {}

--- For an operation that tells its progress where it is asked to.
stream.response = { 200, "Events, where `progress` is true.", { type = "string" },
  "text/event-stream" }

local COMMENT_EVERY = 15 -- seconds of silence after which a line shows that it is still there

local Stream = {}
Stream.__index = Stream

local function begin(of, kind, fields)
  local all = reply.fields(of, fields)
  all[#all + 1], all[#all + 2] = "content-type", kind
  of.is_answered = true
  of.handle:on_disconnect("cancel")
  of.handle:start(200, all, -1)
  return setmetatable({ of = of, wrote = host.now() }, Stream)
end

--- Begins a stream of events.
function stream.events(of) return begin(of, "text/event-stream", { "x-accel-buffering", "no" }) end

--- Begins an answer of this type that is written piece by piece, such as an export.
---@param file string? the name under which a browser keeps it
function stream.text(of, kind, file)
  return begin(of, kind, file and { "content-disposition",
    ("attachment; filename=\"%s\""):format(file) } or nil)
end

--- Writes bytes. Waits while the client reads too slowly.
function Stream:write(text)
  self.wrote = host.now()
  self.of.handle:write(text)
end

--- Sends an event. id: by which a client that comes back says what it has seen.
---@param name string?
---@param document any JSON
---@param id string?
function Stream:send(name, document, id)
  local lines = { id and "id: " .. id .. "\n" or "", name and "event: " .. name .. "\n" or "",
    "data: ", json.encode(document), "\n\n" }
  self:write(table.concat(lines))
end

--- Whether a stream of events shall go on.
function Stream:is_wanted() return host.is_current() and not host.figures().draining end

--- Waits; a client that nothing was sent to for a while gets a comment.
---@param seconds number
function Stream:rest(seconds)
  host.sleep(seconds)
  if host.now() - self.wrote >= COMMENT_EVERY then self:write(": still here\n\n") end
end

function Stream:finish()
  self.of.handle:finish()
  reply.write_log(self.of, 200)
end

return stream
