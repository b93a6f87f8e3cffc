--- neap.provider_secrets: what of a stored provider is sealed: the values of its headers, and those
--- of its proxies that come with a password.
---
---     { headers = { ["X-Own"] = "(hidden)" }, proxy = { "(hidden)" },
---       sealed = { ["headers/X-Own"] = "…", ["proxy/1"] = "…" } }
---
--- A provider that was stored before this is in clear, and is sealed by the next write, or when the
--- admin side begins.

local json = require "neap.json"

local provider_secrets = {}

provider_secrets.HIDDEN = "(hidden)"

local HIDDEN = provider_secrets.HIDDEN

--- Calls visit(members, name, field) for each value that is to be sealed, where it stands.
local function each_secret(document, visit)
  for name in pairs(document.headers or {}) do visit(document.headers, name, "headers/" .. name) end
  for place, url in ipairs(document.proxy or {}) do
    if url == HIDDEN or type(url) == "string" and url:find("@", 1, true) then
      visit(document.proxy, place, "proxy/" .. place)
    end
  end
end

--- A copy of which the parts that hold secrets are copies, too.
local function copy(document)
  local result = json.object {}
  for name, value in pairs(document) do result[name] = value end
  if type(document.headers) == "table" then
    result.headers = json.object {}
    for name, value in pairs(document.headers) do result.headers[name] = value end
  end
  if type(document.proxy) == "table" then result.proxy = json.array { unpack(document.proxy) } end
  return result
end

--- The document as it is stored; the given one stays as it is. What is hidden already keeps what
--- is sealed of it.
---@param document table
---@param seal fun(field: string, secret: string): string? raises, or gives the sealed text
---@return table
function provider_secrets.close(document, seal)
  local result, sealed = copy(document), json.object {}
  local before = type(document.sealed) == "table" and document.sealed or {}
  each_secret(result, function(members, name, field)
    if members[name] == HIDDEN then
      sealed[field] = before[field]
    else
      sealed[field], members[name] = seal(field, members[name]), HIDDEN
    end
  end)
  result.sealed = next(sealed) and sealed or nil
  return result
end

--- Whether a document as it is stored has some of it in clear.
---@param document table
---@return boolean
function provider_secrets.is_clear(document)
  local is_clear = false
  each_secret(document, function(members, name)
    is_clear = is_clear or members[name] ~= HIDDEN
  end)
  return is_clear
end

--- The document in clear; the given one stays as it is. nil and why where a secret does not open.
---@param document table
---@param unseal fun(field: string, sealed: string): string?, string?
---@return table?, string?
function provider_secrets.open(document, unseal)
  local sealed = document.sealed
  if type(sealed) ~= "table" then return document end
  local result, why = copy(document), nil
  each_secret(result, function(members, name, field)
    if members[name] ~= HIDDEN or why then return end
    local secret, problem
    if type(sealed[field]) == "string" then secret, problem = unseal(field, sealed[field]) end
    if secret then members[name] = secret
    else why = ("%s: %s"):format(field, problem or "it has no sealed secret") end
  end)
  if why then return nil, why end
  result.sealed = nil
  return result
end

return provider_secrets
