-- Sends requests with pictures to the targets that can see, and the others elsewhere first.
--
--     policies = { use("vision_targets", { vision = { "b/m" } }), "priority_failover" }
local messages = require "policies.lib.messages"
local policy   = require "neap.policy"
local setting  = require "neap.setting"
local targets  = require "policies.lib.targets"

local vision_targets = policy.define {
  summary  = "Sends requests with pictures to models that take them.",
  orders   = "target",
  settings = {
    vision = setting.words { default = {}, help = "Targets that take pictures." },
  },
}

function vision_targets:run(request, next)
  local vision = self.settings.vision
  if not pcall(request.json, request) then -- more than 1 MiB: hardly anything but pictures
    return next(request:with { targets = targets.first(request.targets, vision) })
  end
  if not messages.has_part(request, "image_url") then
    return next(request:with { targets = targets.last(request.targets, vision) })
  end
  local seeing = targets.split(request.targets, vision)
  if not seeing[1] then return request:refuse(400, "no model of this group takes pictures") end
  self:note("has a picture")
  return next(request:with { targets = seeing })
end

return vision_targets
