--- neap.race: `request:race`: the rest of a chain in several legs side by side, one answer.
---
--- Each leg runs in a fiber of its own and has a context of its own: a table over the request's in
--- which the open response, the provider and the layer that it has come to are the leg's, and
--- everything else (attempts, budget, trace, record) is the request's. The first leg that brings
--- an answer wins; the others are cancelled where they wait, so that nothing of theirs runs any
--- more, and their open attempts end as "lost".

local context = require "neap.context"
local fault = require "neap.fault"
local host = require "neap.host"
local response = require "neap.response"
local steps = require "neap.steps"

local race = {}

local LEGS_MAX = 16 -- what the host takes, too
local SOON = 1e-6   -- seconds that are not waited for: what is left of sums of times

-- ------------------------------------------------------------------------------------
-- What is asked

local function check_leg(context_of, of, place, leg)
  if type(leg) ~= "table" then
    return ("leg %d is a %s: a leg is { request, after = seconds }"):format(place, type(leg))
  end
  local its_context = context_of(leg[1])
  if not its_context then
    return ("leg %d begins with a %s, not with a request"):format(place, type(leg[1]))
  end
  if its_context ~= of then
    return ("leg %d has a request of another leg, or of another client"):format(place)
  end
  local after = leg.after
  if after ~= nil and not (type(after) == "number" and after >= 0 and after < math.huge) then
    return ("leg %d: after must be a number of seconds"):format(place)
  end
  for name in pairs(leg) do
    if name ~= 1 and name ~= "after" then
      return ("leg %d has \"%s\": a leg is { request, after = seconds }"):format(place,
        tostring(name))
    end
  end
end

--- What is wrong with the arguments of a race, as text; nil where nothing is.
--- context_of(value): the context of a request, nil for anything else.
function race.check(context_of, of, next, legs)
  if type(next) ~= "function" or type(legs) ~= "table" then
    return "race takes next and a list of legs: race(next, { { request }, … })"
  end
  if #legs == 0 then return "a race needs a leg: race(next, { { request }, … })" end
  if #legs > LEGS_MAX then return ("a race has at most %d legs"):format(LEGS_MAX) end
  for place, leg in ipairs(legs) do
    local problem = check_leg(context_of, of, place, leg)
    if problem then return problem end
  end
end

-- ------------------------------------------------------------------------------------
-- A leg

local function new_leg(in_context, of, place, given)
  local own = setmetatable({ leg_of = of }, { __index = of })
  return { place = place, after = given.after or 0, of = own, request = in_context(given[1], own) }
end

local function bring(leg, next)
  local got = next(leg.request, leg.place)
  if got == nil then return nil end -- it takes no part after all
  local inside = response.inside(got)
  if not inside then
    error(("a leg of the race brought a %s, not a response"):format(type(got)), 0)
  end
  if inside.context ~= leg.of then
    error("a leg of the race brought a response that is not its own: "
      .. "next takes the request that the leg is given", 0)
  end
  return got
end

local function start(self, leg)
  self.running = self.running + 1
  leg.is_running = true
  self.legs:start(function()
    host.sleep(0) -- a turn of the event loop for itself: the limits of a run are then its own
    context.set(leg.of)
    steps.add(leg.of.steps, "leg", self.layer, leg.place)
    leg.got, leg.problem = fault.catch(bring, leg, self.next)
    if not leg.got then race.abandon(leg.of) end
    context.set(nil)
  end)
end

--- Starts the legs whose turn has come; while none runs, the next one at once. Returns the seconds
--- until the turn of the next, or nil.
local function start_due(self)
  while true do
    local leg = self.order[self.due]
    if not leg then return nil end
    local seconds = self.began + leg.after - host.now()
    if self.running > 0 and seconds > SOON then return seconds end
    self.due = self.due + 1
    start(self, leg)
  end
end

-- ------------------------------------------------------------------------------------
-- Ends

local function is_answer(inside)
  return inside.status and inside.status < 300 and (inside.transfer or inside.reply)
end

--- How much a failure tells: a spent budget nothing, neap's own refusal less than a provider.
local function rank(inside)
  if inside.failure == "exhausted" then return 0 end
  return inside.way and 2 or 1
end

