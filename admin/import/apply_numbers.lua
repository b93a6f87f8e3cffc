--- admin.import.apply_numbers: the old system's numbers, as methods of admin.import.apply's: noted
--- where admin.api.compat.ids looks for them, so that scripts that name them go on.

local id_rows = require "admin.api.compat.id_rows"
local json = require "neap.json"
local source = require "admin.import.source"

local Numbers = {}

local id_key, name_key, next_key = id_rows.id_key, id_rows.name_key, id_rows.next_key

function Numbers:next_number(kind)
  local last = self:get("objects", next_key(kind))
  return last and last.id or 1
end

--- What is noted of a target that is switched off.
local function off_document(number, provider)
  local groups = json.object {}
  for group, priority in pairs(number.off.groups) do
    groups[group] = json.object { provider = provider, model = number.model, priority = priority }
  end
  return json.object { prices = json.object(number.off.prices), groups = groups }
end

function Numbers:add_number(number)
  local name = number.of.name
  if not name or (number.kind == "group" and not self.known_groups[name]) then return end
  if number.model then name = name .. "/" .. number.model end
  if self:get("objects", id_key(number.kind, name)) then return end
  local id = number.id
  local is_free = id >= 1 and id < 1e12 and not self:get("objects", name_key(number.kind, id))
  if not is_free then
    id = self:next_number(number.kind)
    self.renumbered = self.renumbered + 1
  end
  local document = json.object { id = id, label = number.label,
    token = number.token and number.token.name,
    off = number.off and off_document(number, number.of.name) }
  for field, value in pairs(number.more or {}) do document[field] = value end
  self:put("objects", id_key(number.kind, name), id_rows.with_name(name, document))
  self:put("objects", name_key(number.kind, id), json.object { name = name })
  if id >= self:next_number(number.kind) then
    self:put("objects", next_key(number.kind), json.object { id = id + 1 })
  end
  self.numbered = self.numbered + 1
end

--- The name of the provider that has an old number, of this import or an earlier one, or nil.
function Numbers:provider_of_number(id)
  local noted = type(id) == "number" and id >= 1 and id < 1e12
    and self:get("objects", name_key("provider", id))
  return noted and noted.name
end

function Numbers:tell_numbers()
  if self.numbered > 0 then
    self:carried_over("%s of what is above, for the old paths",
      source.count(self.numbered, "number"))
  end
  self.plan:leave_count(self.renumbered, "numbers",
    "something else has them already: these got others")
end

return Numbers
