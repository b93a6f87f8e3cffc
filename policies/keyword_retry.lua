-- Turns an answer that says one of some words into a failure, before its first byte goes out.
-- Without any word it returns the response at once and holds nothing.
local json    = require "neap.json"
local policy  = require "neap.policy"
local setting = require "neap.setting"

-- Errors about the key: they move on by themselves, and whoever looks after keys has to know.
local OF_KEY   = { [401] = true, [402] = true, [403] = true, [429] = true }
local NAME_MAX = 256 -- bytes of a keyword that name it in self.shared

local keyword = policy.define {
  summary  = "Fails answers that contain a keyword, so that the next target is tried.",
  settings = {
    keywords = setting.words { default = {},
      help = "Texts that must not occur, in any case; besides those that are stored." },
    window   = setting.integer { default = 512, min = 1, max = 65536,
      help = "Characters of content to look at." },
    seconds  = setting.seconds { default = 2, max = 60,
      help = "Longest time to hold an answer for it." },
  },
}

local function find_one(text, keywords)
  for _, word in ipairs(keywords) do
    if text:find(policy.fold(word), 1, true) then return word end
  end
end

local function find(self, text)
  text = policy.fold(text)
  return find_one(text, self.settings.keywords) or find_one(text, self.stored.keywords)
end

-- What is known of a keyword, for whoever looks after them: how often it hit, and when last.
local function note_hit(self, word)
  local now, name = self:calendar(), word:sub(1, NAME_MAX)
  self.shared:add("hits " .. name, 1)
  self.shared:set("last_triggered " .. name, ("%04d-%02d-%02dT%02d:%02d:%02dZ"):format(
    now.year, now.month, now.day, now.hour, now.minute, now.second))
  self:note("the answer says %q", word)
end

function keyword:run(request, next)
  local response = next(request)
  local has_words = self.settings.keywords[1] or self.stored.keywords[1]
  -- What has no time is neap's own text, and no provider's.
  if not has_words or response.failure or not response.seconds then return response end
  -- Many providers write every letter beyond ASCII as an escape.
  local document = response.body and json.decode(response.body)
  local hit = find(self, document and json.encode(document) or response.body
    or response:text(self.settings.window, self.settings.seconds))
  if not hit then return response end
  note_hit(self, hit)
  return OF_KEY[response.status] and response or response:fail("keyword", hit)
end

return keyword
