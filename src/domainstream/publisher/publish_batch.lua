-- Adds one batch of one channel to its stream: once, whatever becomes of the reply. Called by redis_publish_script.py.
--
-- KEYS[1]  the stream
-- KEYS[2]  what this producer sent last to this stream: "sequence id id ..."
-- ARGV     sequence, memory in ms, max_age in ms, max_unread_age in ms, max_length ('' = no such limit), then the messages
--
-- Returns the entry ids; of three and more that follow each other without a gap only the first and the last.
-- Any other error than these two means that no entry was added:
--   HALFADDED   entries may have been added and are not remembered: a repeat would add them again
--   UNTRIMMED   all entries were added and are remembered: a repeat returns their ids

local call = redis.call
local stream, memory = KEYS[1], KEYS[2]
local sequence, memory_ms = tonumber(ARGV[1]), ARGV[2]
local max_age, max_unread_age, max_length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST_MESSAGE = 6

local function split_id(id)
  local ms, number = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(number)
end

-- Numbers stay exact: ids are below 2^53, and tostring() would round above 14 digits.
local function join_id(ms, number)
  return string.format('%.0f-%.0f', ms, number)
end

-- The reply of this very batch if it was added before; an error if a later one was.
local function recall(remembered)
  local last = tonumber(string.match(remembered, '^%d+'))
  if sequence > last then return nil end
  if sequence < last then
    return redis.error_reply('STALESEQUENCE a later batch of this producer is already in the stream')
  end
  local ids = {}
  for id in string.gmatch(remembered, '%d+%-%d+') do ids[#ids + 1] = id end
  return ids
end

local function shorten(ids)
  if #ids < 3 then return ids end
  local first_ms, first_number = split_id(ids[1])
  local last_ms, last_number = split_id(ids[#ids])
  local gapless = first_ms == last_ms and last_number - first_number == #ids - 1
  return gapless and {ids[1], ids[#ids]} or ids
end

-- The oldest id that some group still needs: its first pending entry, else the last one it was given.
local function oldest_needed()
  local needed_ms, needed_number = math.huge, 0
  for _, fields in ipairs(call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
    local id = group['last-delivered-id']
    if group['pending'] > 0 then id = call('XPENDING', stream, group['name'])[2] end
    local ms, number = split_id(id)
    if ms < needed_ms or (ms == needed_ms and number < needed_number) then needed_ms, needed_number = ms, number end
  end
  return needed_ms, needed_number
end

-- Ids run ahead of the server's clock once that was set back, or somebody chose an id: then they tell nobody's age.
-- What a group needs outlives max_age, not more.
local function trim_by_age(newest)
  local oldest = split_id(call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1])
  if oldest >= newest - max_age then return end
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if oldest >= now - max_age then return end
  local ms, number = oldest_needed()
  if max_unread_age and ms < now - max_unread_age then ms, number = now - max_unread_age, 0 end
  if ms > now - max_age then ms, number = now - max_age, 0 end
  call('XTRIM', stream, 'MINID', '~', join_id(ms, number))
end

local remembered = call('GET', memory)
local known = remembered and recall(remembered)
if known then return known end
local ids = {call('XADD', stream, '*', 'data', ARGV[FIRST_MESSAGE])}

-- From here on an entry exists, and no error may look as if the server had refused.
local failure = 'HALFADDED'

local function finish()
  local messages = ARGV
  for i = FIRST_MESSAGE + 1, #messages do
    ids[i - FIRST_MESSAGE + 1] = call('XADD', stream, '*', 'data', messages[i])
  end
  local reply = shorten(ids)
  call('SET', memory, ARGV[1] .. ' ' .. table.concat(reply, ' '), 'PX', memory_ms)
  failure = 'UNTRIMMED'
  if max_age then trim_by_age((split_id(ids[#ids]))) end
  if max_length then call('XTRIM', stream, 'MAXLEN', '~', max_length) end
  return reply
end

local finished, reply = pcall(finish)
if finished then return reply end
-- Redis 7 raises a table, older servers a string.
return redis.error_reply(failure .. ' ' .. (type(reply) == 'table' and reply.err or reply))
