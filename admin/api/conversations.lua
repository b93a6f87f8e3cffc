--- admin.api.conversations: requests that belong together: which there were lately, and one with
--- its records and what it came to.
---
--- A conversation is stored nowhere: it is what its records say.

local host = require "neap.host"
local journal = require "admin.api.journal"
local json = require "neap.json"
local page = require "admin.api.page"
local problem = require "admin.api.problem"
local record_schema = require "admin.api.record_schema"
local schema = require "admin.api.schema"

local STEP = 100          -- records that are decoded at once
local SEARCH_SECONDS = 2  -- after which a page comes as it is
local RECORDS_MAX = 10000 -- of one conversation that are added up
local LIST_MAX = 100

local ALL_QUERY = record_schema.query()
local TOKEN_KINDS = record_schema.TOKEN_KINDS

-- ------------------------------------------------------------------------------------
-- Which there were

--- Whether no later record of the conversation fits: if one does, an earlier page had it.
local function is_newest(filter, record)
  local narrow = journal.with(filter)
  narrow.conversation = record.conversation
  local found = json.decode((journal.page(narrow, nil, 1)))[1]
  return found == nil or found.id == record.id
end

--- The conversations of records that come from the newest on. take returns true when it has
--- enough; then the cursor is that behind the record it had last.
local function each(filter, cursor, take)
  local ends, seen = host.now() + SEARCH_SECONDS, {}
  repeat
    local text, after = journal.step(journal.with(filter, cursor, STEP))
    for index, record in ipairs(json.decode(text)) do
      local id = record.conversation
      if id ~= json.null and not seen[id] then
        seen[id] = true
        if take(record) then return select(2, journal.page(filter, cursor, index)) end
      end
    end
    cursor = after
  until not cursor or host.now() >= ends
  return cursor
end

local function list(of)
  local filter, items = record_schema.filter(of.query), json.array {}
  local next_cursor = each(filter, of.query.cursor, function(record)
    if of.query.cursor and not is_newest(filter, record) then return false end
    items[#items + 1] = json.object { id = record.conversation, last = record }
    return #items == of.query.limit
  end)
  return 200, json.object { items = items, next_cursor = next_cursor or json.null }
end

-- ------------------------------------------------------------------------------------
-- One

local function new_totals()
  local usage = json.object { total = 0, reasoning = 0, estimated = 0 }
  for _, kind in ipairs(TOKEN_KINDS) do usage[kind] = 0 end
  local totals = json.object { requests = 0, streams = 0, attempts = 0, ms = 0, cost_micros = 0,
    priced = 0, usage = usage }
  for _, outcome in ipairs(record_schema.OUTCOMES) do totals[outcome] = 0 end
  return totals
end

local function add_usage(sums, usage)
  for _, kind in ipairs(TOKEN_KINDS) do
    sums[kind] = sums[kind] + usage[kind]
    sums.total = sums.total + usage[kind]
  end
  sums.reasoning = sums.reasoning + usage.reasoning
  if usage.estimate then sums.estimated = sums.estimated + 1 end
end

local function add(totals, record)
  totals.requests = totals.requests + 1
  totals[record.outcome] = totals[record.outcome] + 1
  totals.streams = totals.streams + (record.stream and 1 or 0)
  totals.attempts = totals.attempts + #record.attempts
  totals.ms = totals.ms + record.ms
  if record.usage ~= json.null then add_usage(totals.usage, record.usage) end
  if record.cost_micros ~= json.null then
    totals.cost_micros = totals.cost_micros + record.cost_micros
    totals.priced = totals.priced + 1
  end
end

--- The sums of all its records, the first and the last of them, and whether these are all.
local function add_up(filter)
  local totals, cursor, first, last = new_totals(), nil, nil, nil
  repeat
    local text, after = journal.step(journal.with(filter, cursor, STEP))
    for _, record in ipairs(json.decode(text)) do
      add(totals, record)
      last = last or record
      first = record
    end
    cursor = after
  until not cursor or totals.requests >= RECORDS_MAX
  return totals, first, last, cursor == nil
end

local function show(of)
  local filter = { conversation = of.params.id }
  local totals, first, last, is_whole = add_up(filter)
  if not first then problem.not_found(("conversation %q"):format(of.params.id)) end
  local text, cursor = journal.page(filter, of.query.cursor, of.query.limit)
  return 200, json.object { id = of.params.id, first_start_us = first.start_us,
    last_start_us = last.start_us, totals = totals, is_whole = is_whole, items = json.raw(text),
    next_cursor = cursor or json.null }
end

-- ------------------------------------------------------------------------------------

local count = { type = "integer", minimum = 0 }

local function of_counts(names, described)
  local properties = {}
  for _, name in ipairs(names) do properties[name] = count end
  for name, one in pairs(described or {}) do properties[name] = one end
  return schema.object(properties, names)
end

local usage_names = { "total", "reasoning", "estimated", unpack(TOKEN_KINDS) }
local totals = of_counts({ "requests", "streams", "attempts", "ms", "priced",
  unpack(record_schema.OUTCOMES) }, { usage = of_counts(usage_names),
  cost_micros = { type = "integer", description = "Of the `priced` requests." } })

local query = page.query { token = ALL_QUERY.token, group = ALL_QUERY.group,
  from = ALL_QUERY.from, ["until"] = ALL_QUERY["until"] }
query.limit = { type = "integer", minimum = 1, maximum = LIST_MAX, default = 20,
  description = "How many elements a page has at most." }

return {
  { id = "list_conversations", method = "GET", path = "/api/v1/conversations",
    tag = "conversations", scope = "read", run = list, query = query,
    summary = "The conversations of the last requests, the newest first",
    description = "One in which something is said between two pages moves to the front.",
    responses = { { 200, "A page.", page.schema(schema.named("Conversation", schema.object({
      id = { type = "string" }, last = record_schema.item }, { "id", "last" }))) } } },
  { id = "get_conversation", method = "GET", path = "/api/v1/conversations/{id}",
    tag = "conversations", scope = "read", run = show,
    summary = "A conversation: its sums and its records, the newest first",
    params = { id = { type = "string", minLength = 1, maxLength = 240 } }, query = page.query(),
    responses = { { 200, "It.", schema.object({
      id = { type = "string" }, first_start_us = { type = "integer" },
      last_start_us = { type = "integer" }, totals = totals,
      is_whole = { type = "boolean",
        description = ("false: these are the sums of the last %d records or so."):format(
          RECORDS_MAX) },
      items = { type = "array", items = record_schema.item },
      next_cursor = { type = { "string", "null" } },
    }, { "id", "totals", "is_whole", "items", "next_cursor" }) } } },
}
