--- From samples to figures: medians, paired ratios, bench.json and the printed tables.
local report = {}

local FIELDS = {
  "rps", "cpu_us", "p50_us", "p95_us", "p99_us", "rss_mb", "errors", "streams", "kib_per_stream",
  "push_us",
}
local ORDER = { "direct", "journal", "nginx", "nginx_log", "haproxy", "nginx_lua", "neap_off",
  "neap", "neap_large" }
local DRIFT_MAX = 0.25
local LISTS = { wanted = true, missing = true, notes = true } -- empty, they are [] and not {}

function report.median(values)
  if #values == 0 then return nil end
  local sorted = { unpack(values) }
  table.sort(sorted)
  local middle = math.floor(#sorted / 2)
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

--- Whether nginx, which does not change, seems to have changed between the rounds of a case.
---@param rounds table[] figures by target name, one table for each round
function report.is_noisy(rounds)
  local seen = {}
  for _, round in ipairs(rounds) do
    seen[#seen + 1] = round.nginx and round.nginx.cpu_us
  end
  if #seen < 2 then return false end
  return (math.max(unpack(seen)) - math.min(unpack(seen))) / report.median(seen) > DRIFT_MAX
end

--- One target's figures over all rounds of a case: medians, but the worst for what must be 0.
local function summary(rounds, target)
  local result
  for _, field in ipairs(FIELDS) do
    local values = {}
    for _, round in ipairs(rounds) do
      values[#values + 1] = round[target] and round[target][field]
    end
    if #values > 0 then
      result = result or {}
      result[field] = field == "errors" and math.max(unpack(values)) or report.median(values)
    end
  end
  return result
end

--- A wanted figure measured: the median over the rounds of what each round says by itself.
local function measure(wanted, samples)
  local left, right = wanted.left, wanted.right
  local values = {}
  for i, round in ipairs(samples[left[1]] or {}) do
    local a = (round[left[2]] or {})[left[3]]
    local other = right and (samples[right[1]] or {})[i]
    local b = other and (other[right[2]] or {})[right[3]]
    if a and wanted.by == "value" then
      values[#values + 1] = a * wanted.scale
    elseif a and b and (b > 0 or wanted.by == "difference") then
      values[#values + 1] = wanted.by == "ratio" and a / b or (a - b) * wanted.scale
    end
  end
  return report.median(values)
end

--- All results as one table, the one that bench.json holds.
---@param samples table<string, table[]> by case: rounds of figures by target
---@param about table what else the file says: missing targets, notes, noisy cases, info
function report.make(list, wanted_list, samples, about)
  local result = {
    cases = {}, wanted = {}, about = about.info, missing = about.missing, notes = about.notes,
  }
  for _, case in ipairs(list) do
    local figures = {}
    for _, target in ipairs(case.targets) do
      figures[target] = summary(samples[case.name], target)
    end
    figures.noisy = about.noisy[case.name]
    result.cases[case.name] = figures
  end
  for _, wanted in ipairs(wanted_list) do
    if samples[wanted.left[1]] and (not wanted.right or samples[wanted.right[1]]) then
      local left, case = wanted.left, wanted.left[1]
      local value = measure(wanted, samples)
      local reached
      -- What was measured on failed requests is no success, however quick they failed.
      if value then reached = value <= wanted.limit and result.cases[case][left[2]].errors == 0 end
      table.insert(result.wanted, {
        what = wanted.what, case = case, limit = wanted.limit, unit = wanted.unit,
        value = value, reached = reached, noisy = about.noisy[case],
      })
    end
  end
  return result
end

local function quote(text)
  local function escape(char) return ("\\u%04x"):format(char:byte()) end
  return '"' .. text:gsub('[%c"\\]', escape) .. '"'
end

--- Members in the order of their names, so that two results can be compared as text.
local function encode(value, indent, is_list)
  if type(value) == "number" then
    return value % 1 == 0 and ("%d"):format(value) or ("%.3f"):format(value)
  elseif type(value) ~= "table" then
    return type(value) == "string" and quote(value) or tostring(value)
  end
  local parts, deeper = {}, indent .. "  "
  if #value > 0 then
    for _, item in ipairs(value) do parts[#parts + 1] = deeper .. encode(item, deeper) end
    return "[\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "]"
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local member = encode(value[name], deeper, LISTS[name])
    parts[#parts + 1] = ('%s"%s": %s'):format(deeper, name, member)
  end
  if #parts == 0 then return is_list and "[]" or "{}" end
  return "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

function report.write(path, result)
  local file = assert(io.open(path, "w"))
  file:write(encode(result, ""), "\n")
  file:close()
end

local function cell(value, format)
  return value and format:format(value) or "-"
end

local ROW = "  %-10s %9s %10s %10s %10s %10s %8s %7s %8s %11s"

local function print_case(name, figures)
  print(("\n%s%s"):format(name, figures.noisy and "  (noisy)" or ""))
  print(ROW:format(
    "", "rps", "cpu us", "p50 us", "p95 us", "p99 us", "RSS MiB", "errors", "streams", "KiB/stream"
  ))
  for _, target in ipairs(ORDER) do
    local own = figures[target]
    if own then
      print(ROW:format(
        target, cell(own.rps, "%.0f"), cell(own.cpu_us, "%.1f"),
        cell(own.p50_us, "%.0f"), cell(own.p95_us, "%.0f"), cell(own.p99_us, "%.0f"),
        cell(own.rss_mb, "%.1f"),
        cell(own.errors, "%d"), cell(own.streams, "%d"), cell(own.kib_per_stream, "%.1f")
      ))
    end
  end
end

function report.print(list, result)
  for _, case in ipairs(list) do print_case(case.name, result.cases[case.name]) end
  local row_format = "%-46s %10s %10s  %s%s"
  print("\n" .. row_format:format("neap against", "measured", "at most", "reached", ""))
  for _, row in ipairs(result.wanted) do
    local verdict = row.reached == nil and "not measured" or row.reached and "yes" or "NO"
    print(row_format:format(
      row.what, cell(row.value, "%.2f"), ("%g %s"):format(row.limit, row.unit), verdict,
      row.noisy and " (noisy)" or ""
    ))
  end
  for _, note in ipairs(result.notes) do print("note: " .. note) end
end

return report
