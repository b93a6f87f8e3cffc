--- neap.provider_models: the models that a provider lists, asked for in its own way, page by page.
---
--- What a provider sends is bounded: pages, bytes of a page, models. A list that goes on beyond
--- that is cut off and says so.

local json = require "neap.json"
local openai = require "neap.dialect.openai"
local provider_ask = require "neap.provider_ask"

local provider_models = {}

local PAGES = 20
local PAGE_SIZE_MAX = 4 * 1024 * 1024 -- bytes
local MODELS_MAX = 5000
local ID_MAX = 256 -- bytes

---@class neap.listed_model
---@field id string as requests name it
---@field name string? for people
---@field owner string?
---@field context integer? tokens that it takes in

-- ------------------------------------------------------------------------------------
-- Where they are, by dialect

local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- The list's URL below a base as openai's dialect reads it, or nil.
local function openai_url(base)
  if base:sub(-1) ~= "#" then return openai.url(base, "models") end
  -- Exactly this URL is asked for answers: models are its neighbours, if it is the usual one.
  return base:match("^(.*)/chat/completions#$") and base:gsub("/chat/completions#$", "/models")
end

local function gemini_url(base)
  if base:sub(-1) == "#" then return nil end
  if base:sub(-1) == "/" then return base .. "models" end
  return base .. (base:find("/v%d[%w]*$") and "/models" or "/v1beta/models")
end

--- Text of a field, or nil; JSON's null is none.
local function text_of(item, ...)
  for _, name in ipairs { ... } do
    if type(item[name]) == "string" and item[name] ~= "" then return item[name] end
  end
end

local function number_of(item, ...)
  for _, name in ipairs { ... } do
    if type(item[name]) == "number" and item[name] > 0 then return item[name] end
  end
end

--- A page of OpenAI's shape: { data = { { id = … } } }. Some servers send the list alone, or call
--- it models.
local function read_openai(document)
  local list = document.data or document.models or document
  local cursor = document.has_more == true and text_of(document, "last_id") or nil
  return list, cursor
end

local function read_gemini(document)
  local cursor = text_of(document, "nextPageToken")
  -- An empty list is left out.
  return document.models or (cursor and json.array {}), cursor
end

local WAYS = {
  openai = { url = openai_url, read = read_openai, cursor = "after" },
  anthropic = { url = openai_url, read = read_openai, cursor = "after_id", first = "limit=1000" },
  gemini = { url = gemini_url, read = read_gemini, cursor = "pageToken", first = "pageSize=1000" },
}

-- ------------------------------------------------------------------------------------
-- What they are

--- An entry as neap knows it, or nil. Gemini's names begin with "models/", also where it speaks
--- OpenAI's dialect.
local function normalize(item)
  if type(item) == "string" then item = { id = item } end
  if type(item) ~= "table" then return nil end
  local id = text_of(item, "id", "name")
  id = id and id:gsub("^models/", "")
  if not id or id == "" or #id > ID_MAX or id:find("%c") then return nil end
  return {
    id = id, name = text_of(item, "display_name", "displayName"), owner = text_of(item, "owned_by"),
    context = number_of(item, "context_length", "context_window", "inputTokenLimit",
      "max_input_tokens"),
  }
end

local function add_page(models, seen, list)
  for _, item in ipairs(list) do
    local model = normalize(item)
    if model and not seen[model.id] then
      if #models >= MODELS_MAX then return false end
      seen[model.id] = true
      models[#models + 1] = model
    end
  end
  return true
end

local function page_url(way, url, cursor)
  local query = {}
  if way.first then query[1] = way.first end
  if cursor then query[#query + 1] = way.cursor .. "=" .. escape(cursor) end
  if not query[1] then return url end
  return url .. (url:find("?", 1, true) and "&" or "?") .. table.concat(query, "&")
end

--- The list and the cursor of the next page, or nil and the answer, with `why` in words.
local function read_page(way, provider, secret, url, timeout)
  local answer = provider_ask.get(provider, secret, url,
    { timeout = timeout, size_max = PAGE_SIZE_MAX })
  if not answer.status or answer.status >= 300 then
    answer.why = provider_ask.words(answer, secret)
    return nil, answer
  end
  local list, cursor
  if type(answer.document) == "table" then list, cursor = way.read(answer.document) end
  if json.is_array(list) then return list, cursor end
  answer.why = "the answer is no list of models"
  return nil, answer
end

--- The models of a provider, in its order. Waits. nil and what was answered last where a page can
--- not be had: a part of a list is never taken for the whole.
---@param provider table see neap.provider_ask
---@param secret string?
---@param options { pages: integer?, timeout: number? }? pages: at most so many are asked for
---@return neap.listed_model[]? models, boolean|neap.provider_answer is_whole_or_answer
function provider_models.list(provider, secret, options)
  options = options or {}
  local dialect = provider_ask.dialect(provider)
  local way = WAYS[dialect]
  local url = way and way.url(provider.url)
  if not url then
    return nil, { failure = "protocol", why = way and "its URL does not say where its models are"
      or ("neap knows no list of models of the dialect %s"):format(tostring(dialect)) }
  end
  local models, seen, cursors, cursor = {}, {}, {}, nil
  for _ = 1, options.pages or PAGES do
    local list, after = read_page(way, provider, secret, page_url(way, url, cursor),
      options.timeout)
    if not list then return nil, after end
    if not add_page(models, seen, list) then return models, false end
    if not after then return models, true end
    -- A provider that sends the same page for ever is asked for it once.
    if cursors[after] then return models, false end
    cursors[after], cursor = true, after
  end
  return models, false
end

return provider_models
