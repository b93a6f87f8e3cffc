--- neap.model_import: what becomes of a provider's list of models: a preview, and the rows that
--- carry it out.
---
--- Asks nobody and writes nothing. Importing only adds and, where that is asked for, replaces: what
--- the filter hides, and what the provider lists no more, stays as it is.

local json = require "neap.json"
local model_filter = require "neap.model_filter"
local price_table = require "neap.price_table"

local model_import = {}

local NAME_MAX = 200   -- bytes
local RENAMES_MAX = 99 -- tries at another name
local PAUSE_EVERY = 200 -- models

---@class neap.import_rules
---@field filter neap.model_filter?
---@field alias { prefix: string?, template: string? }? a group of its own for each model, under
---this name; a template knows {id}, {last} (behind the last "/"), {flat} ("/" as "."), {provider}
---@field on_conflict "skip"|"rename"|"replace"|nil where there is such a group, or the model has
---other prices; skip
---@field prices boolean? from the bundled table where it knows any; true
---@field group { name: string, priority: integer?, weight: number? }? to put all of them into

---@class neap.import_source
---@field provider { name: string, row: table?, version: number?, models: table<string, table> }
---row: as it is stored, nil for one of router.lua, to which nothing can be added
---@field groups table<string, { row: table?, version: number? }> all groups; row: as above
---@field listed neap.listed_model[]

---@class neap.import_item
---@field model string
---@field name string? of its own group, where there is an alias
---@field action "add"|"change"|"keep"|"skip"
---@field why string?
---@field prices table? that will stand there

-- ------------------------------------------------------------------------------------
-- Names

local function name_by(alias, model, provider)
  if alias.prefix then return alias.prefix .. model end
  local values = { id = model, last = model:match("([^/]+)/*$") or model, provider = provider,
    flat = (model:gsub("/", ".")) }
  return (alias.template:gsub("{(%w+)}", values))
end

local function template_problem(alias)
  if alias.prefix and alias.template then return "an alias has a prefix or a template, not both" end
  if alias.prefix then return nil end
  if type(alias.template) ~= "string" then return "an alias needs a prefix or a template" end
  for name in alias.template:gmatch("{(.-)}") do
    if name ~= "id" and name ~= "last" and name ~= "flat" and name ~= "provider" then
      return ("the template has {%s}: it knows {id}, {last}, {flat} and {provider}"):format(name)
    end
  end
  if not alias.template:find("{[ilf]%w+}") then return "the template names every model alike" end
end

local function name_problem(name)
  if name == "" or #name > NAME_MAX then return "its name would be empty or too long" end
  if name:find("%c") or name:find("^ ") or name:find(" $") then
    return "its name would hold what no name may"
  end
end

--- The name with a number behind it that nothing has yet, or nil.
local function free_name(plan, name)
  for number = 2, RENAMES_MAX do
    local other = ("%s-%d"):format(name, number)
    if not plan.groups[other] and not plan.taken[other] then return other end
  end
end

-- ------------------------------------------------------------------------------------
-- One model

--- The provider's models among a group's targets, as a set.
local function models_in(group, provider)
  local models = {}
  for _, target in ipairs(group and group.row.targets or {}) do
    if (target.provider or target[1]) == provider then
      models[target.model or target[2]] = true
    end
  end
  return models
end

--- Whether the model is the group's only target.
local function leads_to(group, provider, model)
  local targets = group.row.targets or {}
  return #targets == 1 and models_in(group, provider)[model] == true
end

--- Decides on the name that the model gets. Returns false and why where it gets none.
local function settle_name(plan, item)
  local name = name_by(plan.rules.alias, item.model, plan.provider.name)
  local problem = name_problem(name)
  if problem then return false, problem end
  local known, rule = plan.groups[name], plan.rules.on_conflict
  if known and known.row and leads_to(known, plan.provider.name, item.model) then
    item.name, item.is_named = name, true
  elseif known or plan.taken[name] then
    local other = plan.taken[name]
    problem = other and ("%s has the name %s in this import"):format(other, name)
      or ("there is a group %s"):format(name)
    if rule == "rename" then
      item.name = free_name(plan, name)
      if not item.name then return false, problem end
      item.why = problem
    elseif rule == "replace" and not other and known.row then
      item.name, item.why, item.replaces = name, problem, true
    else
      local is_fixed = known and not known.row
      return false, is_fixed and problem .. " in router.lua" or problem
    end
  else
    item.name = name
  end
  plan.taken[item.name] = item.model
  return true
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for name, value in pairs(a) do
    if not is_same(value, b[name]) then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

--- Decides what happens to the model among those of the provider.
local function settle_model(plan, item)
  local known = plan.provider.models[item.model]
  local prices = plan.rules.prices ~= false and price_table.find(item.model) or nil
  if not plan.provider.row then return end
  if not known then
    item.is_new, item.prices = true, prices
    return
  end
  item.prices = next(known) and known or nil
  local has_news = prices and not is_same(known, prices)
  -- A model without prices gets them; ones that somebody has set are replaced if asked for.
  if has_news and (not next(known) or plan.rules.on_conflict == "replace") then
    item.prices, item.reprices = prices, true
  end
end

--- Whether the model has to be put into the group of all.
local function joins(plan, item)
  return plan.rules.group ~= nil and not plan.joined[item.model]
end

