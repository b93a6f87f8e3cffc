--- neap.trace: the story of a request in words: what each policy tried, why, and what came of it.
---
--- The steps lie in the context as they happened (neap.chain, neap.fallback); nothing is put into
--- words before somebody asks. What only passes a request or an answer on is left out. No line
--- holds a key's secret: keys go by their id, and a note that quotes one shows the id instead.

local catalog = require "neap.catalog"
local host = require "neap.host"
local object = require "neap.object"
local redact = require "neap.redact"
local request = require "neap.request"
local steps = require "neap.steps"

local trace = {}

local COMPACT_MAX = 2048 -- bytes of the header's value
local COMPACT_ROOM = 32  -- of these, for saying how much was left out
local STEP_MAX = 160     -- bytes of one step there: a long note does not push out the rest
local KEYS_TOLD_MAX = 4  -- of those that were passed over
local KEYS_SEEN_MAX = 64 -- of a target, looked at for these
local TARGETS_SEEN_MAX = 8

--- A time as people read it: "250 ms", "1.5 s".
---@param seconds number
---@return string
function trace.time(seconds)
  if seconds < 0.9995 then return ("%d ms"):format(seconds * 1000 + 0.5) end
  return (("%.1f"):format(seconds):gsub("%.0$", "")) .. " s"
end

-- ------------------------------------------------------------------------------------
-- Attempts and targets

local function outcome_of(attempt)
  local outcome = attempt.status or attempt.failure
  if not outcome then return "no answer yet" end
  local text = tostring(outcome)
  if attempt.why and attempt.why ~= "" then text = ("%s (%s)"):format(text, attempt.why) end
  if not attempt.seconds or attempt.seconds == 0 then return text end
  return ("%s after %s"):format(text, trace.time(attempt.seconds))
end

--- One attempt: "openai/gpt-4o with key main: 429 after 120 ms".
---@param attempt table of the request's context
---@return string
function trace.attempt(attempt)
  local with = attempt.key and " with key " .. attempt.key.id or ""
  return ("%s%s: %s"):format(attempt.target.name, with, outcome_of(attempt))
end

--- A state with how long it lasts and why: "resting for 12 s (its rate is limited)".
---@param view neap.host_view
---@return string
function trace.state(view)
  if view.state == "ready" then return "ready" end
  local text = view.state
  if view.state == "resting" and view.remaining then
    text = ("%s for %s"):format(text, trace.time(view.remaining))
  end
  return view.why ~= "" and ("%s (%s)"):format(text, view.why) or text
end

