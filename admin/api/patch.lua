--- admin.api.patch: JSON merge patch (RFC 7396).

local json = require "neap.json"

local patch = {}

--- The document with the patch in it: members of the patch replace, null takes away, objects are
--- merged in turn, lists are replaced whole. Neither of the two is changed.
function patch.merge(document, given)
  if not json.is_object(given) then return given end
  local result = json.object {}
  if json.is_object(document) then
    for name, value in pairs(document) do result[name] = value end
  end
  for name, value in pairs(given) do
    if value == json.null then
      result[name] = nil
    else
      result[name] = patch.merge(result[name], value)
    end
  end
  return result
end

return patch
