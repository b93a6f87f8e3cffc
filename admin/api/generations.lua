--- admin.api.generations: what is in force, what was refused, and loading anew.

local change = require "admin.api.change"
local host = require "neap.host"
local json = require "neap.json"
local problem = require "admin.api.problem"
local schema = require "admin.api.schema"

return {}
