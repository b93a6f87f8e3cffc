--- admin.test.old_files: files of other routers for tests, without a disk: databases as tables of
--- rows, texts as they are, and JSON in the place of YAML.
---
---     local given = old_files.given { ["a.db"] = { groups = { { id = 1, name = "g" } } },
---       [".env"] = "NAME=value" }
---     local file = source.open("a.db", given)

local host = require "neap.host"

local old_files = {}

local NOT_SQLITE = "it is no SQLite database"

local read_file = host.read

--- The columns of a table are the members that any of its rows has, and `columns`.
local function columns_of(rows)
  local seen, list = {}, {}
  local function add(name)
    if not seen[name] and type(name) == "string" and name ~= "columns" then
      seen[name] = true
      list[#list + 1] = { name = name }
    end
  end
  for _, row in ipairs(rows) do
    for name in pairs(row) do add(name) end
  end
  for _, name in ipairs(rows.columns or {}) do add(name) end
  return list
end

local function copy(row)
  local result = {}
  for name, value in pairs(row) do result[name] = value end
  return result
end

local function sorted(rows, order)
  local list = {}
  for index, row in ipairs(rows) do list[index] = copy(row) end
  local place = {}
  for index, row in ipairs(list) do place[row] = index end
  table.sort(list, function(a, b)
    local x, y = a[order], b[order]
    if x == y or type(x) ~= type(y) or x == nil then return place[a] < place[b] end
    return x < y
  end)
  return list
end

--- How often each model stands in the log, as admin.import.siliconflow asks.
local function models_of(rows)
  local counts, list = {}, {}
  for _, row in ipairs(rows) do counts[row.model] = (counts[row.model] or 0) + 1 end
  for model, count in pairs(counts) do list[#list + 1] = { model = model, n = count } end
  table.sort(list, function(a, b) return a.model < b.model end)
  return list
end

local Handle = {}
Handle.__index = Handle

--- Answers the few queries that there are.
function Handle:rows(sql)
  local list = {}
  if sql:find("sqlite_master", 1, true) then
    for table_name in pairs(self.tables) do list[#list + 1] = { name = table_name } end
    return list
  end
  local name = sql:match("^SELECT name FROM pragma_table_info%('([%w_]+)'%)$")
  if name then return columns_of(self.tables[name]) end
  name = sql:match('^SELECT count%(%*%) AS n FROM "([%w_]+)"$')
  if name then return { { n = #self.tables[name] } } end
  local counted = self:count(sql)
  if counted then return counted end
  if sql:find("^SELECT model, count") then return models_of(self.tables.logs) end
  local order
  name, order = sql:match('^SELECT .* FROM "([%w_]+)" ORDER BY "([%w_]+)", rowid$')
  if name then return sorted(self.tables[name], order) end
  return nil, "a query that nobody knows: " .. sql
end

--- The rounds of NexusAI Hub's statistics, as admin.import.nexusai asks for them.
local function rounds_of(rows)
  local list, before, open = {}, {}, {}
  for _, row in ipairs(rows) do
    local talk = row.conversation_id
    local prompt = open[talk]
    if prompt then
      prompt.next_is_prompt, prompt.next_tokens, prompt.next_timestamp = row.is_prompt,
        row.tokens_count, row.timestamp
    end
    open[talk] = nil
    if row.is_prompt == 1 or before[talk] ~= 1 then
      local one = copy(row)
      one.row = row.id
      list[#list + 1] = one
      if row.is_prompt == 1 then open[talk] = one end
    end
    before[talk] = row.is_prompt
  end
  return list
end

local PAGE = 2 -- rows, so that few of them are several pages

local Pages = {}
Pages.__index = Pages

function Pages:page()
  local page = {}
  while #page < PAGE and self.at < #self.list do
    self.at = self.at + 1
    page[#page + 1] = self.list[self.at]
  end
  return page, self.at == #self.list
end

local function keep(rows, passes)
  local list = {}
  for index, row in ipairs(rows) do
    local one = copy(row)
    one.row = one.row or row.id or index
    if passes(one) then list[#list + 1] = one end
  end
  return list
end

--- Rows for which "rowid > 3 AND type = 2" holds.
local function chosen(rows, condition)
  local order, number, type_order, wanted = condition:match(
    "^rowid ([<>]=?) (%d+) ?A?N?D? ?t?y?p?e? ?([=<>]*) ?(%d*)$")
  if not order then
    order, number, type_order, wanted = ">", 0, condition:match("^type ([=<>]+) (%d+)$")
  end
  number, wanted = tonumber(number), tonumber(wanted)
  return keep(rows, function(row)
    local is_type = not wanted or (type_order == "=") == (row.type == wanted)
    if order == ">" then return is_type and row.row > number end
    return is_type and row.row <= number
  end)
end

--- As rows(), a page at a time.
function Handle:open_rows(sql)
  local list
  local name, condition = sql:match('^SELECT .* FROM "([%w_]+)" WHERE (.*) ORDER BY rowid$')
  if name then
    list = chosen(self.tables[name], condition)
  elseif sql:find("lead(is_prompt)", 1, true) then
    local from = tonumber(sql:match('"row" > (%d+)'))
    list = keep(rounds_of(self.tables.chat_stats), function(row) return row.row > from end)
  else
    return nil, "a query that nobody knows: " .. sql
  end
  return setmetatable({ list = list, at = 0 }, Pages)
end

function Handle:count(sql)
  local name, condition = sql:match('^SELECT count%(%*%) AS n FROM "([%w_]+)" WHERE (.*)$')
  if name then return { { n = #chosen(self.tables[name], condition) } } end
  local last = tonumber(sql:match('^SELECT count%(%*%) AS n FROM %(SELECT.*"row" <= (%d+)'))
  return last and { { n = #keep(rounds_of(self.tables.chat_stats), function(row)
    return row.row <= last
  end) } }
end

--- What the host gives to admin.import.init for these files, by their paths: tables are databases.
---@param files table<string, table|string>
---@param more table? more of what is given
---@return table
function old_files.given(files, more)
  host.read = function(path)
    if type(files[path]) == "string" then return files[path] end
    return read_file(path)
  end
  local given = {
    open_database = function(path)
      if type(files[path]) ~= "table" then return nil, NOT_SQLITE end
      return setmetatable({ tables = files[path] }, Handle)
    end,
    yaml = function(text) return text end,
    objects = function() return {} end,
  }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

return old_files
