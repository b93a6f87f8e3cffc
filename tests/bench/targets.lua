--- What is measured: neap, the baselines from Debian packages, and the upstream alone.
---
--- A target is made for one build folder, writes its configuration there, and knows for each
--- kind of upstream ("plain", "tls", "close") the port, and the model name, that lead to it.
--- Baselines verify the upstream's certificate as neap does, keep connections open, and are
--- bound to one worker.

local targets = {}

local PORTS = {
  upstream = 28100, nginx = 28110, nginx_log = 28120, haproxy = 28130, nginx_lua = 28140,
  neap = 28150, neap_off = 28160, neap_large = 28170,
}
local OFFSET = { plain = 0, tls = 1, close = 2, stream_plain = 3, stream_tls = 4 }
local KINDS = { "plain", "tls", "close" }
local MODELS = { plain = "bench", tls = "bench_tls", close = "bench_close" }

targets.token = "bench-token-0123456789"

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function find(name)
  for _, folder in ipairs { "/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/" } do
    if exists(folder .. name) then return folder .. name end
  end
end

local function fill(text, values)
  return (text:gsub("@(%w+)@", function(name) return tostring(values[name]) end))
end

local CERTIFY = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "
  .. "-subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' "
  .. "-keyout '%s' -out '%s' 2>'%s'"
-- A store of the usual size: a proxy that reads it anew for each connection must show it.
local TRUST = "cat /etc/ssl/certs/ca-certificates.crt '%s' >'%s/trusted.pem' 2>/dev/null"

