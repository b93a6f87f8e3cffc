--- neap.usage: what an answer took, in one form whatever the provider calls it.
---
--- | name | tokens, unless it says otherwise |
--- |---|---|
--- | in_fresh | of the prompt: neither from a cache nor into one, and no audio |
--- | cache_read | of the prompt: read from the provider's cache |
--- | cache_write_5m, cache_write_1h | of the prompt: written to the cache, by how long it is kept |
--- | in_audio | of the prompt: audio |
--- | out_total | of the answer, with its reasoning and its audio |
--- | out_audio, reasoning | parts of out_total |
--- | requests, seconds, images | calls; seconds of audio, to the millisecond; images made |
---
--- The five of the prompt have no token in common, so that each is paid for once. Beside them stand
--- `is_estimate`, `raw` (the provider's own text, at most 4 KiB of it) and `reported_cost` (USD,
--- where the provider says what it charged). A number that is none, or that no request can reach,
--- counts as not said: what is read here never is NaN, negative or so large that a sum is not
--- exact. A usage is one of the host's, and never changes.

local host = require "neap.host"

local usage = {}

-- The plain one: a text's own has the limits of policies.
local find = string.find

local COUNT_MAX = 1e8          -- of tokens, each; contexts end far below
usage.COUNT_MAX = COUNT_MAX
usage.SECONDS_MAX = 1e6

local READ_MAX = 64 * 1024     -- bytes of it that are read
local COST_MAX = 1e6           -- USD
local BYTES_PER_TOKEN = 4      -- where nobody says how many there are
local TOKEN_MAX = 8            -- bytes, on average, of a token that comes alone
local PROMPT_MAX = 1024 * 1024 -- bytes of a body that can be text: more holds files and images
local BODY_MAX = 2 * 1024 * 1024 -- bytes of a body in memory: a longer one lies in a file
local CONTENT_MAX = 512 * 1024 -- bytes of text that an answer can have
local FILES_MAX = 1000         -- that are looked for: a body may be full of what looks like one
local FILE_BYTES = 4000        -- that stand for a file or an image in a body, whatever its size


-- ------------------------------------------------------------------------------------
-- The form

--- A usage of these counts; what is not given is 0, and one request.
---@param given table<string, any>
function usage.new(given)
  return host.usage(given.in_fresh or 0, given.cache_read or 0, given.cache_write_5m or 0,
    given.cache_write_1h or 0, given.in_audio or 0, given.out_total or 0, given.out_audio or 0,
    given.reasoning or 0, given.requests or 1, given.seconds or 0, given.images or 0,
    given.is_estimate or false, given.raw, given.reported_cost)
end

--- All tokens of the prompt.
---@return number
function usage.prompt(used)
  return used.in_fresh + used.cache_read + used.cache_write_5m + used.cache_write_1h
    + used.in_audio
end

--- What policies see: the counts, with their sums `prompt`, `completion` and `total`.
function usage.view(used)
  local prompt, completion = usage.prompt(used), used.out_total
  return {
    in_fresh = used.in_fresh, cache_read = used.cache_read, cache_write_5m = used.cache_write_5m,
    cache_write_1h = used.cache_write_1h, in_audio = used.in_audio, out_total = completion,
    out_audio = used.out_audio, reasoning = used.reasoning, requests = used.requests,
    seconds = used.seconds, images = used.images, is_estimate = used.is_estimate,
    reported_cost = used.reported_cost, prompt = prompt, completion = completion,
    total = prompt + completion,
  }
end

-- ------------------------------------------------------------------------------------
-- What providers of OpenAI's protocol say

local function cost(...) return { take = "number", max = COST_MAX, ... } end
local function count(...) return { take = "count", max = COUNT_MAX, ... } end
local function greatest(...) return { take = "greatest", max = COUNT_MAX, ... } end

