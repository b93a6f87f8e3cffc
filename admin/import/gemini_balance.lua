--- admin.import.gemini_balance: the variables of gemini-balance (.env), which has no database.
---
--- The keys become a provider at Gemini's own OpenAI-compatible address, which asks no other
--- protocol of neap.

local json = require "neap.json"
local price_table = require "neap.price_table"
local source = require "admin.import.source"

local gemini = { name = "gemini-balance", title = "gemini-balance", reads_variables = true }

local BASE = "https://generativelanguage.googleapis.com/v1beta"

function gemini.is_own(file)
  return file.kind == "env" and file.variables.API_KEYS ~= nil
end

--- A list as it stands in a variable: JSON, or single texts with commas between.
local function list_of(file, name)
  local text = file.variables[name]
  if not text or not text:find("%S") then return {} end
  if not text:find("^%s*%[") then
    local list = {}
    for one in text:gmatch("[^,]+") do list[#list + 1] = one:match("^%s*(.-)%s*$") end
    return list
  end
  local list = json.decode(text)
  if not json.is_array(list) then source.fail("%s: %s is no JSON list", file.path, name) end
  for _, one in ipairs(list) do
    if type(one) ~= "string" then source.fail("%s: %s must be a list of texts", file.path, name) end
  end
  return list
end

--- Clients named Gemini's models as they are.
local function add_models(file, provider)
  for _, name in ipairs(price_table.names()) do
    if name:find("^gemini%-") then provider.models[name] = price_table.find(name) end
  end
  for _, name in ipairs(list_of(file, "MODEL_SEARCH")) do
    provider.models[name] = provider.models[name] or price_table.find(name) or {}
  end
end

local function add_tokens(file, plan, provider)
  local auth, tokens = file.variables.AUTH_TOKEN, list_of(file, "ALLOWED_TOKENS")
  if auth == "" then auth = nil end
  if not auth then
    plan:leave("AUTH_TOKEN", "it is not set, which let the first client list the keys: a token "
      .. "with the right keys may")
  end
  local is_there = false
  for index, secret in ipairs(tokens) do
    local is_auth = secret == auth
    is_there = is_there or is_auth
    plan:token { wish = ("gemini-%d"):format(index), secret = secret, providers = { provider },
      fields = { rights = is_auth and json.array { "keys" } or nil } }
  end
  if auth and not is_there then
    plan:token { wish = "gemini-auth", secret = auth, providers = { provider },
      fields = { rights = json.array { "keys" } } }
  end
end

local LEFT = {
  MAX_FAILURES = "keys that fail rest and come back by themselves",
  MAX_RETRIES = "a group's limits say how many attempts there are",
  TEST_MODEL = "neap checks keys by the provider's list of models",
  TOOLS_CODE_EXECUTION_ENABLED = "Gemini's own tools are not reached by its OpenAI-compatible "
    .. "address",
  SHOW_SEARCH_LINK = "as TOOLS_CODE_EXECUTION_ENABLED",
  SHOW_THINKING_PROCESS = "what a model thinks stays in fields of its own",
}

local READ = { API_KEYS = true, ALLOWED_TOKENS = true, AUTH_TOKEN = true, BASE_URL = true,
  MODEL_SEARCH = true }

--- Fills the plan with what the file holds.
function gemini.fill(file, plan)
  local base = file.variables.BASE_URL
  base = (base and base ~= "" and base or BASE):gsub("/+$", "")
  local provider = plan:provider { wish = "gemini", url = base .. "/openai/", is_pool = true }
  for _, secret in ipairs(list_of(file, "API_KEYS")) do
    provider.keys[#provider.keys + 1] = { secret = secret:match("^%s*(.-)%s*$") }
  end
  add_models(file, provider)
  add_tokens(file, plan, provider)
  if list_of(file, "MODEL_SEARCH")[1] then
    plan:leave("MODEL_SEARCH", "the models are carried over; names with -search behind them were "
      .. "gemini-balance's own, and searching is Gemini's own protocol's")
  end
  for name, why in pairs(LEFT) do
    if file.variables[name] then plan:leave(name, why) end
  end
  plan:leave_others(file.variables, LEFT, READ)
  plan:hint("Gemini is asked by its OpenAI-compatible address. An import of models over the admin "
    .. "API brings the list of today's.")
end

return gemini
