--- admin.api.compat.id_rows: where the numbers of names are noted: by name, by number, and the next
--- one. For admin.api.compat.ids, and for imports, which bring numbers along.

local host = require "neap.host"
local store = require "neap.store"

local id_rows = {}

local NAME_MAX = 300 -- bytes of a name that stand in a key

--- The key of a name's number. Of a name that is too long for a key it has a digest.
function id_rows.id_key(kind, name)
  local short = #name <= NAME_MAX and name
    or ("%s\31%s"):format(name:sub(1, NAME_MAX), store.digest_text(host.digest(name)))
  return ("compat/id/%s/%s"):format(kind, short)
end

function id_rows.name_key(kind, id) return ("compat/name/%s/%012d"):format(kind, id) end

function id_rows.next_key(kind) return "compat/next/" .. kind end

--- What is noted of a name, as its row has it: with the name, where the key has not all of it.
function id_rows.with_name(name, document)
  document.name = #name > NAME_MAX and name or nil
  return document
end

return id_rows
