--- admin.api.csv: records as comma-separated values (RFC 4180), for spreadsheets.
---
--- What clients have sent stands in these cells: a text that a spreadsheet would take for a formula
--- gets a ' before it.

local host = require "neap.host"
local json = require "neap.json"

local csv = {}

local function of_usage(name)
  return { name, function(record)
    return record.usage ~= json.null and record.usage[name] or nil
  end }
end

-- The columns; one without a function is a member of the record.
local COLUMNS = {
  { "id" }, { "request_id" },
  { "start", function(record) return host.time_text((record.start_us + 0.5) / 1e6) end },
  { "token" }, { "group" }, { "endpoint" }, { "model" }, { "provider" }, { "target_model" },
  { "key" }, { "conversation" }, { "client" }, { "status" }, { "outcome" }, { "origin" },
  { "stream" }, { "attempts", function(record) return #record.attempts end },
  { "ms" }, { "first_byte_ms" }, { "first_event_ms" },
  { "estimate", function(record)
    if record.usage ~= json.null then return record.usage.estimate end
  end },
  of_usage "in_fresh", of_usage "cache_read", of_usage "cache_write_5m",
  of_usage "cache_write_1h", of_usage "in_audio", of_usage "out_total", of_usage "reasoning",
  { "cost_micros" }, { "bytes_in" }, { "bytes_out" }, { "generation" },
}

--- One cell.
---@param value any text, number, boolean, null or nil
---@return string
function csv.cell(value)
  if value == nil or value == json.null then return "" end
  if type(value) == "number" then
    return value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value)
  end
  if type(value) ~= "string" then return tostring(value) end
  if value:find("^[%s]*[=+%-@\t\r]") then value = "'" .. value end
  return '"' .. value:gsub('"', '""') .. '"'
end

--- The line with the names of the columns.
function csv.head()
  local names = {}
  for index, column in ipairs(COLUMNS) do names[index] = column[1] end
  return table.concat(names, ",") .. "\r\n"
end

--- Rows of records.
---@param lines string a record as JSON in each line
---@return string
function csv.rows(lines)
  local rows = {}
  for line in lines:gmatch("[^\n]+") do
    local record, cells = json.decode(line), {}
    for index, column in ipairs(COLUMNS) do
      local get = column[2]
      local value
      if get then value = get(record) else value = record[column[1]] end
      cells[index] = csv.cell(value)
    end
    rows[#rows + 1] = table.concat(cells, ",") .. "\r\n"
  end
  return table.concat(rows)
end

return csv
