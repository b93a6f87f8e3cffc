--- neap.loading: what router.lua, what is stored and the policies make together: a catalog with its
--- chains, and every error, with its line. Of requests nothing is known here.

local access = require "neap.access"
local attempt = require "neap.attempt"
local catalog = require "neap.catalog"
local chain = require "neap.chain"
local config = require "neap.config"
local config_stored = require "neap.config_stored"
local fault = require "neap.fault"
local host = require "neap.host"

local loading = {}

local kept -- what rehearsals need; see loading.keep

--- The dialects that there are: a provider of another one is an error with its line.
local function dialects()
  local names = { "openai" }
  for name in (host.env("NEAP_DIALECTS") or ""):gmatch("[%w_]+") do names[#names + 1] = name end
  return names
end

--- Where policies are looked for: the user's folder, then neap's.
local function folders_of(configuration)
  return { configuration.policies, host.home() .. "/policies" }
end

--- The errors as text, one per line.
local function shown(errors) return table.concat(config.format(config.sorted(errors)), "\n") end

--- Without a token neap serves this machine alone. A check does not open the storage, where there
--- may be tokens, too.
local function token_problem(configuration, has_tokens, rows, path)
  local may_be_stored = not rows and host.files(configuration.storage .. "/state")[1] ~= nil
  if has_tokens or may_be_stored or access.is_loopback(configuration.listen) then return nil end
  return { path = path, line = configuration.listen_line, text = "without a token neap serves "
    .. "loopback only: give it a token, or listen on 127.0.0.1" }
end

--- lookups: { getenv, read }, what stands for the host's in env and file; or nil.
local function open_configuration(path, lookups)
  local text, why = host.read(path)
  if not text then return nil, ("%s:1: it cannot be read: %s"):format(path, why) end
  local configuration, errors, rest = config.load { text = text, path = path,
    getenv = lookups and lookups.getenv or host.env, read = lookups and lookups.read or host.read,
    dialects = dialects(), certificate_problem = host.certificate_problem,
    run_protected = fault.at_load }
  if configuration then return configuration end
  local of_chains = chain.problems(rest.groups, chain.loader(folders_of(rest)), path)
  for _, problem in ipairs(of_chains) do errors[#errors + 1] = problem end
  return nil, shown(errors)
end

local function stored_rows()
  local config_rows, key_rows = host.stored("config"), host.stored("keys")
  return config_rows and { config = config_rows, keys = key_rows, unseal = host.unseal }
end

--- Puts what is stored behind it. A mistake in here must not keep neap from starting either.
local function merge_stored(configuration, rows)
  local ok, problem = pcall(config_stored.merge, configuration, rows,
    { path = "stored", dialects = dialects() })
  if ok then return end
  configuration.stored = { shadowed = {}, errors = { { record = "*", text = tostring(problem) } } }
  configuration.needs_token, configuration.stored_policies = rows ~= nil, {}
end

--- Leaves out the stored policies that cannot be loaded.
local function remove_broken_policies(loader, configuration)
  for name in pairs(loader.stored) do
    local definition, problem = chain.definition(loader, name)
    if not definition then
      local errors = configuration.stored.errors
      errors[#errors + 1] = { record = "policy/" .. name, text = problem }
      loader.stored[name], loader.definitions[name] = nil, nil
    end
  end
end

--- Takes out the stored groups whose chain cannot run.
local function remove_broken(made, configuration, of_stored)
  for _, problem in ipairs(of_stored) do
    local errors = configuration.stored.errors
    errors[#errors + 1] = { record = "group/" .. problem.group.name, text = problem.text }
    catalog.remove_group(made, problem.group)
  end
end

--- What comes of router.lua's part and of these rows. read: of policies; see chain.loader.
local function build(configuration, rows, path, folders, read)
  merge_stored(configuration, rows)
  local ok, made = pcall(catalog.new, configuration)
  if not ok then return nil, ("%s:1: %s"):format(path, tostring(made)) end
  local loader = chain.loader(folders, { stored = configuration.stored_policies, read = read })
  remove_broken_policies(loader, configuration)
  local errors, of_stored = chain.attach(made, loader, attempt.run, path)
  errors[#errors + 1] = token_problem(configuration, made.has_tokens, rows, path)
  if errors[1] then return nil, shown(errors) end
  remove_broken(made, configuration, of_stored)
  return made, configuration
end

--- A copy of plain tables.
local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for name, member in pairs(value) do result[name] = copy(member) end
  return result
end

--- From now on `open` keeps what `rehearse` needs: for the admin side.
function loading.keep() kept = {} end

--- Keeps router.lua's part, and the texts of all policies.
local function keep(configuration, path, folders)
  local read, names = chain.shelf(folders)
  kept = { configuration = copy(configuration), path = path, folders = folders, read = read,
    names = { own = names[folders[1] ], neap = names[folders[2] ] } }
end

--- The catalog and the configuration that router.lua, what is stored and the policies give, or nil
--- and every error, one per line. configuration.stored says what of the stored is left out.
function loading.load(path, lookups)
  local configuration, problem = open_configuration(path, lookups)
  if not configuration then return nil, problem end
  local folders = folders_of(configuration)
  if kept then keep(configuration, path, folders) end
  return build(configuration, stored_rows(), path, folders)
end

--- What a load would make of these rows of the table config, without one: as `load`, but that of
--- stored keys there are these alone. After `keep` only.
---@param rows string[] key, value, …
---@param keys string[]? of the table keys; none
---@param unseal (fun(record: string, field: string, sealed: string): string?, string?)? of these
---@return table? catalog, table|string configuration_or_errors
function loading.rehearse(rows, keys, unseal)
  return build(copy(kept.configuration), { config = rows, keys = keys or {},
    unseal = unseal or host.unseal }, kept.path, kept.folders, kept.read)
end

--- What is kept: `configuration` of router.lua alone, `folders` and `names` ({ own, neap }) of
--- policies, and `read`, which gives a policy's text by its path.
function loading.kept() return kept end

--- What the host itself needs of a configuration.
function loading.settings_of(configuration)
  local log = configuration.log or {}
  local stored = configuration.settings or {}
  return {
    listen = configuration.listen, storage = configuration.storage,
    admin_listen = configuration.admin and configuration.admin.listen,
    certificate = configuration.tls and configuration.tls.certificate,
    key = configuration.tls and configuration.tls.key, log_format = log.format,
    log_level = log.level, workers = configuration.workers or 0,
    drain_timeout = configuration.drain_timeout, spool = configuration.spool,
    body_max = configuration.body_max or 0, watch = configuration.watch,
    journal = configuration.journal,
    record_age = stored.record_age, record_bytes = stored.record_bytes,
    body_age = stored.body_age, body_bytes = stored.body_bytes,
  }
end

--- Reads router.lua alone: the settings that the host needs before it opens its storage, or nil
--- and every error, one per line.
function loading.peek(path)
  local configuration, problem = open_configuration(path)
  if not configuration then return nil, problem end
  return loading.settings_of(configuration)
end

return loading
