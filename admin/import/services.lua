--- admin.import.services: where services speak OpenAI's chat completions, by the names that other
--- routers have for them. A URL is one of a provider of neap's: behind a "/" at its end no "/v1" is
--- added, with a "#" nothing.
---
--- What is not here speaks a protocol of its own only, or is no service for chat.

local services = {}

---@class admin.import.service
---@field base string? its own address; nil: whoever uses it has one
---@field path string? what stands behind an address that somebody gave it; nil: nothing

local function service(base, path) return { base = base, path = path } end

---@type table<string, admin.import.service>
services.known = {
  openai = service("https://api.openai.com"),
  anthropic = service("https://api.anthropic.com"),
  gemini = service("https://generativelanguage.googleapis.com", "/v1beta/openai/"),
  ali = service("https://dashscope.aliyuncs.com", "/compatible-mode/v1"),
  baichuan = service("https://api.baichuan-ai.com"),
  baidu_v2 = service("https://qianfan.baidubce.com", "/v2/"),
  cerebras = service("https://api.cerebras.ai"),
  cohere = service("https://api.cohere.ai", "/compatibility/v1"),
  deepinfra = service("https://api.deepinfra.com", "/v1/openai/"),
  deepseek = service("https://api.deepseek.com"),
  doubao = service("https://ark.cn-beijing.volces.com", "/api/v3/"),
  fireworks = service("https://api.fireworks.ai/inference"),
  groq = service("https://api.groq.com/openai"),
  lingyiwanwu = service("https://api.lingyiwanwu.com"),
  minimax = service("https://api.minimax.chat", "/v1/text/chatcompletion_v2#"),
  mistral = service("https://api.mistral.ai"),
  moonshot = service("https://api.moonshot.cn"),
  novita = service("https://api.novita.ai/v3/openai", "/"),
  nvidia = service("https://integrate.api.nvidia.com"),
  ollama = service("http://localhost:11434"),
  openrouter = service("https://openrouter.ai/api"),
  perplexity = service("https://api.perplexity.ai", "/"),
  sambanova = service("https://api.sambanova.ai"),
  siliconflow = service("https://api.siliconflow.cn"),
  stepfun = service("https://api.stepfun.com"),
  together = service("https://api.together.xyz"),
  xai = service("https://api.x.ai"),
  xunfei_v2 = service("https://spark-api-open.xf-yun.com"),
  zhipu = service("https://open.bigmodel.cn", "/api/paas/v4/"),
  ai360 = service("https://api.360.cn"),
  xinference = service(nil), submodel = service("https://llm.submodel.ai"),
  -- Addresses that others give: as they are, with "/v1" or without, or all of it.
  any = service(nil), any_below = service(nil, "/"), any_exact = service(nil, "#"),
}

--- The URL of a provider for a service: at an address of its own, or at the service's.
---@param name string
---@param base string? somebody's own address, nil or "": the service's
---@return string? url nil: there is no address
function services.url(name, base)
  local known = services.known[name]
  base = base and base:match("^%s*(.-)%s*$") or ""
  if base == "" then base = known.base end
  if not base then return nil end
  if known.path == "#" then return base .. "#" end
  base = base:gsub("/+$", "")
  -- Some give the whole address where the rest was added already.
  if known.path and base:sub(-#known.path:gsub("/$", "")) == known.path:gsub("/$", "") then
    return base .. known.path:match("/?$")
  end
  return base .. (known.path or "")
end

return services