--- The questions about the usage object at a path of a document, as the host has them in its list
--- (host/script/usage_said.h): there the answers become one usage.
local function questions_at(path)
  local function at(name) return path .. "/" .. name end
  -- Where the parts of the prompt and the answer are: of these objects a provider writes one.
  local function of_prompt(name)
    return at("prompt_tokens_details/" .. name), at("input_tokens_details/" .. name),
      at("input_token_details/" .. name)
  end
  local function of_answer(name)
    return at("completion_tokens_details/" .. name), at("output_tokens_details/" .. name)
  end
  -- Where several names stand for one number, a provider may write more than one of them.
  return {
    { take = "raw", path },
    count(at "prompt_tokens", at "input_tokens"),
    count(at "completion_tokens", at "output_tokens"),
    count(at "total_tokens"),
    -- Read from the cache.
    greatest(at "prompt_cache_hit_tokens", at "num_cached_tokens", at "cached_tokens",
      at "prompt_token_details/cached_tokens", of_prompt "cached_tokens"),
    -- Written to it: for five minutes, for an hour; and all, however long it is kept.
    greatest(at "cache_creation/ephemeral_5m_input_tokens",
      of_prompt "cache_creation/ephemeral_5m_input_tokens"),
    greatest(at "cache_creation/ephemeral_1h_input_tokens",
      of_prompt "cache_creation/ephemeral_1h_input_tokens"),
    greatest(at "cache_creation_input_tokens",
      at "prompt_tokens_details/cache_creation_input_tokens",
      at "input_tokens_details/cache_creation_input_tokens",
      at "input_token_details/cache_creation_input_tokens", of_prompt "cache_write_tokens"),
    greatest(of_prompt "audio_tokens"),
    greatest(of_answer "reasoning_tokens"),
    greatest(of_answer "audio_tokens"),
    { take = "number", max = usage.SECONDS_MAX, at "seconds" },
    cost(at "cost"), { take = "is_true", at "is_byok" },
    cost(at "cost_details/upstream_inference_cost"),
  }
end

--- Those about an answer's own usage object, for a look that asks for more than that.
usage.questions = questions_at "usage"

local usage_look = host.look { usage = usage.questions }
local groq_look = host.look { usage = questions_at "x_groq/usage" }
local choice_look = host.look { usage = questions_at "choices/*/usage" }
-- llama.cpp's, for servers that say nothing else.
local timings_look = host.look {
  { take = "raw", "timings" },
  count "timings/prompt_n", count "timings/predicted_n", greatest "timings/cache_n",
}

local function used_of_timings(raw, prompt, answered, cached)
  if not prompt or not answered or #raw > READ_MAX then return nil end
  return usage.new { in_fresh = prompt, cache_read = cached, out_total = answered,
    raw = raw }
end

--- The usage in a provider's usage object, or nil where it holds no count.
---@param raw string
function usage.read(raw) return (usage_look:of("{\"usage\":" .. raw .. "}")) end

local function said_in(from, look)
  if type(from) == "string" then return look:of(from) end
  return from:look(look)
end

--- The usage of an answer or an event, wherever a provider of OpenAI's protocol puts it; nil where
--- there is none. from: its text, or what holds it and has the method look, as an attempt does.
function usage.find(from)
  return said_in(from, usage_look) or said_in(from, groq_look) or said_in(from, choice_look)
    or used_of_timings(said_in(from, timings_look))
end

--- The usage at the end of a long answer of which only that end is known. It is the last object of
--- that name, and complete; else nil.
---@param tail string
function usage.find_in_tail(tail)
  -- Inside of a text each of its quotes would have a backslash before it.
  local at = tail:match("^.*()\"usage\"")
  return at and usage.find("{" .. tail:sub(at)) or nil
end

-- ------------------------------------------------------------------------------------
-- Where nobody says: an estimate

local function tokens(bytes) return math.ceil(bytes / BYTES_PER_TOKEN) end

--- Tokens of a request whose body has so many bytes.
---@return number
function usage.estimate_prompt(bytes) return tokens(math.min(bytes, PROMPT_MAX)) end

--- Bytes of a body, where each file and image that is written out in it counts as a page of text.
---@param body string
function usage.bytes_of(body)
  local size, from = #body, 1
  for _ = 1, FILES_MAX do
    local _, begins = find(body, ";base64,", from, true)
    from = begins and find(body, "\"", begins, true)
    if not from then return size end
    size = size - (from - begins) + FILE_BYTES
  end
  return size
end

--- The same of a request's body (neap.host_request): of one that lies in a file only its size is
--- known.
function usage.bytes_of_request(handle)
  local body = handle:body(BODY_MAX)
  return body and usage.bytes_of(body) or handle:size()
end

--- bytes: of the request's body; content: bytes of text in the answer.
function usage.estimate(bytes, content)
  return usage.new { in_fresh = usage.estimate_prompt(bytes), is_estimate = true,
    out_total = tokens(math.min(content, CONTENT_MAX)) }
end

--- The content of a stream that was passed on unread: bytes, as usage.estimate takes them. What its
--- events have beyond the frame that all have is content; where that is little, the provider sends
--- token by token, and each event is one. counts: { events, event_bytes } of the relay; frame:
--- bytes, of the first event with content, or nil.
---@return number
function usage.content_of_stream(counts, frame)
  local events = counts.events
  local content = frame and counts.event_bytes - events * frame or 0
  return content > events * TOKEN_MAX and content or events * BYTES_PER_TOKEN
end

return usage
