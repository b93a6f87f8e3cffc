--- admin.api.throttle: how often a password may be guessed: by account, and by address.
---
--- The first guesses are free; then each wrong one doubles the wait, up to a minute for an account
--- (so that nobody locks its owner out for long) and a quarter of an hour for an address. A guess
--- counts before it is looked at, so that many at once are no way around. Lives in memory only.

local host = require "neap.host"
local problem = require "admin.api.problem"

local throttle = {}

local FREE = 5
local KEEP = 3600 -- seconds after which it is forgotten
local MOST = { account = 60, address = 900 }

--- What guesses are counted by: an IPv4 address, or the /64 of an IPv6 one, since whoever has one
--- address of it has them all.
function throttle.network(address)
  local text = address:gsub("^%[", ""):gsub("%]$", ""):gsub("%%.*$", "")
  local mapped = text:match("^::[Ff][Ff][Ff][Ff]:(%d+%.%d+%.%d+%.%d+)$")
  if mapped or not text:find(":", 1, true) then return mapped or text end
  local head, tail = text:match("^(.-)::(.*)$")
  local groups = {}
  for group in (head or text):gmatch("[^:]+") do groups[#groups + 1] = tonumber(group, 16) end
  local behind = {}
  for group in (tail or ""):gmatch("[^:]+") do behind[#behind + 1] = tonumber(group, 16) or 0 end
  while head and #groups + #behind < 8 do groups[#groups + 1] = 0 end
  for _, group in ipairs(behind) do groups[#groups + 1] = group end
  return ("%x:%x:%x:%x::/64"):format(groups[1] or 0, groups[2] or 0, groups[3] or 0, groups[4] or 0)
end

local function key_of(kind, name) return ("admin\0guesses\0%s\0%s"):format(kind, name) end

--- Counts a guess, or returns the seconds that have to pass before the next one.
local function count(kind, name)
  local key = key_of(kind, name)
  while true do
    local entry, now = host.shared_get(key), host.now()
    local guesses, last = (entry or "0 0"):match("^(%d+) (%S+)$")
    guesses, last = tonumber(guesses), tonumber(last)
    local wait = guesses < FREE and 0 or math.min(2 ^ (guesses - FREE), MOST[kind])
    -- A time that was rounded up may lie ahead of this one; without a wait it does not matter.
    if wait > 0 and now < last + wait then return last + wait - now end
    local did, trouble = host.shared_swap(key, entry, ("%d %.3f"):format(guesses + 1, now), KEEP)
    if did then return nil end
    if did == nil then problem.busy("no login is looked at now: " .. tostring(trouble), 10) end
  end
end

--- Notes that a password is about to be looked at; raises 429 where it is too early for that.
function throttle.enter(account, address)
  for _, one in ipairs { { "address", throttle.network(address) }, { "account", account } } do
    local wait = count(one[1], one[2])
    if wait then
      problem.raise(429, "throttled", "too many attempts: wait before the next one",
        { headers = { "retry-after", math.max(1, math.ceil(wait)) } })
    end
  end
end

--- The password was right: what came before is forgotten.
function throttle.pass(account, address)
  host.shared_set(key_of("account", account), nil)
  host.shared_set(key_of("address", throttle.network(address)), nil)
end

return throttle
