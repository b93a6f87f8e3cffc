--- HTTP over a loopback connection that is kept: what the benchmark needs to ask the admin API.
---
--- Answers must say how long they are; nothing here takes chunks apart.
local ffi = require "ffi"
local process = require "process"

local http = {}
http.__index = http

local ANSWER_TIMEOUT, ROOM = 30, 256 * 1024

local buffer = ffi.new("char[?]", ROOM)

---@param port integer
---@return table? connection nil: nobody listens there
function http.open(port)
  local fd = process.connect(port)
  return fd and setmetatable({ fd = fd, port = port }, http)
end

function http:close()
  ffi.C.close(self.fd)
end

--- More of the answer as text, or nil at its end.
local function receive(self, seconds)
  local wait = ffi.new("bench_pollfd", self.fd, 1, 0)
  if ffi.C.poll(wait, 1, seconds * 1000) <= 0 then return nil end
  local size = ffi.C.read(self.fd, buffer, ROOM)
  return size > 0 and ffi.string(buffer, size) or nil
end

local function send(self, text)
  local sent = 0
  while sent < #text do
    local part = text:sub(sent + 1)
    local size = tonumber(ffi.C.write(self.fd, part, #part))
    if size <= 0 then return false end
    sent = sent + size
  end
  return true
end

--- One request and its whole answer.
---@param headers string lines, each with its end
---@return integer? status, string head_or_problem, string? body
function http:ask(method, path, headers, body)
  body = body or ""
  local head = ("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n%s\r\n")
    :format(method, path, self.port, #body, headers)
  if not send(self, head .. body) then return nil, "the connection is closed" end
  local parts, size, head_size, wanted = {}, 0, nil, nil
  repeat
    local part = receive(self, ANSWER_TIMEOUT)
    if not part then return nil, "no whole answer" end
    parts[#parts + 1], size = part, size + #part
    if not head_size then
      local text = table.concat(parts)
      local _, head_end = text:find("\r\n\r\n", 1, true)
      head_size = head_end
      wanted = head_end and tonumber(text:sub(1, head_end):lower():match "content%-length: *(%d+)")
      if head_end and not wanted then return nil, "an answer without a length" end
    end
  until head_size and size >= head_size + wanted
  local text = table.concat(parts)
  return tonumber(text:match "^HTTP/1.1 (%d+)"), text:sub(1, head_size), text:sub(head_size + 1)
end

return http
