--- admin.import.litellm: the configuration of LiteLLM's proxy (config.yaml). A deployment's
--- service, address and key are a provider, a model name is a group.
---
--- What it takes from the environment ("os.environ/NAME") is taken from there, or from a .env file
--- that is imported with it.

local host = require "neap.host"
local json = require "neap.json"
local services = require "admin.import.services"
local source = require "admin.import.source"

local litellm = { name = "litellm", title = "LiteLLM" }

local ATTEMPTS_MAX = 100

-- LiteLLM's names of services that speak OpenAI's chat completions.
local SERVICES = { openai = "openai", text_completion_openai = "openai", anthropic = "anthropic",
  gemini = "gemini", deepseek = "deepseek", groq = "groq", mistral = "mistral",
  openrouter = "openrouter", together_ai = "together", xai = "xai", perplexity = "perplexity",
  fireworks_ai = "fireworks", ollama = "ollama", ollama_chat = "ollama", hosted_vllm = "any",
  lm_studio = "any", litellm_proxy = "any", openai_like = "any", custom_openai = "any",
  llamafile = "any", vllm = "any", dashscope = "ali", moonshot = "moonshot", novita = "novita",
  cerebras = "cerebras", nvidia_nim = "nvidia", sambanova = "sambanova", deepinfra = "deepinfra",
  volcengine = "doubao", siliconflow = "siliconflow", zai = "zhipu" }
local KEYLESS = { ollama = true, ollama_chat = true, hosted_vllm = true, lm_studio = true,
  llamafile = true, vllm = true }
local KEY_VARIABLES = { together_ai = "TOGETHERAI_API_KEY", fireworks_ai = "FIREWORKS_AI_API_KEY" }

function litellm.is_own(file)
  if file.kind ~= "yaml" then return false end
  local document = json.decode(file.text)
  return json.is_object(document) and document.model_list ~= nil
end

-- ------------------------------------------------------------------------------------
-- Values

local function object_or_nil(value, where)
  if value == nil or value == json.null then return nil end
  if not json.is_object(value) then source.fail("%s must be a mapping", where) end
  return value
end

local function list_or_empty(value, where)
  if value == nil or value == json.null then return {} end
  if not json.is_array(value) then source.fail("%s must be a list", where) end
  return value
end

local function number_or_nil(value, where)
  if value == nil or value == json.null then return nil end
  return source.typed(type(value) == "table" and "x" or value, "number", where)
end

--- The text of a value, looked up where it says so: text, or nil and the variable that is not set.
local function lookup(self, value, where)
  if value == nil or value == json.null then return nil end
  if type(value) == "number" then value = ("%.14g"):format(value) end
  if type(value) ~= "string" then source.fail("%s must be a text", where) end
  local name = value:match("^os%.environ/(.+)$")
  if not name then return value end
  local found = self.variables[name] or host.env(name)
  if found and found ~= "" then return found end
  return nil, name
end

-- ------------------------------------------------------------------------------------
-- Deployments

