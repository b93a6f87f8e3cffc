--- admin.api.free_name: the name that is made up for a provider, a group or a token: the stem, or
--- with a number behind it where that is taken. Who asks says what is.

---@param stem string
---@param is_taken fun(name: string): boolean
---@return string
return function(stem, is_taken)
  local name, number = stem, 1
  while is_taken(name) do
    number = number + 1
    name = ("%s-%d"):format(stem, number)
  end
  return name
end
