--- neap.dialect.openai_form: an answer of OpenAI's chat completions in its other form: put together
--- from a stream, or taken apart into one. Nothing that it says is lost, with all its choices and
--- with members that neap does not know; the canonical form, which knows less, is for answers
--- that change their dialect.

local json = require "neap.json"

local form = {}

local function as_table(value) return type(value) == "table" and value or nil end

-- ------------------------------------------------------------------------------------
-- A stream becomes one answer

-- Texts that come in pieces, wherever they stand in a delta; others come whole.
local PIECES = { content = true, reasoning_content = true, reasoning = true, refusal = true,
  arguments = true, input = true, data = true, transcript = true }

local function is_list(value) return value[1] ~= nil or json.is_array(value) end

local function is_said(value) return type(value) == "string" and value ~= "" end

local merge

local function are_parts(value) return as_table(value) ~= nil and as_table(value[1]) ~= nil end

--- Adds to a content that has parts: some providers send the thoughts as parts, the text without.
local function add_parts(had, content)
  local parts = as_table(had) or json.array {}
  if is_said(had) then parts[1] = json.object { type = "text", text = had } end
  for _, part in ipairs(are_parts(content) and content or {}) do parts[#parts + 1] = part end
  local last = parts[#parts]
  if not is_said(content) then return parts end
  if type(last) == "table" and is_said(last.text) then
    last.text = last.text .. content
  else
    parts[#parts + 1] = json.object { type = "text", text = content }
  end
  return parts
end

--- The call that a fragment belongs to: that of its index, or the last one; a new one where the
--- fragment has an id and a name of its own.
local function call_of(calls, fragment)
  local index = tonumber(fragment.index)
  if index and index < 0 then index = nil end
  local call = calls[#calls]
  if index then call = calls.by_index[index] end
  local made = as_table(fragment["function"]) or {}
  if call and is_said(fragment.id) and fragment.id ~= call.id and (is_said(made.name) or not index)
  then
    call = nil
  end
  if not call then
    call = json.object {}
    calls[#calls + 1] = call
    if index then calls.by_index[index] = call end
  end
  return call
end

local function merge_calls(into, fragments, calls)
  for _, fragment in ipairs(fragments) do
    if type(fragment) == "table" then
      local call = call_of(calls, fragment)
      fragment.index = nil
      merge(call, fragment)
    end
  end
  into.tool_calls = into.tool_calls or json.array {}
  for place, call in ipairs(calls) do into.tool_calls[place] = call end
end

--- Adds what a delta says to what was said before.
function merge(into, delta, calls)
  for name, value in pairs(delta) do
    local had = into[name]
    if name == "tool_calls" and calls then
      if as_table(value) then merge_calls(into, value, calls) end
    elseif name == "content" and calls and (as_table(had) or are_parts(value)) then
      into.content = add_parts(had, value)
    elseif type(value) == "table" and type(had) == "table" then
      if is_list(value) then
        for _, element in ipairs(value) do had[#had + 1] = element end
      else
        merge(had, value)
      end
    elseif PIECES[name] and type(had) == "string" then
      if type(value) == "string" then into[name] = had .. value end
    elseif had == nil or (value ~= json.null and value ~= "") then
      into[name] = value
    end
  end
end

local function choice_of(state, index)
  local found = state.choices[index]
  if not found then
    found = { calls = { by_index = {} }, message = json.object { role = "assistant",
      content = json.null, refusal = json.null }, index = index }
    state.choices[index], state.order[#state.order + 1] = found, found
  end
  return found
end

--- Adds one event's document. state: a table that the caller keeps, empty at first.
function form.gather(state, document)
  if not state.choices then
    state.choices, state.order, state.top = {}, {}, json.object {}
  end
  for name, value in pairs(document) do
    if name == "choices" then
      for _, given in ipairs(as_table(value) or {}) do
        if type(given) == "table" then
          local choice = choice_of(state, tonumber(given.index) or 0)
          if as_table(given.delta) then merge(choice.message, given.delta, choice.calls) end
          if as_table(given.logprobs) then
            choice.logprobs = choice.logprobs or json.object {}
            merge(choice.logprobs, given.logprobs)
          end
          if type(given.finish_reason) == "string" then choice.finish = given.finish_reason end
        end
      end
    elseif name == "usage" then
      state.top.usage = as_table(value) or state.top.usage
    elseif name ~= "obfuscation" and value ~= json.null then
      state.top[name] = value
    end
  end
end

--- The answer that was gathered, as a document.
function form.whole(state)
  local out = state.top or json.object {}
  table.sort(state.order or {}, function(a, b) return a.index < b.index end)
  out.object, out.choices = "chat.completion", json.array {}
  for place, choice in ipairs(state.order or {}) do
    for _, call in ipairs(choice.calls) do
      local made = as_table(call["function"])
      call.type = call.type or "function"
      if made and (made.arguments == nil or made.arguments == "") then made.arguments = "{}" end
    end
    out.choices[place] = json.object { index = choice.index, message = choice.message,
      logprobs = choice.logprobs or json.null, finish_reason = choice.finish or "stop" }
  end
  return out
end

-- ------------------------------------------------------------------------------------
-- One answer becomes a stream

local function delta_of(message)
  local delta = json.object {}
  for name, value in pairs(message) do
    if name ~= "role" and value ~= json.null then delta[name] = value end
  end
  for place, call in ipairs(as_table(delta.tool_calls) or {}) do
    if type(call) == "table" then
      call.index, call.type = place - 1, call.type or "function"
    end
  end
  return delta
end

--- The documents of the stream that says what an answer says, without the last, [DONE].
--- is_usage_wanted: whether the client asked for the chunk with the usage.
function form.chunks(document, is_usage_wanted)
  local out = {}
  local function add(choices, used)
    local chunk = json.object {}
    for name, value in pairs(document) do
      if name ~= "choices" and name ~= "usage" then chunk[name] = value end
    end
    chunk.object, chunk.choices, chunk.usage = "chat.completion.chunk", json.array(choices), used
    out[#out + 1] = chunk
  end
  local function add_choice(index, delta, logprobs, finish)
    add { json.object { index = index, delta = json.object(delta), logprobs = logprobs or json.null,
      finish_reason = finish or json.null } }
  end
  for place, given in ipairs(document.choices) do
    local choice = as_table(given) or {}
    local index, message = tonumber(choice.index) or place - 1, as_table(choice.message) or {}
    add_choice(index, { role = "assistant", content = "" })
    local delta = delta_of(message)
    if next(delta) then add_choice(index, delta, as_table(choice.logprobs)) end
    local has_calls = as_table(delta.tool_calls) and delta.tool_calls[1]
    add_choice(index, {}, nil, type(choice.finish_reason) == "string" and choice.finish_reason
      or has_calls and "tool_calls" or "stop")
  end
  if is_usage_wanted and as_table(document.usage) then add({}, document.usage) end
  return out
end

return form
