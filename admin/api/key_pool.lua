--- admin.api.key_pool: keys come in, one or many at once, and providers are asked about them.
---
--- What a provider refuses is not taken in. What it leaves open (a time-out, a limit, an empty
--- account) is: an outage loses nobody's key.

local audit = require "admin.api.audit"
local catalog = require "neap.catalog"
local change = require "admin.api.change"
local etag = require "admin.api.etag"
local fault = require "neap.fault"
local host = require "neap.host"
local json = require "neap.json"
local key = require "admin.api.key"
local key_check = require "neap.key_check"
local key_import = require "neap.key_import"
local key_state = require "neap.key_state"
local key_verify = require "neap.key_verify"
local problem = require "admin.api.problem"
local rows = require "admin.api.rows"
local schema = require "admin.api.schema"
local store = require "neap.store"
local stream = require "admin.api.stream"

local LIMIT = 20        -- keys asked about at once
local SLICE = 500       -- rows of one transaction
local REST_MIN = 600    -- seconds that a key rests on which nothing is left
local REST_SHARE = 1.5  -- of the time between two refreshes: beyond the next

local function rest_seconds(provider)
  local account = key_check.account(provider)
  return math.max(REST_MIN, account and account.every * REST_SHARE or 0)
end

-- ------------------------------------------------------------------------------------
-- Progress

--- Tells how far it is, where the caller wants to know.
local function progress_of(of, total)
  if not of.query.progress then
    return { say = function() end, finish = function(_, ...) return ... end }
  end
  local events = stream.events(of)
  of.handle:on_disconnect("detach") -- what was begun goes on to its end
  return {
    say = function(_, done) events:send("progress", json.object { done = done, total = total }) end,
    finish = function(_, _, document)
      events:send("result", document)
      events:finish()
    end,
  }
end

--- Asks the provider about all of them. Waits. Progress is told by this fiber alone: the answers
--- come in others.
local function ask_all(provider, list, progress, note)
  local done, is_over, problem_text = 0, false, nil
  local function run()
    key_verify.run(list, function(one) return key_check.check(provider, one.secret) end, {
      limit = LIMIT, on_verdict = function(one, verdict)
        note(one, verdict)
        done = done + 1
      end })
  end
  host.spawn(function()
    local _, raised = fault.catch(run)
    is_over, problem_text = true, raised
  end)
  local told = 0
  repeat
    if not is_over then host.sleep(0.1) end
    if done > told then
      told = done
      progress:say(done)
    end
  until is_over and told == done
  if problem_text then error(problem_text, 0) end
end

-- ------------------------------------------------------------------------------------
-- New keys

local function record_of(provider, id, secret, more)
  local sealed, why = store.seal("key", provider.name .. "/" .. id, "secret", secret)
  if not sealed then error("a key could not be sealed: " .. tostring(why), 0) end
  local now = host.wall()
  return json.object { version = 1, created = now, updated = now, label = more and more.label,
    note = more and more.note, last4 = key.last4(secret),
    sealed = json.object { secret = sealed } }
end

local function known_of(provider)
  local by_secret = {}
  for _, one in ipairs(provider.keys) do by_secret[one.secret] = one.id end
  return by_secret
end

