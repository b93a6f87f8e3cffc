--- admin.api.query: what stands behind the ? of a URL, and in the body of a form.

local query = {}

--- "a%20b" as "a b"; nil where a % is not followed by two hex digits.
function query.decode(text)
  if not text:find("%", 1, true) then return text end
  local is_sound = true
  local result = text:gsub("%%(.?.?)", function(digits)
    if not digits:find("^%x%x$") then
      is_sound = false
      return ""
    end
    return string.char(tonumber(digits, 16))
  end)
  return is_sound and result or nil
end

--- Names and values of "a=1&b=2"; nil where it cannot be read, or a name is there twice.
---@param text string
---@return table<string, string>?, string? problem
function query.parse(text)
  local values = {}
  for part in text:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    name, value = query.decode((name:gsub("+", " "))), query.decode((value:gsub("+", " ")))
    if not name or not value then return nil, "it holds a % without two hex digits behind it" end
    if values[name] then return nil, ("%q is there twice"):format(name) end
    values[name] = value
  end
  return values
end

return query