--- The targets of the group that no attempt took, each with its state.
local function left_out(of)
  local tried, names = {}, {}
  for _, attempt in ipairs(of.attempts) do tried[attempt.target] = true end
  for _, target in ipairs(of.group and of.group.targets or {}) do
    if not tried[target] then
      local view = object.inside(catalog.Target, target).health:view()
      names[#names + 1] = ("%s, %s"):format(target.name, trace.state(view))
    end
  end
  return names
end

local function id_of(target, key) return target.provider .. "\0" .. key.id end

--- The keys of a target, not yet known, that rest or are disabled: as texts in `texts`.
local function add_skipped_keys(texts, target, known)
  for place, key in ipairs(object.inside(catalog.Target, target).keys) do
    if place > KEYS_SEEN_MAX or #texts == KEYS_TOLD_MAX then return end
    if key.state ~= "ready" and not known[id_of(target, key)] then
      known[id_of(target, key)] = true
      local view = { state = key.state, remaining = key.remaining, why = key.why }
      texts[#texts + 1] = ("skipped: key %s of %s, %s"):format(key.id, target.provider,
        trace.state(view))
    end
  end
end

--- Why keys that no attempt took were passed over: some lines, for there may be thousands of them.
local function skipped_keys(of)
  local known, texts = {}, {}
  for _, attempt in ipairs(of.attempts) do
    if attempt.key then known[id_of(attempt.target, attempt.key)] = true end
  end
  for place, target in ipairs(of.group and of.group.targets or {}) do
    if place > TARGETS_SEEN_MAX then break end
    add_skipped_keys(texts, target, known)
  end
  return texts
end

-- ------------------------------------------------------------------------------------
-- Steps

-- What a story is written with: lines; layers, the policies that have not returned, outermost
-- first, each with the target and key that it has narrowed to; outcome, the last that came back.
-- Those that narrowed nothing are not shown, and nothing is indented for them.
local Story = {}
Story.__index = Story

--- Adds a line of the policy at a place among the layers, or of what is inside of all: #layers + 1.
function Story:add(place, text)
  local depth = 0
  for index = 1, place - 1 do
    if self.layers[index].is_shown then depth = depth + 1 end
  end
  self.lines[#self.lines + 1] = { depth = depth, text = text }
end

--- The place of a policy among those that have not returned; what is inside of it is over. nil:
--- it has not passed anything on yet.
function Story:find(name)
  local layers = self.layers
  for place = #layers, 1, -1 do
    if layers[place].name == name then
      for index = #layers, place + 1, -1 do layers[index] = nil end
      return place
    end
  end
end

--- The same, from now on.
function Story:enter(name)
  local place = self:find(name)
  if place then return place end
  self.layers[#self.layers + 1] = { name = name }
  return #self.layers
end

-- How each kind of step is told.
local tellers = {}

tellers["next"] = function(self, name, inside)
  local target, key = request.narrowed_to(inside)
  local place = self:enter(name)
  local layer, outer = self.layers[place], self.layers[place - 1] or {}
  layer.target, layer.key = target, key
  local what = {}
  if target ~= outer.target and target then what[1] = target.name end
  if key ~= outer.key and key then what[#what + 1] = "key " .. key.id end
  layer.is_shown = what[1] ~= nil
  if layer.is_shown then self:add(place, ("%s takes %s"):format(name, table.concat(what, ", "))) end
end

tellers["return"] = function(self, name, outcome)
  local place = self:enter(name)
  if outcome ~= self.outcome then
    self:add(place, ("%s returns %s"):format(name, tostring(outcome)))
  end
  self.outcome, self.layers[place] = outcome, nil
end

function tellers.leg(self, name, place)
  self:add(self:enter(name), ("%s begins leg %d"):format(name, place))
end

function tellers.note(self, where, text, name)
  self:add((self:find(name) or #self.layers) + 1, ("%s [%s]"):format(text, where))
end

function tellers.raised(self, name, problem)
  self:add(1, ("%s failed: %s"):format(name, problem))
  self.layers, self.outcome = {}, nil
end

function tellers.aside(self, name)
  self:add(1, ("%s is set aside after its failures: the chain does not run"):format(name))
end

function tellers.fallback(self) self:add(1, "the fallback chain runs") end

--- All of it in order: { depth = 0, text = … }. Attempts know the step that they followed.
local function tell(of)
  local self = setmetatable({ lines = {}, layers = {} }, Story)
  local attempts, next_attempt = of.attempts, 1
  local function add_attempts(place)
    local attempt = attempts[next_attempt]
    while attempt and attempt.place <= place do
      self:add(#self.layers + 1, ("attempt %d: %s"):format(next_attempt, trace.attempt(attempt)))
      self.outcome = attempt.status or attempt.failure
      next_attempt = next_attempt + 1
      attempt = attempts[next_attempt]
    end
  end
  for place, kind, a, b, c in steps.each(of.steps) do
    add_attempts(place - 1)
    local write = tellers[kind]
    if write then write(self, a, b, c) end
  end
  add_attempts(math.huge)
  local rest = left_out(of)
  if rest[1] then self:add(1, "not tried: " .. table.concat(rest, "; ")) end
  for _, text in ipairs(skipped_keys(of)) do self:add(1, text) end
  return self.lines
end

-- ------------------------------------------------------------------------------------
-- Secrets

local function keys_of(group)
  local list = {}
  for _, target in ipairs(group.targets or {}) do
    for _, key in ipairs(object.inside(catalog.Target, target).keys) do
      list[#list + 1] = object.inside(catalog.Key, key)
    end
  end
  return list
end

--- Whether a key of the group stands in the text. There may be thousands, so they are made ready
--- for it once.
local function has_secret(group, text)
  if not group.known_secrets then
    local secrets = {}
    for index, key in ipairs(keys_of(group)) do secrets[index] = key.key.secret end
    group.known_secrets = host.known_secrets(secrets)
  end
  return host.has_secret(group.known_secrets, text)
end

--- The text with the id of each of the group's keys in place of the key.
local function without_secrets(of, text)
  local group = of.group
  if not group or not has_secret(group, text) then return text end
  for _, key in ipairs(keys_of(group)) do
    text = redact.text(text, key.key.secret, "[key " .. key.id .. "]")
  end
  return text
end

-- ------------------------------------------------------------------------------------
-- Forms

--- The story line by line, indented by how deep in the chain it happened.
---@param of table the request's context
---@return string[]
function trace.lines(of)
  local lines = {}
  for index, line in ipairs(tell(of)) do
    lines[index] = ("  "):rep(line.depth) .. without_secrets(of, line.text)
  end
  return lines
end

--- One character for each that a header cannot hold, and none that separates steps.
local function plain(text)
  -- Hardly any text has one, and most of what is told is put together for nobody to read.
  if string.find(text, "[^\32-\58\60-\126]") then
    text = text:gsub("[\194-\244][\128-\191]*", "?"):gsub("[^\32-\126]", "?"):gsub(";", ",")
  end
  return #text <= STEP_MAX and text or text:sub(1, STEP_MAX - 3) .. "..."
end

--- The same in one line of printable ASCII, steps separated by "; ", at most 2 KiB: the value of a
--- header.
---@param of table the request's context
---@return string
function trace.compact(of)
  local parts, size = {}, 0
  local lines = tell(of)
  for index, line in ipairs(lines) do
    local text = plain(without_secrets(of, line.text))
    if size + #text + 2 > COMPACT_MAX - COMPACT_ROOM then
      parts[index] = ("... and %d more"):format(#lines - index + 1)
      break
    end
    parts[index], size = text, size + #text + 2
  end
  return table.concat(parts, "; ")
end

-- ------------------------------------------------------------------------------------
-- The header

--- Whether the client asks for its trace and may: with a token, by the right; without any token
--- configured, only this machine is served, and may.
---@param of table the request's context
---@return boolean
function trace.is_wanted(of)
  if of.is_traced then return true end
  local token = of.token
  if token and not token.rights.trace then return false end
  return of.handle:header("x-neap-trace") == "1"
end

return trace