local function settle(plan, item)
  local is_wanted, why = model_filter.wants(item.model, plan.rules.filter)
  if is_wanted and plan.rules.alias then is_wanted, why = settle_name(plan, item) end
  if not is_wanted then
    item.action, item.why = "skip", why
    return
  end
  settle_model(plan, item)
  if item.reprices or item.replaces then
    item.action = "change"
  elseif item.is_new or (item.name and not item.is_named) or joins(plan, item) then
    item.action = "add"
  else
    item.action, item.why = "keep", "it is there already"
  end
end

-- ------------------------------------------------------------------------------------
-- All of them

local CONFLICTS = { skip = true, rename = true, replace = true }

local function problem_of(source, rules)
  if not CONFLICTS[rules.on_conflict or "skip"] then
    return "on_conflict is skip, rename or replace"
  end
  local problem = rules.alias and template_problem(rules.alias)
  if problem then return problem end
  local group = rules.group and source.groups[rules.group.name]
  if group and not group.row then
    return ("the group %s stands in router.lua: nothing can be added to it")
      :format(rules.group.name)
  end
  if rules.group and name_problem(rules.group.name) then return "the group's name is none" end
  if not source.provider.row and not rules.alias and not rules.group then
    return ("the provider %s stands in router.lua: its models are written there")
      :format(source.provider.name)
  end
end

--- Models that the provider lists no more although nothing hides them: they stay.
local function absent(source, rules)
  local listed, names = {}, {}
  for _, model in ipairs(source.listed) do listed[model.id] = true end
  for model in pairs(source.provider.models) do
    if not listed[model] and model_filter.wants(model, rules.filter) then
      names[#names + 1] = model
    end
  end
  table.sort(names)
  return names
end

---@class neap.import_plan
---@field items neap.import_item[] in the provider's order
---@field counts { add: integer, change: integer, keep: integer, skip: integer }
---@field absent string[] models that the provider lists no more; they stay
---@field prices_as_of string of the bundled table

--- What an import would do. nil and a message where it can do nothing.
---@param source neap.import_source
---@param rules neap.import_rules
---@param pause fun()? called now and then, so that a long list holds up nobody
---@return neap.import_plan?, string? problem
function model_import.preview(source, rules, pause)
  local problem = problem_of(source, rules)
  if problem then return nil, problem end
  local plan = {
    provider = source.provider, groups = source.groups, rules = rules, taken = {}, items = {},
    counts = { add = 0, change = 0, keep = 0, skip = 0 }, absent = absent(source, rules),
    prices_as_of = price_table.AS_OF,
  }
  if rules.group then
    plan.taken[rules.group.name] = "the group of all"
    plan.joined = models_in(source.groups[rules.group.name], source.provider.name)
  end
  for index, model in ipairs(source.listed) do
    local item = { model = model.id }
    settle(plan, item)
    plan.items[index] = item
    plan.counts[item.action] = plan.counts[item.action] + 1
    if pause and index % PAUSE_EVERY == 0 then pause() end
  end
  return plan
end

-- ------------------------------------------------------------------------------------
-- The rows

local function copy(row)
  local result = json.object {}
  for name, value in pairs(row) do result[name] = value end
  return result
end

local function provider_row(plan, items)
  local row, is_changed = plan.provider.row and copy(plan.provider.row), false
  if not row then return nil end
  row.models = copy(plan.provider.models)
  for _, item in ipairs(items) do
    if item.is_new or item.reprices then
      row.models[item.model], is_changed = json.object(item.prices or {}), true
    end
  end
  return is_changed and row or nil
end

local function target_of(plan, item, more)
  return json.object { provider = plan.provider.name, model = item.model,
    priority = more and more.priority, weight = more and more.weight }
end

--- The group of all with those of the models that it does not have, or nil where it has them all.
local function group_row(plan, items)
  local given = plan.rules.group
  local known = plan.groups[given.name]
  local row, is_changed = copy(known and known.row or {}), false
  row.targets = json.array {}
  for index, target in ipairs(known and known.row.targets or {}) do row.targets[index] = target end
  for _, item in ipairs(items) do
    if joins(plan, item) then
      row.targets[#row.targets + 1], is_changed = target_of(plan, item, given), true
    end
  end
  return is_changed and row or nil
end

---@class neap.import_write
---@field key string "provider/NAME" or "group/NAME" of the stored configuration
---@field version number? that the row must have; nil: there must be none
---@field value table

--- The rows that carry out a preview; each as a whole. only: models of the preview to which it is
--- confined.
---@param plan neap.import_plan
---@param only string[]?
---@return neap.import_write[]
function model_import.apply(plan, only)
  local wanted, items, writes = {}, {}, {}
  for _, model in ipairs(only or {}) do wanted[model] = true end
  for _, item in ipairs(plan.items) do
    if item.action ~= "skip" and (not only or wanted[item.model]) then items[#items + 1] = item end
  end
  local function add(word, name, known, value)
    if not value then return end
    writes[#writes + 1] = { key = word .. "/" .. name, version = known and known.version,
      value = value }
  end
  add("provider", plan.provider.name, plan.provider, provider_row(plan, items))
  for _, item in ipairs(items) do
    if item.name and not item.is_named then
      local known = plan.groups[item.name]
      local row = copy(known and known.row or {})
      row.targets = json.array { target_of(plan, item) }
      add("group", item.name, known, row)
    end
  end
  if plan.rules.group and items[1] then
    local name = plan.rules.group.name
    add("group", name, plan.groups[name], group_row(plan, items))
  end
  return writes
end

return model_import
