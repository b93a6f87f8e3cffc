--- neap.jobs.key_probe: asks again about keys that were disabled, once their time has come.
---
--- Only the provider's word that a key is good enables it. One that somebody disabled for good is
--- never due.

local key_check = require "neap.key_check"
local key_verify = require "neap.key_verify"

local key_probe = {}

local EVERY = 30 -- seconds between two looks at what is due

--- The keys whose probe is due; each counts as probed from now on, so that no request does it too.
local function take_due(providers)
  local due = {}
  for _, provider in ipairs(providers) do
    for _, key in ipairs(provider.is_on and provider.keys or {}) do
      if key.health:state() == "disabled" and key.health:probe() then
        due[#due + 1] = { provider = provider, key = key }
      end
    end
  end
  return due
end

---@param providers fun(): table[] the catalog's, in force now
---@param options { every: (number|fun(): number)?, limit: integer? }?
---@return neap.job_spec
function key_probe.job(providers, options)
  options = options or {}

  local function probe(run)
    local due, good = take_due(providers()), 0
    key_verify.run(due, function(one)
      return key_check.check(one.provider, one.key.secret)
    end, {
      limit = options.limit, tries = 1, is_over = function() return run:is_over() end,
      on_verdict = function(one, verdict)
        if verdict.state ~= "good" then return end
        one.key.health:well()
        good = good + 1
      end,
    })
    if not due[1] then return "no key is due" end
    return ("%d asked about, %d good again"):format(#due, good)
  end

  return { name = "key probes", every = options.every or EVERY, run = probe,
    help = "asks again about keys that their provider had refused" }
end

return key_probe
