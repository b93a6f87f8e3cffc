-- Turns an answer that says one of some words into a failure, before its first byte goes out.
-- Without any word it returns the response at once and holds nothing.
local policy  = require "neap.policy"
local setting = require "neap.setting"

local keyword = policy.define {
  summary  = "Fails answers that contain a keyword, so that the next target is tried.",
  settings = {
    keywords = setting.words { default = {}, help = "Texts that must not occur, in any case." },
    window   = setting.integer { default = 512, min = 1, max = 65536,
      help = "Characters of content to look at." },
    seconds  = setting.seconds { default = 2, max = 60,
      help = "Longest time to hold an answer for it." },
  },
}

local function find(text, keywords)
  text = policy.fold(text)
  for _, word in ipairs(keywords) do
    if text:find(policy.fold(word), 1, true) then return word end
  end
end

function keyword:run(request, next)
  local response = next(request)
  local keywords = self.settings.keywords
  if not keywords[1] or response.failure then return response end
  local text = response.body or response:text(self.settings.window, self.settings.seconds)
  local hit = find(text, keywords)
  if not hit then return response end
  self.shared:add("hits " .. hit, 1)
  self.shared:set("last " .. hit, self:now())
  self:note("the answer says %q", hit)
  return response:fail("keyword", hit)
end

return keyword
