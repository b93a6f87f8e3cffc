--- admin.api.compat.gemini_balance: the list of keys that gemini-balance gives to whoever has its
--- AUTH_TOKEN; the rest of its paths are clients' (neap.router).
---
--- Keys are masked here as they are for clients (neap.key_list). Whole they leave for an admin
--- token that has the scope of keys too, and for a person who enters the password again: nobody
--- reads them off a screen that was left open. Both are noted.

local account = require "admin.api.account"
local auth = require "admin.api.auth"
local change = require "admin.api.change"
local key_list = require "neap.key_list"
local json = require "neap.json"
local router = require "neap.router"
local schema = require "admin.api.schema"

local function whole(secret) return secret end

local function is_for_whole(of)
  local password = of.handle:header("x-neap-password")
  if not password then return of.who.kind == "token" and of.who.scopes.keys end
  auth.check_scope(of.who, "session")
  account.check_again(of, password)
  return true
end

local function list_keys(of)
  local _, known = router.loaded()
  local show = key_list.mask
  if is_for_whole(of) then
    change.commit(of, {}, { action = "export", object = "keys", after = json.object {
      count = known.key_count } })
    show = whole
  end
  return 200, key_list.document(known.provider_list, show)
end

local keys = { type = "array", items = { type = "string" } }
local listed = schema.object({ status = { const = "success" }, total = { type = "integer" },
  data = schema.object({ valid_keys = keys, invalid_keys = keys },
    { "valid_keys", "invalid_keys" }) }, { "status", "data", "total" })

local function op(id, path)
  return { id = id, method = "GET", path = path, tag = "compat", scope = "read", run = list_keys,
    summary = "All providers' keys by whether they work", is_compat = true,
    has_effect = true, errors = { 429, 507 },
    description = "Masked; whole for an admin token with the scope `keys`, and for a person who "
      .. "gives the password again in the header X-Neap-Password.",
    responses = { { 200, "The keys.", listed } } }
end

return {
  op("gemini_list_keys", "/v1/keys/list"),
  op("gemini_list_keys_hf", "/hf/v1/keys/list"),
}
