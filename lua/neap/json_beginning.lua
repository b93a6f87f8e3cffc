--- neap.json_beginning: a document out of the beginning of one, for answers that are longer than
--- what is held of them.
---
--- It knows only how strings end and brackets nest; what is no JSON gives something that is none
--- either.

local MARKS_MAX = 20000 -- brackets, commas and strings that are looked at
local DEPTH_MAX = 64

-- A text's methods have the limits of policies, which are too low for a quarter of a megabyte:
-- these are the plain functions. Each pattern that sees all of it looks at one byte only.
local find, match, gsub = string.find, string.match, string.gsub

--- Where a string ends whose inside begins at `from`: the place of its quote, or nil and the last
--- place up to which it is whole.
local function string_end(text, from)
  while true do
    local at = find(text, "[\"\\]", from)
    if not at then return nil, #text end
    if text:sub(at, at) == "\"" then return at end
    from = at + (text:sub(at + 1, at + 1) == "u" and 6 or 2)
    if from > #text + 1 then return nil, at - 1 end
  end
end

--- A character, or an escaped half of one, that may want its rest at the end of a text.
local function without_half(text)
  local ends = text:sub(-6)
  local rest = gsub(gsub(ends, "[\192-\255][\128-\191]*$", ""), "\\u[dD][89abAB]%x%x$", "")
  return text:sub(1, #text - #ends) .. rest
end

local function is_value(text, quote, closers)
  return closers:sub(1, 1) == "]" or find(text:sub(math.max(1, quote - 16), quote - 1), ":%s*$")
end

--- Closes what is open at the end of a text; a string that is a value is kept as far as it goes,
--- any other member that is incomplete is left out. Of a text with more than MARKS_MAX marks only
--- what stands before them counts.
---@param text string the beginning of a JSON document
---@return string
return function(text)
  local closers, whole, whole_closers = "", 0, "" -- whole: up to where members are complete
  local from = 1
  for _ = 1, MARKS_MAX do
    local at, mark = match(text, "()([%[%]{},\"])", from)
    if not at or #closers > DEPTH_MAX then break end
    from = at + 1
    if mark == "\"" then
      local ends, last = string_end(text, from)
      if not ends then
        if not is_value(text, at, closers) then break end
        return without_half(text:sub(1, last)) .. "\"" .. closers
      end
      from = ends + 1
    elseif mark == "," then
      whole, whole_closers = at - 1, closers
    else
      local is_open = mark == "{" or mark == "["
      closers = is_open and (mark == "{" and "}" or "]") .. closers or closers:sub(2)
      whole, whole_closers = at, closers
    end
  end
  return text:sub(1, whole) .. whole_closers
end
