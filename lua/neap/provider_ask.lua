--- neap.provider_ask: one question of neap's own to a provider, with one of its keys.
---
--- A provider is one of the catalog's, or the same fields as they stand in a configuration:
--- `url`, `dialect` (its name, or the module), `headers`, `proxy`, `options`. A secret goes into a
--- header and nowhere else: whatever text comes back is cleaned of it.

local host = require "neap.host"
local json = require "neap.json"
local redact = require "neap.redact"

local provider_ask = {}

local SECONDS = 15
local TEXT_MAX = 200 -- bytes of a provider's own words in a message

-- How a key is shown, by dialect; a dialect that is none of these says it itself.
local AUTHORIZE = {
  openai = function(headers, secret) headers[#headers + 1] = "Authorization: Bearer " .. secret end,
  anthropic = function(headers, secret)
    headers[#headers + 1] = "x-api-key: " .. secret
    headers[#headers + 1] = "anthropic-version: 2023-06-01"
  end,
  gemini = function(headers, secret) headers[#headers + 1] = "x-goog-api-key: " .. secret end,
}

---@class neap.provider_answer
---@field status integer? nil where none came
---@field headers table<string, string>? by name in lower case
---@field body string?
---@field document any the body, where it is JSON
---@field failure string? response.failure's name, where no answer came
---@field why string? what went wrong, in words, without the secret

---@return string name
function provider_ask.dialect(provider)
  local dialect = provider.dialect
  return type(dialect) == "table" and dialect.name or dialect
end

--- The URL's scheme, host and port, below which accounts are asked for; and the host alone.
---@return string? root, string? host
function provider_ask.root(url)
  local root, authority = url:match("^(%a[%w+.-]*://([^/?#]+))")
  if not root then return nil end
  return root, authority:gsub(":%d+$", ""):lower()
end

--- The text without the secret, on one line, and not for ever.
---@param text string
---@param secret string?
---@return string
function provider_ask.clean(text, secret)
  text = redact.text(text, secret):gsub("[%c]+", " "):gsub("^ +", ""):gsub(" +$", "")
  if #text <= TEXT_MAX then return text end
  -- Not in the middle of a character.
  return (text:sub(1, TEXT_MAX):gsub("[\192-\255][\128-\191]*$", "")) .. "…"
end

--- What an error's document says in words, in any of the providers' shapes; nil if nothing.
local function words_of(document)
  if type(document) == "string" then return document end
  if type(document) ~= "table" then return nil end
  -- The OpenAI-compatible endpoint of Gemini may put its error into an array.
  local problem = document.error or (document[1] and words_of(document[1]))
  if type(problem) == "table" then problem = problem.message end
  local text = problem or document.message
  return type(text) == "string" and text or nil
end

--- What an answer that is an error says: "401: invalid key".
---@param answer neap.provider_answer
---@param secret string?
---@return string
function provider_ask.words(answer, secret)
  if not answer.status then return answer.why end
  local words = words_of(answer.document)
  if not words or words == "" then return tostring(answer.status) end
  return ("%d: %s"):format(answer.status, provider_ask.clean(words, secret))
end

--- The provider's own headers go before neap's and before the key, as in neap.attempt.
local function headers_for(provider, secret)
  local headers, taken, own = {}, {}, { "Accept: application/json" }
  for name, value in pairs(provider.headers or {}) do
    headers[#headers + 1], taken[name:lower()] = name .. ": " .. value, true
  end
  local dialect = provider.dialect
  local authorize = AUTHORIZE[provider_ask.dialect(provider)]
    or (type(dialect) == "table" and dialect.authorize)
  if secret and authorize then authorize(own, secret) end
  for _, line in ipairs(own) do
    if not taken[line:match("^[^:]+"):lower()] then headers[#headers + 1] = line end
  end
  return headers
end

--- Asks for a URL with GET. Waits, `timeout` seconds at most. Never raises for what a provider
--- does.
---@param provider table
---@param secret string? nil: without a key
---@param url string
---@param options { timeout: number?, size_max: integer? }?
---@return neap.provider_answer
function provider_ask.get(provider, secret, url, options)
  options = options or {}
  local proxies = provider.proxy or {}
  local status, headers, body = host.fetch {
    url = url, headers = headers_for(provider, secret),
    proxy = proxies[math.floor(host.random() * #proxies) + 1],
    private = (provider.options or {}).private ~= false,
    timeout = options.timeout or SECONDS, size_max = options.size_max,
  }
  if not status then
    return { failure = headers, why = provider_ask.clean(body, secret) }
  end
  return { status = status, headers = headers, body = body, document = (json.decode(body)) }
end

return provider_ask