--- The arguments of the mock upstream, with a certificate that is made when there is none.
function targets.upstream(build)
  local certificate, key = build .. "/certificate.pem", build .. "/key.pem"
  if not exists(certificate) then
    local log = build .. "/openssl.log"
    local made = os.execute(CERTIFY:format(key, certificate, log))
    assert(made == 0 or made == true, "openssl made no certificate, see " .. log)
    os.execute(TRUST:format(certificate, build))
  end
  local argv = { build .. "/upstream", certificate, key }
  for _, kind in ipairs(KINDS) do
    argv[#argv + 1] = ("%d:%s"):format(PORTS.upstream + OFFSET[kind], kind)
  end
  return argv
end

local Target = {}
Target.__index = Target

--- The port for requests of a kind, or for streams of that kind.
function Target:port(kind, is_stream)
  if not self.splits then return PORTS[self.name] end
  return PORTS[self.name] + OFFSET[is_stream and "stream_" .. kind or kind]
end

function Target.model(_, kind)
  return MODELS[kind]
end

-- nginx ----------------------------------------------------------------------------------

local NGINX_MODULES = "/usr/lib/nginx/modules/"
local LOAD_LUA = ("load_module %sndk_http_module.so;\nload_module %sngx_http_lua_module.so;")
  :format(NGINX_MODULES, NGINX_MODULES)

local NGINX = [[
@modules@
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile @files@;
pid @folder@/nginx.pid;
error_log @folder@/error.log warn;
events { worker_connections @connections@; }
http {
  access_log @log@;
  client_body_temp_path @folder@/body;
  proxy_temp_path @folder@/proxy;
  fastcgi_temp_path @folder@/fastcgi;
  uwsgi_temp_path @folder@/uwsgi;
  scgi_temp_path @folder@/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_buffer_size 4m;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_ssl_name localhost;
  proxy_ssl_server_name on;
  proxy_ssl_verify on;
  proxy_ssl_trusted_certificate @build@/trusted.pem;
@lua@@servers@}
]]

local NGINX_SERVER = [[
  upstream @kind@ {
    server 127.0.0.1:@upstream@;
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }
  server {
    listen 127.0.0.1:@port@ backlog=4096;
    location / { proxy_pass @scheme@://@kind@; }
  }
]]

local NGINX_STREAMS = [[
  server {
    listen 127.0.0.1:@port@ backlog=4096;
    location / { proxy_pass @scheme@://@kind@; proxy_buffering off; }
  }
]]

-- What a gateway in Lua does at least: who asks, what for, and with which model it goes on.
local NGINX_LUA = [[
  lua_package_path ";;";
  init_by_lua_block {
    json = require "cjson"
    tokens = { ["Bearer @token@"] = { models = { bench = "mock-model" } } }
  }
  access_by_lua_block {
    local token = tokens[ngx.var.http_authorization or ""]
    if not token then return ngx.exit(401) end
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    local request = body and json.decode(body)
    local model = request and token.models[request.model]
    if not model then return ngx.exit(403) end
    request.model = model
    ngx.req.set_body_data(json.encode(request))
  }
]]

local function nginx_servers(name, build)
  local text = {}
  for _, kind in ipairs(KINDS) do
    local values = {
      kind = kind,
      build = build,
      scheme = kind == "plain" and "http" or "https",
      upstream = PORTS.upstream + OFFSET[kind],
      port = PORTS[name] + OFFSET[kind],
    }
    text[#text + 1] = fill(NGINX_SERVER, values)
    if kind ~= "close" then
      values.port = PORTS[name] + OFFSET["stream_" .. kind]
      text[#text + 1] = fill(NGINX_STREAMS, values)
    end
  end
  return table.concat(text)
end

local function nginx(name, build, options)
  local folder = build .. "/" .. name
  local program = find "nginx"
  local self = setmetatable({ name = name, splits = true }, Target)
  local lua = name == "nginx_lua"
  if not program or lua and not exists(NGINX_MODULES .. "ngx_http_lua_module.so") then
    return self
  end
  os.execute(("mkdir -p '%s'"):format(folder))
  write(folder .. "/nginx.conf", fill(NGINX, {
    modules = lua and LOAD_LUA or "",
    files = options.files,
    connections = options.files - 100,
    folder = folder,
    build = build,
    log = name == "nginx" and "off" or folder .. "/access.log",
    lua = lua and fill(NGINX_LUA, { token = targets.token }) or "",
    servers = nginx_servers(name, build),
  }))
  self.argv = { program, "-p", folder, "-c", folder .. "/nginx.conf" }
  self.logs = { folder .. "/access.log" }
  return self
end

-- haproxy --------------------------------------------------------------------------------

local HAPROXY = [[
global
  nbthread 1
  maxconn @connections@
  ssl-server-verify required
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
]]

local HAPROXY_KIND = [[
frontend @kind@
  bind 127.0.0.1:@port@ backlog 4096
  default_backend mock_@kind@
backend mock_@kind@
  server mock 127.0.0.1:@upstream@ @tls@
]]

local function haproxy(name, build, options)
  local folder = build .. "/" .. name
  local program = find "haproxy"
  local self = setmetatable({ name = name, splits = true }, Target)
  if not program then return self end
  os.execute(("mkdir -p '%s'"):format(folder))
  local text = { fill(HAPROXY, { connections = math.floor((options.files - 400) / 2) }) }
  for _, kind in ipairs(KINDS) do
    text[#text + 1] = fill(HAPROXY_KIND, {
      kind = kind,
      port = PORTS[name] + OFFSET[kind],
      upstream = PORTS.upstream + OFFSET[kind],
      tls = kind == "plain" and "" or ("ssl ca-file %s/trusted.pem verify required "
        .. "verifyhost localhost sni str(localhost)"):format(build),
    })
  end
  write(folder .. "/haproxy.cfg", table.concat(text))
  self.argv = { program, "-db", "-f", folder .. "/haproxy.cfg" }
  -- It does not buffer whole answers, so streams need no port of their own.
  self.port = function(_, kind) return PORTS.haproxy + OFFSET[kind] end
  return self
end

-- neap -----------------------------------------------------------------------------------

local ROUTER = [[
listen  = "127.0.0.1:@port@"
storage = "@folder@/data"
workers = 1
drain_timeout = 1
]]

local ROUTER_KIND = [[

provider "mock_@kind@" {
  dialect = "openai",
  url     = "@scheme@://127.0.0.1:@upstream@/v1",
  keys    = { "bench-key-0123456789" },
  models  = { ["mock-model"] = { input = 2.50, output = 10 } },
}

group "@model@" { targets = { { "mock_@kind@", "mock-model" } } }
]]

--- neap_off writes no records; neap_large has a journal of so many records, and an admin side.
local function neap(name, build, options)
  local program, records = options.program, options.records
  local folder = build .. "/" .. name
  if name == "neap_large" then folder = ("%s/journal_%dm"):format(build, records / 1e6) end
  local self = setmetatable({ name = name, folder = folder }, Target)
  if not exists(program) then return self end
  os.execute(("mkdir -p '%s'"):format(folder))
  local text, groups = { fill(ROUTER, { port = PORTS[name], folder = folder }) }, {}
  if name == "neap_off" then text[2] = "journal = false\n" end
  if name == "neap_large" then
    self.records, self.admin_port = records, PORTS[name] + 1
    text[2] = ("admin = { listen = \"127.0.0.1:%d\" }\n"):format(self.admin_port)
  end
  for _, kind in ipairs(KINDS) do
    groups[#groups + 1] = ("%q"):format(MODELS[kind])
    text[#text + 1] = fill(ROUTER_KIND, {
      kind = kind,
      scheme = kind == "plain" and "http" or "https",
      upstream = PORTS.upstream + OFFSET[kind],
      model = MODELS[kind],
    })
  end
  text[#text + 1] = ("\ntoken \"bench\" { secret = %q, groups = { %s } }\n")
    :format(targets.token, table.concat(groups, ", "))
  write(folder .. "/router.lua", table.concat(text))
  self.argv = { program, "serve", "-c", folder .. "/router.lua" }
  self.environment = { SSL_CERT_FILE = build .. "/trusted.pem" }
  return self
end

--- All targets by name. One whose program is not installed has no `argv`.
---@param build string the absolute folder for configuration and logs
---@param options table files (how many a process may open), program (neap's executable),
---  records (of neap_large)
function targets.all(build, options)
  local direct = setmetatable({ name = "direct", is_direct = true }, Target)
  direct.port = function(_, kind) return PORTS.upstream + OFFSET[kind] end
  -- The journal's own code, without the program around it.
  local journal = setmetatable({ name = "journal", is_direct = true }, Target)
  local all = { direct = direct, journal = journal }
  local makers = {
    nginx = nginx, nginx_log = nginx, nginx_lua = nginx, haproxy = haproxy, neap = neap,
    neap_off = neap, neap_large = neap,
  }
  for name, make in pairs(makers) do
    all[name] = make(name, build, options)
    all[name].log = ("%s/%s.log"):format(build, name)
  end
  return all
end

return targets