--- "openai/gpt-4o" → service and model; a name alone is OpenAI's, or Anthropic's.
local function split(params, model)
  local service = params.custom_llm_provider
  if type(service) == "string" then
    local front = service .. "/"
    return service, model:sub(1, #front) == front and model:sub(#front + 1) or model
  end
  local front, rest = model:match("^([%w_]+)/(.+)$")
  if front then return front, rest end
  if model:find("^claude%-") then return "anthropic", model end
  return "openai", model
end

local PRICES = { input_cost_per_token = "input", output_cost_per_token = "output",
  cache_read_input_token_cost = "cached", cache_creation_input_token_cost = "cache_write",
  output_cost_per_reasoning_token = "reasoning" }

--- USD per token there, per million of them here.
local function prices_of(params, info, where)
  local prices = {}
  for name, ours in pairs(PRICES) do
    local value = number_or_nil(params[name], where) or number_or_nil(info[name], where)
    -- Millions of a decimal fraction are a decimal fraction again.
    if value then prices[ours] = math.floor(value * 1e12 + 0.5) / 1e6 end
  end
  return prices
end

--- An address as LiteLLM has it ends where the operation is added.
local function url_of(service, base)
  if not base or base == "" then return services.url(SERVICES[service]) end
  base = base:gsub("/+$", "")
  if service == "ollama" or service == "ollama_chat" then return base end
  if base:find("/v1$") then return base end
  local path = base:match("^%a[%w+.-]*://[^/]*(.*)$")
  -- One without any path is a host: OpenAI's client asks there without "/v1", and so do we.
  return path and base .. "/" or nil
end

local function secret_of(self, service, params, where)
  local secret, unset = lookup(self, params.api_key, where .. ": api_key")
  if secret or unset then return secret, unset end
  if KEYLESS[service] then return nil end
  local name = KEY_VARIABLES[service] or service:upper() .. "_API_KEY"
  return lookup(self, "os.environ/" .. name, where)
end

local function headers_of(self, params, where)
  local headers = {}
  for name, value in pairs(object_or_nil(params.extra_headers, where .. ": extra_headers") or {}) do
    headers[name] = lookup(self, value, where .. ": extra_headers")
  end
  local organization = lookup(self, params.organization, where .. ": organization")
  if organization then headers["OpenAI-Organization"] = organization end
  return next(headers) and json.object(headers) or nil
end

--- The provider of a deployment, the same for all at one address with one key.
local function provider_for(self, service, url, secret, headers)
  local place = table.concat({ service, url, secret or "", headers and json.encode(headers) or "" },
    "\n")
  local provider = self.by_place[place]
  if not provider then
    provider = self.plan:provider { wish = service, url = url,
      keys = secret and { { secret = secret } } or {},
      fields = { keyless = not secret or nil, headers = headers } }
    self.by_place[place] = provider
  end
  return provider
end

local function text_of(value) return type(value) == "string" and value or nil end

--- Why a deployment cannot be carried over, or nil.
local function reason_against(service, model, name, base)
  if not SERVICES[service] or (service == "anthropic" and base) then
    return ("%s has a protocol of its own, or is not for chat"):format(source.shown(service))
  end
  if model:find("*", 1, true) or name:find("*", 1, true) then
    return "it stands for any model: import the provider's models, and name them"
  end
end

local function add_deployment(self, one, index)
  local where = ("%s: model_list, entry %d"):format(self.file.path, index)
  local params = object_or_nil(one.litellm_params, where .. ": litellm_params") or {}
  local info = object_or_nil(one.model_info, where .. ": model_info") or {}
  local name, model = text_of(one.model_name), lookup(self, params.model,
    where .. ": model")
  if not name or not model then source.fail("%s has no model_name or no model", where) end
  local service, meant = split(params, model)
  local what = ("deployment %d (%s)"):format(index, source.shown(name))
  local base, base_unset = lookup(self, params.api_base or params.base_url,
    where .. ": api_base")
  local secret, unset = secret_of(self, service, params, where)
  local url = SERVICES[service] and url_of(service, base)
  local why = reason_against(service, meant, name, base)
    or (base_unset or unset) and ("the variable %s is not set: set it, or give the .env file too")
      :format(base_unset or unset)
    or not url and "it has no address (api_base)"
  if why then return self.plan:leave(what, why) end
  local provider = provider_for(self, service, url, secret, headers_of(self, params, where))
  provider.models[meant] = prices_of(params, info, where)
  local weight = number_or_nil(params.weight, where .. ": weight")
    or number_or_nil(params.rpm, where .. ": rpm") or number_or_nil(params.tpm, where .. ": tpm")
  self.weighted[name] = self.weighted[name] or weight ~= nil
  self.plan:target(self.plan:group(name), { provider = provider, model = meant,
    priority = number_or_nil(params.order, where .. ": order"), weight = weight })
end

-- ------------------------------------------------------------------------------------
-- The router

local ORDERS = { ["simple-shuffle"] = "weight", ["least-busy"] = "in_flight",
  ["latency-based-routing"] = "latency", ["cost-based-routing"] = "price" }

local function copy_targets(plan, from, to, shift)
  for _, target in ipairs(from) do
    plan:target(to, { provider = target.provider, model = target.model,
      priority = (target.priority or 1) + shift, weight = target.weight })
  end
end

local function highest(group)
  local most = 1
  for _, target in ipairs(group.targets) do most = math.max(most, target.priority or 1) end
  return most
end

local function targets_of(plan, name)
  for _, group in ipairs(plan.groups) do
    if group.name == name then return { unpack(group.targets) } end
  end
end

local function add_aliases(self, router, where)
  local aliases = object_or_nil(router.model_group_alias, where .. ": model_group_alias") or {}
  for _, alias in ipairs(self.names(aliases)) do
    local to = aliases[alias]
    if json.is_object(to) then to = to.model end
    local targets = targets_of(self.plan, to)
    if targets then
      copy_targets(self.plan, targets, self.plan:group(alias), 0)
    else
      self.plan:leave("alias " .. source.shown(alias), "what it stands for is not carried over")
    end
  end
end

--- { name = { other, … } } lists, as LiteLLM writes fallbacks: behind a group's own targets come
--- those of the others.
local function add_fallbacks(self, list, where)
  -- Those of all groups as they were, so that a ring of fallbacks does not go round.
  local before = {}
  for _, group in ipairs(self.plan.groups) do before[group.name] = { unpack(group.targets) } end
  for _, one in ipairs(list_or_empty(list, where)) do
    one = object_or_nil(one, where) or {}
    for _, name in ipairs(self.names(one)) do
      for _, other in ipairs(list_or_empty(one[name], where)) do
        if before[name] and before[other] then
          local group = self.plan:group(name)
          copy_targets(self.plan, before[other], group, highest(group))
        else
          self.plan:leave(("fallback from %s to %s"):format(source.shown(name),
            source.shown(tostring(other))), "one of them is not carried over")
        end
      end
    end
  end
end

local function add_defaults(self, names, where)
  local list = json.array {}
  for _, group in ipairs(self.plan.groups) do
    list[#list + 1] = json.object { [group.name] = names }
  end
  add_fallbacks(self, #list_or_empty(names, where) > 0 and list or nil, where)
end

--- The chain that spreads requests as the routing strategy does; nil: neap's own.
local function policies_of(self, strategy, group)
  if not group.targets[2] then return nil end
  local by = ORDERS[strategy or "simple-shuffle"] or "weight"
  if by == "weight" and not self.weighted[group.name] then by = "in_flight" end
  return json.array { "circuit_breaker", json.object { name = "order",
    settings = json.object { by = by, keep_priority = true } }, "priority_failover",
    "key_rotation", "keyword_retry" }
end

local function add_limits(self, router, settings, where)
  local retries = number_or_nil(router.num_retries or settings.num_retries,
    where .. ": num_retries")
  local timeout = number_or_nil(router.timeout or settings.request_timeout, where .. ": timeout")
  for _, group in ipairs(self.plan.groups) do
    if self.is_own[group.name] then
      group.fields.policies = policies_of(self, text_of(router.routing_strategy), group)
      if retries and retries >= 0 and retries % 1 == 0 then
        -- A fallback has retries of its own, beyond those.
        local attempts = math.min(math.max(retries + 1, #group.targets), ATTEMPTS_MAX)
        group.fields.limits = json.object { attempts = attempts }
      end
      if timeout and timeout > 0 then
        group.fields.timeouts = json.object { total = timeout }
      end
    end
  end
  local fails = number_or_nil(router.allowed_fails or settings.allowed_fails,
    where .. ": allowed_fails")
  if fails and fails >= 0 then
    self.plan:set("failure_threshold", math.floor(fails) + 1, "allowed_fails")
    self.plan:set("failure_window", 60, "allowed_fails")
  end
end

-- ------------------------------------------------------------------------------------

local READ = {
  router_settings = { num_retries = true, timeout = true, allowed_fails = true, fallbacks = true,
    default_fallbacks = true, model_group_alias = true, routing_strategy = true },
  litellm_settings = { num_retries = true, request_timeout = true, allowed_fails = true,
    fallbacks = true, default_fallbacks = true },
  general_settings = { master_key = true },
}
local SECTIONS = { model_list = true, environment_variables = true, router_settings = true,
  litellm_settings = true, general_settings = true }
local WHY = {
  database_url = "the keys, teams and budgets in its database are not in this file",
  cooldown_time = "how long a target rests grows with its failures",
  drop_params = "neap sends what the client sent",
}

local function leave_rest(self, document)
  for section, read in pairs(READ) do
    for _, name in ipairs(self.names(document[section] or {})) do
      if not read[name] then
        self.plan:leave(("%s.%s"):format(section, source.shown(name)),
          WHY[name] or "neap has nothing that is set like this")
      end
    end
  end
  for _, name in ipairs(self.names(document)) do
    if not SECTIONS[name] then
      self.plan:leave(source.shown(name), "neap has nothing that is set like this")
    end
  end
end

local function names_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

local function add_master_key(self, general)
  local secret, unset = lookup(self, general.master_key, self.file.path .. ": master_key")
  if secret then
    self.plan:token { wish = "master", secret = secret, is_for_all = true }
  elseif unset then
    self.plan:leave("general_settings.master_key", ("the variable %s is not set"):format(unset))
  end
end

--- The variables that the document itself has, and those of .env files of the same import.
local function variables_of(document, given, where)
  local variables = {}
  local own = object_or_nil(document.environment_variables, where .. ": environment_variables")
  for _, set in ipairs { given or {}, own or {} } do
    for name, value in pairs(set) do
      if type(value) == "string" then variables[name] = value end
    end
  end
  return variables
end

--- Fills the plan with what the file holds. variables: of the .env files that come with it.
function litellm.fill(file, plan, variables)
  local document, path = json.decode(file.text), file.path
  local self = { file = file, plan = plan, by_place = {}, weighted = {}, is_own = {},
    names = names_of, variables = variables_of(document, variables, path) }
  for _, section in ipairs { "router_settings", "litellm_settings", "general_settings" } do
    document[section] = object_or_nil(document[section], path .. ": " .. section)
  end
  local router, settings = document.router_settings or {}, document.litellm_settings or {}
  for index, one in ipairs(list_or_empty(document.model_list, path .. ": model_list")) do
    local where = ("%s: model_list, entry %d"):format(path, index)
    add_deployment(self, object_or_nil(one, where) or {}, index)
  end
  add_aliases(self, router, path)
  add_fallbacks(self, router.fallbacks or settings.fallbacks, path .. ": fallbacks")
  add_defaults(self, router.default_fallbacks or settings.default_fallbacks,
    path .. ": default_fallbacks")
  for _, group in ipairs(plan.groups) do self.is_own[group.name] = true end
  add_limits(self, router, settings, path)
  add_master_key(self, document.general_settings or {})
  leave_rest(self, document)
end

return litellm
