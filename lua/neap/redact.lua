--- neap.redact: texts without a secret that somebody else has put into them.
---
--- Providers quote the key that they refuse. What they say goes on to clients, policies, the log
--- and the journal, and none of these is to have it.

local redact = {}

local INSTEAD = "…"

-- Bytes. A shorter key, such as the "ollama" of a server that checks none, is a word that texts
-- may hold for themselves.
redact.SECRET_MIN = 8

--- The text with each occurrence of the secret replaced.
---@param text string
---@param secret string? nil, or shorter than SECRET_MIN: there is nothing to hide
---@param instead string? "…"
---@return string
function redact.text(text, secret, instead)
  if not secret or #secret < redact.SECRET_MIN then return text end
  local from, to = text:find(secret, 1, true)
  if not from then return text end
  local parts, rest = {}, 1
  while from do
    parts[#parts + 1], parts[#parts + 2] = text:sub(rest, from - 1), instead or INSTEAD
    rest = to + 1
    from, to = text:find(secret, rest, true)
  end
  parts[#parts + 1] = text:sub(rest)
  return table.concat(parts)
end

--- The key of an attempt and what stands for it, as redact.text takes them. An id that would need
--- escapes is not put into what may be JSON.
---@param way table as catalog.way makes it
---@return string? secret
---@return string? instead
function redact.of(way)
  local id = way.key_id and way.key_id:match("^[%w._-]+$")
  return way.secret, id and ("[key %s]"):format(id)
end

--- The values of a list of headers (name, value, name, value, …), in place.
---@param list string[]
---@param secret string?
---@param instead string? "…"
---@return string[] list
function redact.headers(list, secret, instead)
  for index = 2, #list, 2 do list[index] = redact.text(list[index], secret, instead) end
  return list
end

return redact
