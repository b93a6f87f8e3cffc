--- neap.key_import: a pool of keys as somebody pastes it, one per line.
---
--- Reads and judges the text; asks nobody and writes nothing. What it tells about a line never
--- holds the secret, only its last four characters.

local key_import = {}

local LINES_MAX = 10000
local TEXT_MAX = 4 * 1024 * 1024 -- bytes
local KEY_MIN, KEY_MAX = 8, 512  -- bytes
local TAIL = 4
local TAIL_OF_MIN = 16 -- a key shorter than this would be given away by its tail

---@class neap.import_line
---@field line integer in the text, from 1
---@field tail string "…abcd"
---@field state "new"|"repeated"|"known"|"malformed", after the check a verdict's
---@field why string? in words
---@field balance number? where the check told one

--- How a key is shown.
---@param secret string
---@return string
function key_import.tail(secret)
  return #secret >= TAIL_OF_MIN and "…" .. secret:sub(-TAIL) or "…"
end

local function problem_of(secret)
  if #secret < KEY_MIN then return ("is shorter than %d characters"):format(KEY_MIN) end
  if #secret > KEY_MAX then return ("is longer than %d characters"):format(KEY_MAX) end
  if secret:find("%s") then return "holds a space: one key per line" end
  if secret:find("[^\33-\126]") then return "holds a character that no key has" end
end

local function judge(secret, seen, known)
  local problem = problem_of(secret)
  if problem then return "malformed", problem end
  if seen[secret] then return "repeated", ("is the same as line %d"):format(seen[secret]) end
  local id = known and known(secret)
  if id then return "known", ("is in the pool already: %s"):format(tostring(id)) end
  return "new"
end

---@class neap.import
---@field lines neap.import_line[] those that hold something, in order
---@field fresh { secret: string, line: neap.import_line }[] the new ones: the only secrets here
---@field counts table<string, integer> by state

--- Reads a paste. nil and a message where it holds nothing, or too much.
---@param text string
---@param options { known: (fun(secret: string): string|nil)?, pause: fun()? }? known: the id of a
---key that the pool has; pause: called now and then, so that a long text holds up nobody
---@return neap.import?, string? problem
function key_import.read(text, options)
  options = options or {}
  if #text > TEXT_MAX then return nil, ("the text is longer than %d bytes"):format(TEXT_MAX) end
  text = text:gsub("^\239\187\191", "")
  local import, seen, number = { lines = {}, fresh = {}, counts = {} }, {}, 0
  for line in (text .. "\n"):gmatch("([^\r\n]*)\r?\n?") do
    number = number + 1
    local secret = line:match("^%s*(.-)%s*$")
    if secret ~= "" then
      if #import.lines == LINES_MAX then
        return nil, ("the text has more than %d keys"):format(LINES_MAX)
      end
      local state, why = judge(secret, seen, options.known)
      local entry = { line = number, tail = key_import.tail(secret), state = state, why = why }
      import.lines[#import.lines + 1] = entry
      import.counts[state] = (import.counts[state] or 0) + 1
      seen[secret] = seen[secret] or number
      if state == "new" then import.fresh[#import.fresh + 1] = { secret = secret, line = entry } end
      if options.pause and number % 1000 == 0 then options.pause() end
    end
  end
  if not import.lines[1] then return nil, "the text holds no key" end
  return import
end

--- Notes what the check of a new key said, in its line and in the counts.
---@param import neap.import
---@param fresh { secret: string, line: neap.import_line } one of import.fresh
---@param verdict neap.key_verdict
function key_import.note(import, fresh, verdict)
  local line, counts = fresh.line, import.counts
  counts[line.state] = counts[line.state] - 1
  if counts[line.state] == 0 then counts[line.state] = nil end
  line.state, line.why, line.balance = verdict.state, verdict.why, verdict.balance
  counts[line.state] = (counts[line.state] or 0) + 1
end

return key_import
