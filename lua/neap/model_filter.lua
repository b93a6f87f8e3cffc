--- neap.model_filter: which of a provider's models somebody wants: by words and by patterns, small
--- and capital letters alike.

local host = require "neap.host"

local model_filter = {}

--- Whether the whole text fits: `*` stands for anything, `?` for one character. Linear in both but
--- for one star at a time, so that no pattern can be slow.
---@param text string
---@param pattern string
---@return boolean
function model_filter.fits(text, pattern)
  local at, place, star, resumed = 1, 1, nil, nil
  while at <= #text do
    local sign = pattern:sub(place, place)
    if sign == "*" then
      star, resumed, place = place, at, place + 1
    elseif sign == "?" or (sign ~= "" and sign == text:sub(at, at)) then
      at, place = at + 1, place + 1
    elseif star then
      -- The last star takes one character more.
      resumed = resumed + 1
      at, place = resumed, star + 1
    else
      return false
    end
  end
  return pattern:find("^%**$", place) ~= nil
end

local function has_word(id, words)
  for _, word in ipairs(words or {}) do
    if word ~= "" and id:find(host.fold(word), 1, true) then return true end
  end
  return false
end

local function fits_one(id, patterns)
  for _, pattern in ipairs(patterns or {}) do
    if model_filter.fits(id, host.fold(pattern)) then return true end
  end
  return false
end

local function is_given(list) return list ~= nil and #list > 0 end

---@class neap.model_filter each list may be left out
---@field include string[]? words of which one stands in the model's name
---@field include_patterns string[]? or patterns of which one fits the whole name
---@field exclude string[]?
---@field exclude_patterns string[]?

--- Whether a model is wanted; where it is not, why. What is excluded is not wanted, whatever else
--- includes it.
---@param id string
---@param filter neap.model_filter?
---@return boolean is_wanted, string? why
function model_filter.wants(id, filter)
  filter = filter or {}
  local folded = host.fold(id)
  if has_word(folded, filter.exclude) or fits_one(folded, filter.exclude_patterns) then
    return false, "the filter excludes it"
  end
  local is_limited = is_given(filter.include) or is_given(filter.include_patterns)
  if is_limited and not has_word(folded, filter.include)
    and not fits_one(folded, filter.include_patterns) then
    return false, "the filter does not include it"
  end
  return true
end

return model_filter
