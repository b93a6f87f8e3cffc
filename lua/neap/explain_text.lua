--- neap.explain_text: what neap.explain found, for people to read.

local trace = require "neap.trace"

local explain_text = {}

local VALUE_MAX = 60 -- bytes of a value: a long default is not what one looks for

--- The text as one line that a terminal shows as it is, whatever a client put into a name.
---@param text string
---@return string
function explain_text.printable(text)
  return (text:gsub("[%z\1-\31\127]", "?"))
end

local function cut(text)
  if #text <= VALUE_MAX then return text end
  return text:sub(1, VALUE_MAX):gsub("[\128-\255]*$", "") .. " …"
end

--- A value as one would write it in router.lua.
local function shown(value)
  if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")) end
  if type(value) ~= "table" then return tostring(value) end
  local parts, names = {}, {}
  for index, element in ipairs(value) do parts[index] = shown(element) end
  for name in pairs(value) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local left = name:find("^[%a_][%w_]*$") and name or ("[%q]"):format(name)
    parts[#parts + 1] = ("%s = %s"):format(left, shown(value[name]))
  end
  return #parts == 0 and "{}" or ("{ %s }"):format(table.concat(parts, ", "))
end

local KINDS = {
  group = "the group %s",
  ["provider/model"] = "one provider's model: a group of that target alone",
  model = "a model of the providers below: a group of all of them",
}

local function add_head(lines, report)
  local group = report.group
  local by = report.token and (", asked for with the token %s"):format(report.token) or ""
  lines[1] = ("%s is %s%s"):format(report.model, KINDS[group.kind]:format(group.name), by)
  lines[2] = ("  It has %d attempts and %s. When the client leaves: %s."):format(
    group.attempts, trace.time(group.seconds), group.on_disconnect)
end

local function setting_text(one)
  if one.is_default then return ("%s = %s (the default)"):format(one.name, shown(one.value)) end
  if one.default == nil then return ("%s = %s"):format(one.name, shown(one.value)) end
  return ("%s = %s (default: %s)"):format(one.name, shown(one.value), cut(shown(one.default)))
end

local function add_chain(lines, title, list)
  lines[#lines + 1] = ""
  lines[#lines + 1] = title
  if #list == 0 then lines[#lines + 1] = "  no policy: one attempt at the first target" end
  local width = 0
  for _, one in ipairs(list) do width = math.max(width, #one.policy) end
  for index, one in ipairs(list) do
    lines[#lines + 1] = ("  %d  %s%s  %s"):format(index, one.policy,
      (" "):rep(width - #one.policy), one.summary)
    for _, setting in ipairs(one.settings) do
      lines[#lines + 1] = "       " .. setting_text(setting)
    end
  end
end

local function key_text(key)
  local text = key.state == "ready" and key.id or ("%s (%s)"):format(key.id, key.state)
  return key.balance and ("%s with %s"):format(text, key.balance) or text
end

local function target_text(one)
  local facts = { ("priority %s"):format(one.priority) }
  facts[#facts + 1] = one.price and ("%s USD for a million tokens in and out"):format(one.price)
  if one.weight ~= 1 then facts[#facts + 1] = ("weight %s"):format(one.weight) end
  if one.in_flight > 0 then facts[#facts + 1] = ("%d in flight"):format(one.in_flight) end
  facts[#facts + 1] = one.state
  return table.concat(facts, ", ")
end

local function add_targets(lines, report)
  local list = report.targets
  lines[#lines + 1] = ""
  lines[#lines + 1] = "The targets in the host's order: those that are ready, by priority, price, "
    .. "in flight, as written"
  if #list == 0 then lines[#lines + 1] = "  none" end
  for index, one in ipairs(list) do
    local why = one.why and (" (behind: %s)"):format(one.why) or ""
    lines[#lines + 1] = ("  %d  %s: %s%s"):format(index, one.name, target_text(one), why)
    local keys = {}
    for place, key in ipairs(one.keys) do keys[place] = key_text(key) end
    lines[#lines + 1] = #keys == 0 and "       without a key"
      or (#keys == 1 and "       key: " or "       keys, in turn: ") .. table.concat(keys, ", ")
  end
  for _, one in ipairs(report.off) do
    lines[#lines + 1] = ("  -  %s is left out: %s"):format(one.name, one.why)
  end
end

local function answers_text(answers)
  if #answers == 1 then return "each attempt came back with " .. answers[1] end
  return ("the attempts came back with %s and so on"):format(table.concat(answers, ", "))
end

local function add_walk(lines, report)
  lines[#lines + 1] = ""
  lines[#lines + 1] = ("What would happen if %s"):format(answers_text(report.answers))
  for _, line in ipairs(report.trace) do lines[#lines + 1] = "  " .. line end
  local result = report.result
  local message = result.message and (": %s"):format(result.message) or ""
  lines[#lines + 1] = ("  The client gets %d%s%s"):format(result.status,
    result.seconds > 0 and " after " .. trace.time(result.seconds) or "", message)
end

--- The report as text.
---@param report table
---@return string
function explain_text.write(report)
  local lines = {}
  add_head(lines, report)
  add_chain(lines, "The chain, outermost first", report.chain)
  if report.fallback then add_chain(lines, "Its fallback", report.fallback) end
  add_targets(lines, report)
  add_walk(lines, report)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Nothing was sent. States are those of a neap that has just started."
  for index, line in ipairs(lines) do lines[index] = explain_text.printable(line) end
  return table.concat(lines, "\n") .. "\n"
end

return explain_text
