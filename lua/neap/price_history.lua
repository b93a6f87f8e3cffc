--- neap.price_history: which prices were in force when, for costs that are made anew.
---
--- Each time a generation begins on the admin side, prices that differ from those noted last are
--- noted with the moment: rows `price/UUIDv7` of the table objects, the compiled prices of a model
--- (neap.price), so that neither the configuration nor the dialect of that time is needed. What
--- held before the first note nobody knows.

local host = require "neap.host"
local json = require "neap.json"

local history = {}

local PREFIX = "price/"
local PAGE = 500
local WRITE_MAX = 200 -- rows of a transaction
-- A note is made when a generation is in force: so near to it, the generation of a request of the
-- same run of neap tells by which side of it that was priced.
local EDGE_SECONDS = 10

local REST_EVERY = 300 -- prices that are looked through in one run: there may be many thousands

local function name_of(provider, model) return provider .. "\0" .. model end

local function new_rest()
  local count = 0
  return function()
    count = count + 1
    if count % REST_EVERY == 0 then host.sleep(0) end
  end
end

--- All notes by model, the oldest first; nil and why where they cannot be read. Waits.
---@return table<string, table[]>? notes, string? why
function history.read()
  local notes, after = {}, nil
  repeat
    local rows, cursor, why = host.store_scan("objects",
      { prefix = PREFIX, after = after, limit = PAGE })
    if not rows then return nil, why or cursor end
    for index = 1, #rows, 2 do
      local note = json.decode(rows[index + 1])
      if type(note) == "table" and type(note.model) == "string" then
        local name = name_of(note.provider, note.model)
        notes[name] = notes[name] or {}
        table.insert(notes[name], note)
      end
      after = rows[index]
    end
  until not cursor or #rows == 0
  local rest = new_rest()
  for _, list in pairs(notes) do
    rest()
    table.sort(list, function(a, b) return a.since < b.since end)
  end
  return notes
end

--- The prices that hold now, by the same names.
local function present(known)
  local prices = {}
  for _, provider in ipairs(known.provider_list) do
    for model, compiled in pairs(provider.prices) do
      prices[name_of(provider.name, model)] =
        { provider = provider.name, model = model, prices = compiled }
    end
  end
  return prices
end

local function note_of(one, at)
  return { "put", "objects", PREFIX .. host.id(), json.encode(json.object { provider = one.provider,
    model = one.model, since = at.since, generation = at.generation, started = at.started,
    prices = one.prices or json.null }) }
end

--- What is new in them: prices that changed, came or went. Waits.
local function news(notes, prices, at)
  local ops, rest = {}, new_rest()
  for name, one in pairs(prices) do
    rest()
    local last = notes[name] and notes[name][#notes[name] ]
    if not last or last.prices == json.null or last.prices.version ~= one.prices.version then
      ops[#ops + 1] = note_of(one, at)
    end
  end
  for name, list in pairs(notes) do
    rest()
    local last = list[#list]
    if not prices[name] and last.prices ~= json.null then
      ops[#ops + 1] = note_of({ provider = last.provider, model = last.model }, at)
    end
  end
  return ops
end

--- Notes what changed since the last time. Waits. Returns how many, or nil and why.
---@param known table the catalog that is in force
---@return integer? count, string? why
function history.note(known)
  local now = host.wall()
  local at = { since = now, generation = host.generation(), started = now - host.figures().uptime }
  local notes, why = history.read()
  if not notes then return nil, why end
  local prices = present(known)
  host.sleep(0)
  local ops = news(notes, prices, at)
  for first = 1, #ops, WRITE_MAX do
    local some = { unpack(ops, first, math.min(#ops, first + WRITE_MAX - 1)) }
    local ok, problem, _, text = host.store_write(some)
    if not ok then return nil, text or problem end
  end
  return #ops
end

--- Whether a request came behind a note.
local function is_behind(note, moment, generation)
  local seconds = moment - note.since
  if math.abs(seconds) > EDGE_SECONDS or moment < note.started then return seconds >= 0 end
  return generation >= note.generation
end

--- The prices that were in force for a request: nil where nobody knows, false where it had none.
---@param notes table<string, table[]>
---@param record table with provider, target_model, start_us, generation, price_version
---@return table|false|nil prices
function history.find(notes, record)
  local list = notes[name_of(record.provider, record.target_model)] or {}
  local moment, found = record.start_us / 1e6, nil
  for _, note in ipairs(list) do
    if is_behind(note, moment, record.generation) then
      found = note.prices ~= json.null and note.prices or false
    end
  end
  if found ~= nil or not list[1] then return found end
  -- Of before the first note the version alone can tell.
  local first = list[1].prices
  return first ~= json.null and first.version == record.price_version and first or nil
end

return history
