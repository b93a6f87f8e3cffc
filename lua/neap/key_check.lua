--- neap.key_check: is a provider's key good, and what is left on it?
---
--- A key is refused only where the provider says so of the key itself. What time-outs, failures of
--- the provider and limits leave open stays open: they never condemn a key.

local host = require "neap.host"
local json = require "neap.json"
local provider_ask = require "neap.provider_ask"
local provider_models = require "neap.provider_models"
local retry_after = require "neap.retry_after"

local key_check = {}

local REFRESH_SECONDS = 3600

---@class neap.account where a balance is asked for
---@field path string below the host: "/v1/user/info"
---@field member string where it stands in the answer: "data.totalBalance", "infos.1.total"
---@field every number? seconds between two refreshes

-- Services whose accounts are known, by host. Asking for the account is also the better check
-- where anybody may list the models.
local SILICONFLOW = { path = "/v1/user/info", member = "data.totalBalance" }
local MOONSHOT = { path = "/v1/users/me/balance", member = "data.available_balance" }
local ACCOUNTS = {
  ["api.siliconflow.cn"] = SILICONFLOW, ["api.siliconflow.com"] = SILICONFLOW,
  ["api.moonshot.cn"] = MOONSHOT, ["api.moonshot.ai"] = MOONSHOT,
  ["api.deepseek.com"] = { path = "/user/balance", member = "balance_infos.1.total_balance" },
  ["openrouter.ai"] = { path = "/api/v1/key", member = "data.limit_remaining" },
}

---@class neap.key_verdict
---@field state "good"|"refused"|"limited"|"unknown"
---@field why string? in words, without the secret; nil where it is good
---@field is_spent boolean? limited, because nothing is left on it
---@field is_passing boolean? the same question may have another answer soon
---@field wait number? seconds that the provider asks for before that
---@field balance number? where the provider told one
---@field models string[]? of the first page, where models were asked for

--- How a provider's balance is asked for: what its configuration says, or what is known of its
--- host; nil where there is no way.
---@return neap.account?
function key_check.account(provider)
  local _, name = provider_ask.root(provider.url)
  local known = provider.balance or ACCOUNTS[name]
  return known and { path = known.path, member = known.member,
    every = known.every or REFRESH_SECONDS }
end

-- ------------------------------------------------------------------------------------
-- Reading answers

--- The value at a path of members: "data.total", "list.1.total".
local function member(document, path)
  local value = document
  for name in path:gmatch("[^.]+") do
    if type(value) ~= "table" then return nil end
    local index = json.is_array(value) and tonumber(name)
    value = value[index or name]
  end
  return value
end

--- A balance is a number, or the text of one.
local function number_of(value)
  local is_decimal = type(value) == "string" and value:find("^%s*[+-]?%d*%.?%d+%s*$")
  if is_decimal then value = tonumber(value) end
  local is_finite = type(value) == "number" and value == value and math.abs(value) < math.huge
  return is_finite and value or nil
end

local function is_named(answer, name, value)
  return answer.body:find(('"%s"%%s*:%%s*"%s"'):format(name, value)) ~= nil
end

local function wait_of(answer)
  return retry_after.read(function(name) return answer.headers[name] end, answer.body, host.wall())
end

--- What an answer that is no success says of the key.
local function judge(answer, secret)
  local words, status = provider_ask.words(answer, secret), answer.status
  if not status then
    return { state = "unknown", why = answer.why, is_passing = answer.failure ~= "protocol" }
  end
  if status == 401 or is_named(answer, "reason", "API_KEY_INVALID") then
    return { state = "refused", why = "the provider refused the key: " .. words }
  end
  if status == 402 or is_named(answer, "code", "insufficient_quota") then
    return { state = "limited", why = "its quota is used up: " .. words, is_spent = true }
  end
  if status == 403 then return { state = "limited", why = "it is not allowed to: " .. words } end
  if status == 429 then
    return { state = "limited", why = "its rate is limited: " .. words, is_passing = true,
      wait = wait_of(answer) }
  end
  return { state = "unknown", why = "the provider answered " .. words,
    is_passing = status >= 500 or status == 408, wait = status >= 500 and wait_of(answer) or nil }
end

-- ------------------------------------------------------------------------------------
-- The two questions

local function ask_account(provider, secret, account, timeout)
  local url = provider_ask.root(provider.url) .. account.path
  local answer = provider_ask.get(provider, secret, url, { timeout = timeout })
  if not answer.status or answer.status >= 300 then return judge(answer, secret) end
  local value = member(answer.document, account.member)
  -- Null: the account has one, without a limit.
  if value == json.null then return { state = "good" } end
  local balance = number_of(value)
  if not balance then
    return { state = "unknown", why = ("the answer has no number at %s"):format(account.member) }
  end
  if balance > 0 then return { state = "good", balance = balance } end
  return { state = "limited", why = ("nothing is left on it: %s"):format(balance),
    balance = balance, is_spent = true }
end

local function ask_models(provider, secret, timeout)
  local models, answer = provider_models.list(provider, secret, { pages = 1, timeout = timeout })
  if models then
    local ids = {}
    for index, model in ipairs(models) do ids[index] = model.id end
    return { state = "good", models = ids }
  end
  if answer.status and answer.status < 300 then return { state = "unknown", why = answer.why } end
  return judge(answer, secret)
end

--- Asks the provider about a key: for the account where there is one to ask for, else for its
--- models. Waits.
---@param provider table see neap.provider_ask; and `balance` (neap.account)
---@param secret string
---@param options { timeout: number? }? seconds, 15
---@return neap.key_verdict
function key_check.check(provider, secret, options)
  local timeout = options and options.timeout
  local account = key_check.account(provider)
  if account then return ask_account(provider, secret, account, timeout) end
  return ask_models(provider, secret, timeout)
end

return key_check