--- The leg whose failure is given back if all fail: the one that tells most, of two limits the
--- one with the shorter wait, else the last.
local function better(earlier, later)
  if not earlier then return later end
  local a, b = response.inside(earlier.got), response.inside(later.got)
  if rank(a) ~= rank(b) then return rank(a) > rank(b) and earlier or later end
  local are_limits = a.status == 429 and b.status == 429
  local is_shorter = (a.retry_after or math.huge) < (b.retry_after or math.huge)
  return are_limits and is_shorter and earlier or later
end

local function note_raised(self)
  local leg = self.raised
  if leg then fault.note(self.of.group, leg.of, leg.problem) end
end

--- A leg raised. It is counted later: the last one raises again where nothing came back, and is
--- then counted by whoever catches that.
local function end_raised(self, leg)
  local of_body = leg.of.body_fault
  if of_body and of_body.text == leg.problem then
    steps.add(leg.of.steps, "raised", leg.of.layer, leg.problem)
    leg.got = response.refusal(leg.of, of_body.status, leg.problem)
    self.best = better(self.best, leg)
    return
  end
  note_raised(self)
  self.raised = leg
end

local function end_leg(self, leg, problem)
  self.running = self.running - 1
  leg.is_running = false
  if leg.got and is_answer(response.inside(leg.got)) then
    self.winner = leg
    return
  end
  local open = rawget(leg.of, "open")
  if open then response.close(open) end
  leg.problem = problem or leg.problem
  if leg.got then
    self.best = better(self.best, leg)
  elseif leg.problem then
    end_raised(self, leg)
  end
end

--- Books an attempt of a cancelled leg that had brought nothing, or whose answer nobody wants now.
local function lose(attempt)
  local is_held = rawget(attempt.leg, "open") == attempt
  if (attempt.status or attempt.failure) and not is_held then return end
  response.close(attempt)
  attempt.status, attempt.failure = nil, "lost"
  attempt.seconds = host.now() - attempt.started
end

--- The leg of this race that a context belongs to, also by way of races inside of it.
local function leg_of(self, of)
  while of and of.leg_of ~= self.of do of = of.leg_of end
  return of and self.by_context[of]
end

--- The attempts of all legs become those of whoever ran the race.
local function settle(self)
  local of = self.of
  for _, attempt in ipairs(of.attempts) do
    local leg = leg_of(self, attempt.leg)
    if leg then
      if leg.is_running then lose(attempt) end
      attempt.leg = of.leg_of and of
    end
  end
end

--- Cancels the legs that still run. Where a race was broken off by an overrun, whoever catches it
--- calls this: they would run on.
function race.abandon(of)
  local self = rawget(of, "race")
  if not self then return end
  of.race = nil
  self.legs:close()
  settle(self)
end

--- The leg's response becomes that of whoever ran the race.
local function adopt(of, leg)
  local inside = response.inside(leg.got)
  inside.context = of
  if inside.transfer then of.open = inside end
  of.provider = leg.of.provider
  return leg.got
end

local function raise(self)
  local leg = self.raised
  if not leg then error("no leg of the race brought a response", 0) end
  self.of.layer = leg.of.layer
  error(leg.problem, 0)
end

--- Runs the legs, which race.check has found to be right. in_context(request, of): the same request
--- in another context. Returns the winner's response, or a
--- failure where no leg brought an answer; raises where all have raised. Waits.
function race.run(in_context, of, next, legs)
  if of.open then response.close(of.open) end
  of.came = false
  local self = { of = of, next = next, legs = host.legs(of.handle), order = {}, by_context = {},
    running = 0, due = 1, began = host.now(), layer = of.layer }
  of.remembered = of.remembered or {} -- of all legs
  for place, given in ipairs(legs) do
    local leg = new_leg(in_context, of, place, given)
    self.order[place], self.by_context[leg.of] = leg, leg
  end
  table.sort(self.order, function(a, b)
    if a.after ~= b.after then return a.after < b.after end
    return a.place < b.place
  end)
  of.race = self
  while not self.winner do
    local seconds = start_due(self)
    if self.running == 0 then break end
    local place, problem = self.legs:wait(seconds)
    if place then end_leg(self, self.order[place], problem) end
  end
  race.abandon(of)
  local leg = self.winner or self.best
  if not leg then raise(self) end
  note_raised(self)
  return adopt(of, leg)
end

return race
