--- admin.test.import_journal: the journal that `neap import` writes records to, as a table.

local import_journal = {}

local Journal = {}
Journal.__index = Journal

--- A journal: `records` in the order in which they came, `marks_there` by name. youngest: seconds
--- since 1970; what ended then or later is too young.
function import_journal.new(youngest)
  local self = setmetatable({ records = {}, known = {}, marks_there = {},
    youngest = youngest or math.huge }, Journal)
  for _, name in ipairs { "begin", "add", "finish", "figures", "marks" } do
    self[name] = function(...) return Journal[name](self, ...) end
  end
  function self.id(seed, seconds) return ("%.6f %s"):format(seconds, seed) end
  return self
end

function Journal:begin(age, mark)
  self.age, self.mark_before, self.carried, self.there, self.mark_last = age, mark, 0, 0, nil
end

function Journal:add(record, attempts, mark)
  if self.failure then return nil, self.failure end
  if record.wall + record.seconds >= self.youngest then return false end
  record.attempts = attempts
  if self.known[record.uuid] then
    self.there = self.there + 1
  else
    self.known[record.uuid] = true
    self.records[#self.records + 1] = record
    self.carried = self.carried + 1
  end
  if mark then self.mark_last = { name = mark, id = record.uuid } end
  return true
end

function Journal:finish()
  if self.mark_last then
    if self.mark_before then self.marks_there[self.mark_before] = nil end
    self.marks_there[self.mark_last.name] = self.mark_last.id
  end
  return true
end

function Journal:figures() return self.carried, 0, self.there end

function Journal:marks(prefix)
  local found = {}
  for name, id in pairs(self.marks_there) do
    if name:sub(1, #prefix) == prefix then found[name] = id end
  end
  return found
end

return import_journal