--- Stores them, in slices, and returns when they are in force.
local function keep(of, provider, kept, entry)
  for first = 1, #kept, SLICE do
    local ops = {}
    for place = first, math.min(#kept, first + SLICE - 1) do
      local id = host.id()
      ops[#ops + 1] = { "put", "keys", provider.name .. "/" .. id,
        record_of(provider, id, kept[place].secret) }
    end
    if first == 1 then audit.note(ops, of, entry) end
    rows.write(ops)
  end
  if not kept[1] then return change.commit(of, {}, entry) end
  change.reload()
end

local function note_states(provider, verdicts)
  local seconds = rest_seconds(provider)
  for secret, verdict in pairs(verdicts) do
    local health = host.health(catalog.key_health(provider.name, secret))
    key_state.note({ health = health }, verdict, seconds)
  end
end

local function add(of)
  local provider, secret = key.provider(of.params.name), of.body.secret
  local import, why = key_import.read(secret, { known = function(text)
    return known_of(provider)[text]
  end })
  local line = import and import.lines[1]
  if not import or import.lines[2] or line.state == "malformed" then
    problem.raise(422, "invalid", "/secret " .. (line and line.why or why or "is no key"),
      { field = "/secret" })
  end
  if line.state == "known" then
    problem.raise(409, "exists", "the key " .. line.why, { field = "/secret" })
  end
  secret = import.fresh[1].secret
  local verdict = of.body.check and key_check.check(provider, secret)
  if verdict and verdict.state == "refused" then
    problem.raise(422, "refused", verdict.why, { field = "/secret" })
  end
  local id = host.id()
  local record = record_of(provider, id, secret, of.body)
  local view = key.view(provider.name, id, record)
  change.configure(of, { { "put", "keys", provider.name .. "/" .. id, record } },
    { action = "create", object = ("key/%s/%s"):format(provider.name, id), after = view })
  if verdict then note_states(provider, { [secret] = verdict }) end
  return 201, key.view(provider.name, id, record, key.in_force(provider.name, secret)),
    { "etag", etag.of_version(record.version) }
end

local function lines_of(import)
  local lines = json.array {}
  for place, line in ipairs(import.lines) do
    lines[place] = json.object { line = line.line, tail = line.tail, state = line.state,
      why = line.why, balance = line.balance }
    if place % 1000 == 0 then host.sleep(0) end
  end
  return lines
end

local function import_keys(of)
  local provider = key.provider(of.params.name)
  local known = known_of(provider)
  local import, why = key_import.read(of.body.text, { known = function(text) return known[text] end,
    pause = function() host.sleep(0) end })
  if not import then problem.raise(422, "invalid", "/text: " .. why, { field = "/text" }) end
  local progress, verdicts, kept = progress_of(of, #import.fresh), {}, {}
  if of.body.check ~= false then
    ask_all(provider, import.fresh, progress, function(fresh, verdict)
      key_import.note(import, fresh, verdict)
      verdicts[fresh.secret] = verdict
    end)
  end
  for _, fresh in ipairs(import.fresh) do
    if fresh.line.state ~= "refused" then kept[#kept + 1] = fresh end
  end
  local counts = json.object {}
  for state, count in pairs(import.counts) do counts[state] = count end
  keep(of, provider, kept, { action = "import", object = "provider/" .. provider.name,
    after = json.object { added = #kept, counts = counts } })
  note_states(provider, verdicts)
  return progress:finish(200, json.object { added = #kept, counts = counts,
    lines = lines_of(import) })
end

-- ------------------------------------------------------------------------------------
-- Refreshes

local function refresh_one(of)
  local one, provider = key.require(of)
  if not one.in_force then problem.raise(409, "not_in_force", "the key is not in force") end
  local verdict = key_check.check(provider, one.in_force.secret)
  key_state.note(one.in_force, verdict, rest_seconds(provider))
  local view = key.view(provider.name, one.id, one.record, one.in_force)
  change.commit(of, {}, { action = "refresh", object = ("key/%s/%s"):format(provider.name, one.id),
    after = view })
  return 200, json.object { key = view, verdict = verdict.state, why = verdict.why }
end

local function refresh_all(of)
  local provider = key.provider(of.params.name)
  local progress, counts, seconds = progress_of(of, #provider.keys), json.object {},
    rest_seconds(provider)
  local total
  ask_all(provider, provider.keys, progress, function(one, verdict)
    key_state.note(one, verdict, seconds)
    counts[verdict.state] = (counts[verdict.state] or 0) + 1
    if verdict.balance then total = (total or 0) + math.max(0, verdict.balance) end
  end)
  change.commit(of, {}, { action = "refresh", object = "provider/" .. provider.name,
    after = counts })
  return progress:finish(200, json.object { counts = counts, balance = total or json.null })
end

-- ------------------------------------------------------------------------------------

local COUNTS = { type = "object", additionalProperties = { type = "integer" },
  description = "By state: new, repeated, known, malformed; good, refused, limited, unknown." }
local progress_query = { progress = { type = "boolean", default = false,
  description = "True: the answer is a stream of events: progress (done, total), then result." } }

return {
  { id = "add_key", method = "POST", path = key.PATH, tag = "keys", scope = "keys",
    summary = "Add a key to a provider", params = key.list_params,
    body = schema.object({ secret = { type = "string", minLength = 1, maxLength = 512 },
      label = { type = "string", maxLength = 200, format = "line" },
      note = { type = "string", maxLength = 2000 },
      check = { type = "boolean", description = "Ask the provider first." } }, { "secret" }),
    errors = { 409 }, run = add, responses = { { 201, "It is in force.", key.schema } } },
  { id = "import_keys", method = "POST", path = key.PATH .. "/import", tag = "keys",
    scope = "keys", summary = "Add many keys, one per line", params = key.list_params,
    description = "Spaces around them and empty lines are left out; those that are there twice, or "
      .. "already, are reported. Each is verified with the provider, 20 at once; those that it "
      .. "refuses are not taken in.",
    query = progress_query, body = schema.object({
      text = { type = "string", minLength = 1 },
      check = { type = "boolean", default = true } }, { "text" }),
    run = import_keys, responses = { { 200, "What became of each line.", schema.object({
      added = { type = "integer" }, counts = COUNTS, lines = { type = "array",
        items = schema.object({ line = { type = "integer" }, tail = { type = "string" },
          state = { type = "string" }, why = { type = "string" }, balance = { type = "number" } },
          { "line", "tail", "state" }) } }, { "added", "counts", "lines" }) },
      stream.response } },
  { id = "refresh_key", method = "POST", path = key.PATH .. "/{id}/refresh", tag = "keys",
    scope = "write", summary = "Ask the provider about a key, and what is left on it",
    params = key.params, errors = { 409 }, run = refresh_one,
    responses = { { 200, "What it said.", schema.object({ key = key.schema,
      verdict = { enum = { "good", "refused", "limited", "unknown" } },
      why = { type = "string" } }, { "key", "verdict" }) } } },
  { id = "refresh_keys", method = "POST", path = key.PATH .. "/refresh", tag = "keys",
    scope = "write", summary = "Ask the provider about all of its keys", params = key.list_params,
    query = progress_query, run = refresh_all,
    responses = { { 200, "What it said.", schema.object({ counts = COUNTS,
      balance = { type = { "number", "null" }, description = "The sum of what is left." } },
      { "counts", "balance" }) }, stream.response } },
}
