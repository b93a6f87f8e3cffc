--- neap.test.rows: what is stored, in tables of the test's own. It keeps to the rules of the host's
--- store_get, store_scan and store_write, but that nothing waits.
---
---     local rows = require("neap.test.rows").new()
---     for name, instead in pairs(rows.functions) do host[name] = instead end
---     rows.tables.config["setting/a"] = "{}"
---
--- `rows.on_write` (a function of the ops) is called before each write: what somebody else does in
--- between. `rows.failure` ("full", "failed") is what all calls say from now on.

local rows = {}

local function sorted(of, reverse)
  local keys = {}
  for key in pairs(of) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if reverse then return a > b end
    return a < b
  end)
  return keys
end

local function is_wanted(key, range)
  return key:sub(1, #(range.prefix or "")) == (range.prefix or "")
    and not (range.after and key <= range.after) and not (range.before and key >= range.before)
end

local function page(of, range)
  local list, count, limit = {}, 0, range.limit or 100
  for _, key in ipairs(sorted(of, range.reverse)) do
    if is_wanted(key, range) then
      count = count + 1
      list[2 * count - 1], list[2 * count] = key, of[key]
      if count == limit then return list, key end
    end
  end
  return list
end

local function find_conflict(tables, ops)
  for place, op in ipairs(ops) do
    if op[1] == "expect" and tables[op[2]][op[3]] ~= op[4] then return place end
  end
end

--- Empty tables, and the functions of neap.host that work on them.
---@return { tables: table<string, table<string, string>>, functions: table<string, function> }
function rows.new()
  local self = { tables = { config = {}, keys = {}, objects = {} }, functions = {} }

  function self.functions.store_get(of, key)
    if self.failure then return nil, self.failure, "on purpose" end
    return self.tables[of][key]
  end

  function self.functions.store_scan(of, range)
    if self.failure then return nil, self.failure, "on purpose" end
    return page(self.tables[of], range or {})
  end

  function self.functions.store_write(ops)
    if self.on_write then self.on_write(ops) end
    if self.failure then return nil, self.failure, "on purpose" end
    local place = find_conflict(self.tables, ops)
    if place then return nil, "conflict", place end
    for _, op in ipairs(ops) do
      if op[1] ~= "expect" then self.tables[op[2]][op[3]] = op[4] end
    end
    return true
  end

  return self
end

return rows
