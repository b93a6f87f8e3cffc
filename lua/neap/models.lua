--- neap.models: GET /v1/models: what a token may name in `model`.
---
--- The items satisfy OpenAI's clients and those of the routers that people come from.

local answer = require "neap.answer"
local host = require "neap.host"
local json = require "neap.json"
local offer = require "neap.offer"
local plain = require "neap.plain"

local models = {}

local started = math.floor(host.wall())

local function item(model)
  return json.object {
    id = model.id, object = "model", created = started, owned_by = model.owner, root = model.id,
    parent = json.null,
    permission = json.array { json.object {
      id = "modelperm-" .. model.id, object = "model_permission", created = started,
      allow_create_engine = false, allow_sampling = true, allow_logprobs = true,
      allow_search_indices = false, allow_view = true, allow_fine_tuning = false,
      organization = "*", group = json.null, is_blocking = false,
    } },
  }
end

function models.list(of, known)
  local data = json.array {}
  for index, model in ipairs(offer.list(known, of.token)) do data[index] = item(model) end
  plain.send(of, 200, json.object { object = "list", data = data })
end

function models.show(of, known, id)
  id = id:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  local model = offer.find(known, of.token, id)
  if model then return plain.send(of, 200, item(model)) end
  answer.refuse(of, 404, ("there is no model \"%s\""):format(id), { code = "model_not_found" })
end

return models
