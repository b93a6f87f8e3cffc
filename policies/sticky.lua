-- Hands the target that answered a conversation last inward as the first one, so that the
-- provider's cache of its beginning is used. A preference: a target that is not well, or no longer
-- there, stands where the host put it.
local policy       = require "neap.policy"
local setting      = require "neap.setting"
local conversation = require "policies.lib.conversation"

-- What is remembered lies in so many places: a client that makes up conversations overwrites some,
-- and fills no memory.
local PLACES = 16384

local sticky = policy.define {
  summary  = "Keeps a conversation at the target that answered it last, while that is well.",
  orders   = "target",
  settings = {
    header       = setting.text { min = 1, help = "Request header that names the conversation." },
    by_beginning = setting.boolean { default = true,
      help = "Tell conversations by their first messages where the client names none." },
    ttl          = setting.seconds { default = 3600, min = 1,
      help = "How long a conversation is remembered after its last answer." },
  },
}

local function place_of(id) return ("place %d"):format(id % PLACES) end

local function recall(self, id)
  local known_id, name = (self.shared:get(place_of(id)) or ""):match("^(%d+) (.+)$")
  return tonumber(known_id) == id and name or nil
end

function sticky:run(request, next)
  local id = conversation.of(request, self.settings.header, self.settings.by_beginning)
  if not id then return next(request) end
  self:remember(id)
  local preferred, targets = recall(self, id), {}
  for _, target in ipairs(request.targets) do
    local is_first = target.name == preferred and target.state == "ready"
    if is_first then self:note("%s answered this conversation last", target.name) end
    table.insert(targets, is_first and 1 or #targets + 1, target)
  end
  return next(request:with { targets = targets })
end

function sticky:done(_, outcome)
  local id, target = self:remembered(), outcome.target
  local is_success = outcome.status and outcome.status < 300 and not outcome.failure
  if not id or not target or not is_success then return end
  self.shared:set(place_of(id), ("%.0f %s"):format(id, target.name), self.settings.ttl)
end

return sticky
