--- admin.import.init: `neap import`: from files of other routers to rows of neap's and a report.
---
--- The host calls run in a state of its own and gives it what reads databases and YAML
--- (host/script/import_run.c); it writes the ops. The report shows no secret.

local apply = require "admin.import.apply"
local logs = require "admin.import.logs"
local new_plan = require("admin.import.plan").new
local one_api = require "admin.import.one_api"
local record_values = require "neap.record_values"
local router = require "neap.router"
local source = require "admin.import.source"
local usage = require "neap.usage"

local import = {}

local SYSTEMS = {
  require "admin.import.niceapi", require "admin.import.nexusai",
  require "admin.import.gemini_balance", require "admin.import.siliconflow", one_api[1], one_api[2],
  require "admin.import.litellm",
}

local FAILED, USAGE, CONFIG = 1, 2, 78

--- What goes wrong, as a status and words.
local function stop(status, text) error({ status = status, text = text }, 0) end

local function find_system(name)
  local names = {}
  for index, system in ipairs(SYSTEMS) do
    if system.name == name then return system end
    names[index] = system.name
  end
  stop(USAGE, ("there is no system \"%s\": %s"):format(name, table.concat(names, ", ")))
end

local WHAT = { database = "a database with other tables", env = "variables of something else",
  yaml = "a text of something else" }

--- The system whose file it is; nil for variables that belong to others' files.
local function system_of(file, wanted)
  if wanted then
    if wanted.is_own(file) then return wanted end
    if file.kind == "env" then return wanted.reads_variables and wanted or nil end
    source.fail("%s is not %s's: it is %s", file.path, wanted.title, WHAT[file.kind])
  end
  for _, system in ipairs(SYSTEMS) do
    if system.is_own(file) then return system end
  end
  if file.kind == "env" then return nil end
  source.fail("%s is of no system that neap knows: it is %s", file.path, WHAT[file.kind])
end

--- All files, each with its system. Variables that are nobody's are for the others.
local function open_all(given)
  local wanted, files, variables = given.from and find_system(given.from), {}, {}
  for index, path in ipairs(given.files) do
    local file = source.open(path, given)
    file.system = system_of(file, wanted)
    files[index] = file
    for name, value in pairs(file.variables or {}) do variables[name] = value end
  end
  return files, variables
end

local function fill(files, variables)
  local plan, is_any = new_plan(), false
  for _, file in ipairs(files) do
    if file.system then
      is_any = true
      file.system.fill(file, plan, variables)
    end
  end
  if not is_any then
    source.fail("%s: no system that neap knows has these variables: name it with --from",
      files[1].path)
  end
  return plan
end

-- ------------------------------------------------------------------------------------
-- The report

local function add_list(lines, title, list, none)
  if not list[1] and not none then return end
  lines[#lines + 1] = title
  for _, line in ipairs(list) do lines[#lines + 1] = "  " .. line end
  if not list[1] then lines[#lines + 1] = "  " .. none end
end

local function report(files, plan, done, is_dry)
  local lines, read, left = {}, {}, {}
  for index, file in ipairs(files) do
    read[index] = ("%s: %s"):format(file.path, file.system and file.system.title or "variables")
  end
  for index, one in ipairs(plan.left) do left[index] = ("%s: %s"):format(one.what, one.why) end
  table.sort(left)
  add_list(lines, "read:", read)
  add_list(lines, is_dry and "would be carried over:" or "carried over:", done.carried, "nothing")
  add_list(lines, "there already:", done.there)
  add_list(lines, "not carried over:", left)
  add_list(lines, "to know:", plan.hints)
  if is_dry then lines[#lines + 1] = "nothing was changed: this was a dry run" end
  return table.concat(lines, "\n") .. "\n"
end

-- ------------------------------------------------------------------------------------

local kept -- between the two steps

local function run(given)
  router.keep()
  local settings, problem = router.open(given.config)
  if not settings then stop(CONFIG, problem) end
  local files, variables = open_all(given)
  local plan = fill(files, variables)
  if given.is_without_logs then logs.leave(plan) end
  local done = apply.run(plan, given)
  kept = { files = files, plan = plan, done = done, is_dry = given.is_dry }
  return not given.is_dry and done.ops or nil
end

--- No old log says how many calls of a provider's tools there were.
local function usage_of(counts)
  counts.requests = 0
  return usage.new(counts)
end

local function finish(journal)
  function journal.add(record, attempts, mark)
    record.attempts = attempts
    record.usage = record.usage and usage_of(record.usage)
    journal.mark(mark)
    return record_values.tell_past(record, journal)
  end
  local files, plan, done = kept.files, kept.plan, kept.done
  logs.carry(plan, done, journal)
  return report(files, plan, done, kept.is_dry)
end

--- 0 and what a function returns, or a status and words.
local function attempt(step, given)
  local is_done, result = pcall(step, given)
  if is_done then return 0, result end
  if type(result) == "table" and result.status then return result.status, result.text end
  local problem = source.problem(result)
  if problem then return FAILED, problem end
  error(result, 0)
end

--- given: config (the path of router.lua), files, from (a system's name or nil), is_dry,
--- is_without_logs, and what the host can: open_database(path), yaml(text), objects(prefix).
---@return integer status, string? problem, table[]? ops as host.store_write takes them
function import.run(given)
  local status, result = attempt(run, given)
  if status ~= 0 then return status, result end
  return 0, nil, result
end

--- Once the ops of import.run are written: carries the logs over, and tells what was done.
---@param journal table what admin.import.logs needs of the host
---@return integer status, string report_or_problem
function import.finish(journal) return attempt(finish, journal) end

return import
