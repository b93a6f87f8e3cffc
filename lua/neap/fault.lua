--- neap.fault: what policies raise: caught at one boundary, logged and counted. A policy that does
--- it too often is set aside, in all workers, until the next reload.
---
--- The counts lie in the memory that all workers share, each with the generation that it is of, so
--- that a reload begins anew. A worker looks them up only after a failure anywhere: until then it
--- reads one figure of the process for each request.

local host = require "neap.host"
local steps = require "neap.steps"

local fault = {}

local LOAD_CPU_MS = 2000 -- of each file of somebody's, when it is loaded
local FAULTS_MAX = 5 -- of a policy, after which its chains are set aside

--- Runs the function with up to three arguments: what it returns, or nil and the text of what it
--- raised. The boundary at which a policy's overrun is caught (host.set_boundary).
function fault.catch(run, a, b, c)
  local ok, got = pcall(run, a, b, c)
  local was_overrun = host.relax()
  if ok and not was_overrun then return got end
  -- The text of another value could come from its __tostring, which is the policy's.
  return nil, type(got) == "string" and got or ("an error that is a %s"):format(type(got))
end
host.set_boundary(fault.catch)

--- As pcall, for somebody's file that runs at load, where there is no limit of CPU time: a loop
--- without an end there would end all reloads.
function fault.at_load(run)
  if not host.limit_cpu(LOAD_CPU_MS) then return pcall(run) end
  local got, problem = fault.catch(run)
  host.limit_cpu(0)
  if problem then return false, problem end
  return true, got
end

-- ------------------------------------------------------------------------------------
-- Counts

-- What a policy shares itself has "group" or "provider" in this place.
local function key_of(name) return name .. "\0faults" end

--- How often the policy has failed in the generation; the entry as it stands and its generation.
local function look(name, generation)
  local entry = host.shared_get(key_of(name))
  local of, count = (entry or "0 0"):match("^(%d+) (%d+)$")
  of = tonumber(of)
  return of == generation and tonumber(count) or 0, entry, of
end

--- Adds a failure and returns the sum; 0 where it does not count: a newer generation has begun
--- to, or the shared memory is full.
local function add(name, generation)
  while true do
    local count, entry, of = look(name, generation)
    if of > generation then return 0 end
    local did = host.shared_swap(key_of(name), entry, ("%d %d"):format(generation, count + 1))
    if did == nil then return 0 end
    if did then return count + 1 end
  end
end

local function find_instance(of_chain, name)
  for _, instance in ipairs(of_chain and of_chain.instances or {}) do
    if instance.name == name then return instance end
  end
end

--- A problem with the policy's own place. What is raised in a tail call, such as
--- `return request:reply(5)`, has that of whoever called the policy; a table or a text that was
--- raised with level 0 has none; and what the library itself raised has the library's, which is
--- kept. run's place stands for all of them.
local function with_place(group, layer, problem)
  if problem:find("^policies/[^%s:]+:%d+: ") or problem:find("^stored/[^%s:]+:%d+: ") then
    return problem
  end
  local text = problem:match("^[^%s:]*neap/chain%.lua:%d+: (.*)$")
    or problem:match("^[^%s:]*neap/race%.lua:%d+: (.*)$") or problem
  local instance = find_instance(group.chain, layer) or find_instance(group.fallback, layer)
  return instance and ("%s: %s"):format(instance.place, text) or problem
end

--- Notes a failure of the policy that the request had come to.
function fault.note(group, of, problem)
  local layer = of.layer or "?"
  problem = with_place(group, layer, problem)
  host.log("error", "policy", ("group %s: %s: %s"):format(group.name, layer, problem))
  of.record.policy = layer
  steps.add(of.steps, "raised", layer, problem)
  local count = add(layer, host.generation())
  host.tally("faults", 1)
  if count == FAULTS_MAX then
    host.log("error", "policy", layer .. " is set aside after " .. FAULTS_MAX .. " failures")
  end
end

--- The name of a policy of the chain that is set aside, or nil.
function fault.find(of_chain)
  local faults = host.tally("faults", 0)
  if faults == of_chain.faults then return of_chain.aside end
  of_chain.faults = faults
  for _, instance in ipairs(of_chain.instances) do
    if look(instance.name, host.generation()) >= FAULTS_MAX then of_chain.aside = instance.name end
  end
  return of_chain.aside
end

--- How many of the catalog's policies are set aside.
function fault.count(known)
  local seen, count, generation = {}, 0, host.generation()
  local function look_through(of_chain)
    for _, instance in ipairs(of_chain and of_chain.instances or {}) do
      local name = instance.name
      if not seen[name] and look(name, generation) >= FAULTS_MAX then count = count + 1 end
      seen[name] = true
    end
  end
  for _, group in ipairs(known.group_list) do
    look_through(group.chain)
    look_through(group.fallback)
  end
  look_through(known.default_chain)
  return count
end

return fault
