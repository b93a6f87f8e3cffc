--- admin.import.plan: what an import would carry over, as plain tables that know nothing of where
--- it comes from and nothing of what is stored already.
---
--- The modules of the systems fill it; admin.import.apply makes rows of it. Providers are referred
--- to by their tables, since their names are found last.

local plan = {}

local Plan = {}
Plan.__index = Plan

---@class admin.import.provider
---@field wish string what its name is made of
---@field url string
---@field models table<string, table> name → prices
---@field keys { secret: string, balance: number?, created: number?, off: boolean?, label: string?,
---note: string? }[]
---@field is_pool boolean? one of this URL that is stored is the same one, whatever keys it has
---@field fields table? more of a provider's fields: headers, proxy, timeouts, keyless, note

---@class admin.import.group
---@field name string
---@field targets { provider: admin.import.provider, model: string, priority: integer?,
---weight: number? }[]
---@field fields table? more of a group's fields: policies, limits, timeouts, note

---@class admin.import.token
---@field wish string
---@field secret string
---@field groups string[]? names in the plan
---@field providers admin.import.provider[]?
---@field fields table? expires, off, rights, note, label, created

---@class admin.import.number a number of the old system's, by which the paths of its own find it
---@field kind "provider"|"target"|"group"|"token"|"keyword"
---@field id integer
---@field of table the provider, group, token or keyword
---@field model string? of a target
---@field label string?
---@field token admin.import.token? of a provider, the one that stands for its key
---@field more table? more that is noted with it
---@field off table? a target that is switched off: { prices, groups = { [name] = priority } }

function plan.new()
  return setmetatable({ providers = {}, groups = {}, tokens = {}, keywords = {}, settings = {},
    numbers = {}, logs = {}, left = {}, hints = {} }, Plan)
end

local function add(list, one)
  list[#list + 1] = one
  return one
end

---@param one admin.import.provider
---@return admin.import.provider
function Plan:provider(one)
  one.models, one.keys, one.fields = one.models or {}, one.keys or {}, one.fields or {}
  return add(self.providers, one)
end

--- The group of a name, the same for all who ask for it.
---@return admin.import.group
function Plan:group(name)
  for _, group in ipairs(self.groups) do
    if group.name == name then return group end
  end
  return add(self.groups, { name = name, targets = {}, fields = {} })
end

--- Puts a target into a group, unless it is in it.
---@return boolean is_new
function Plan:target(group, target)
  for _, one in ipairs(group.targets) do
    if one.provider == target.provider and one.model == target.model then return false end
  end
  add(group.targets, target)
  return true
end

---@param one admin.import.token
---@return admin.import.token
function Plan:token(one)
  one.fields = one.fields or {}
  return add(self.tokens, one)
end

--- text, note, off
function Plan:keyword(one) return add(self.keywords, one) end

function Plan:set(name, value, from) self.settings[name] = { value = value, from = from } end

---@param one admin.import.number
function Plan:number(one) return add(self.numbers, one) end

--- A log whose rows become records: system, name (of the table), unit ("row"), rows(from) ->
--- iterator over rows with `row` greater than that, count_to(row) -> how many up to there,
--- map(row, done) -> record or nil (admin.import.logs).
function Plan:log(one) return add(self.logs, one) end

--- Says what is not carried over, and why.
---@param what string such as "call_logs: 12 rows"
---@param why string
function Plan:leave(what, why) add(self.left, { what = what, why = why }) end

--- The same where there is any: leave_count(3, "row", "of call_logs", …).
function Plan:leave_count(count, what, why)
  if count > 0 then self:leave(("%s: %d"):format(what, count), why) end
end

--- Says which variables of a file are none of those that are known: names alone.
---@param variables table<string, string>
---@param ... table<string, any> sets of names that are known
function Plan:leave_others(variables, ...)
  local names = {}
  for name in pairs(variables) do
    local is_known = false
    for _, known in ipairs { ... } do is_known = is_known or known[name] ~= nil end
    if not is_known then names[#names + 1] = name end
  end
  table.sort(names)
  if not names[1] then return end
  self:leave(table.concat(names, ", "), "neap has nothing that is set like this")
end

--- Says what somebody should do next.
function Plan:hint(text)
  for _, hint in ipairs(self.hints) do
    if hint == text then return end
  end
  add(self.hints, text)
end

return plan
