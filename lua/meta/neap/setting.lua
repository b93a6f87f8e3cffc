---@meta neap.setting
--- What `require "neap.setting"` gives to a policy, for editors. Never loaded: a test holds it to
--- lua/neap/setting.lua.

---@class neap.setting
local setting = {}

---@class neap.schema one setting

---@class neap.setting_options
---@field default? any without one the setting is nil where it is not given
---@field help? string

---@class neap.number_options: neap.setting_options
---@field min? number
---@field max? number

---@class neap.choice_options: neap.setting_options
---@field values any[]

---@class neap.list_options: neap.number_options
---@field of neap.schema what each element is

---@class neap.map_options: neap.setting_options
---@field of neap.schema what each value is

--- A whole number.
---@param options? neap.number_options
---@return neap.schema
function setting.integer(options) end

--- Any finite number.
---@param options? neap.number_options
---@return neap.schema
function setting.number(options) end

--- A time in seconds, 0 or more.
---@param options? neap.number_options
---@return neap.schema
function setting.seconds(options) end

--- true or false.
---@param options? neap.setting_options
---@return neap.schema
function setting.boolean(options) end

--- A text of `min` to `max` bytes.
---@param options? neap.number_options
---@return neap.schema
function setting.text(options) end

--- A list of `min` to `max` texts that are not empty; one text stands for a list of one.
---@param options? neap.number_options
---@return neap.schema
function setting.words(options) end

--- One of `values`.
---@param options neap.choice_options
---@return neap.schema
function setting.choice(options) end

--- Statuses (429), classes ("5xx") and failures ("timeout"); the policy gets neap.outcomes.
---@param options? neap.setting_options
---@return neap.schema
function setting.outcomes(options) end

--- Spans of the week, such as "mon-fri 22:00-06:00", or a list of them; the policy gets neap.hours.
---@param options? neap.setting_options
---@return neap.schema
function setting.hours(options) end

--- A zone for `self:calendar`: "UTC", "+08:00", or a name such as "Europe/Berlin".
---@param options? neap.setting_options
---@return neap.schema
function setting.zone(options) end

--- A list of `min` to `max` elements that are each `of` a setting.
---@param options neap.list_options
---@return neap.schema
function setting.list(options) end

--- A table from texts to values `of` a setting.
---@param options neap.map_options
---@return neap.schema
function setting.map(options) end

---@class neap.outcomes what a setting of the kind outcomes gives
local outcomes = {}

--- Whether the response is one of them. "exhausted" never is.
---@param response neap.response|neap.attempt
---@return boolean
function outcomes:covers(response) end

---@class neap.hours what a setting of the kind hours gives
local hours = {}

--- Whether the moment lies in one of the spans: `self.settings.NAME:covers(self:calendar(zone))`.
---@param calendar neap.calendar
---@return boolean
function hours:covers(calendar) end

return setting
