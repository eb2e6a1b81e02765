-- Adds one batch of one target to its stream: once, however often its reply is lost. Called by partition_layout.py.
--
-- KEYS[1]  the stream
-- KEYS[2]  the last batch that this producer sent to this stream: "sequence id id ..."
-- KEYS[3]  over how many streams the channel is spread, if it has partitions
-- KEYS     the last two: the index of the stream and its tail, if there are records
-- ARGV     sequence, dedup window in ms, max_age in ms, max_unread_age in ms, max_length ('' = no such limit), over how
--          many streams the caller spreads the channel ('' = it does not), the records of the messages ('' = they
--          get none), then the messages
--
-- Returns the entry ids; of three and more that follow each other without a gap only the first and the last.
-- Any other error than the first two means that no entry was added:
--   HALFADDED   entries may have been added and are not remembered: a repeat would add them again
--   UNTRIMMED   all entries were added and are remembered: a repeat returns their ids
--   LAYOUT n    the channel is spread over n streams
--   UNCLAIMED   nobody has said yet over how many

local call = redis.call
local stream, last_batch = KEYS[1], KEYS[2]
local sequence, dedup_ms = tonumber(ARGV[1]), ARGV[2]
local max_age, max_unread_age, max_length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local partitions, records = ARGV[6], ARGV[7]
local FIRST_MESSAGE = 8

--[[retention]]
--[[index]]
--[[add_to_index]]

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

-- Ids run ahead of the server's clock once that was set back, or after an explicit id: then they say nothing about age.
local function trim_by_age(newest)
  local oldest = split_id(call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1])
  if oldest >= newest - max_age then return end
  local now = server_ms()
  if oldest >= now - max_age then return end
  call('XTRIM', stream, 'MINID', '~', oldest_kept(stream, now, max_age, max_unread_age, true))
end

local remembered = call('GET', last_batch)
local known = remembered and recall(remembered)
if known then
  -- A write, since WAIT confirms only what the repeat's own connection has written. PEXPIRE needs no memory; a user who
  -- must not run it may run SET.
  local touched = redis.pcall('PEXPIRE', last_batch, dedup_ms)
  if type(touched) == 'table' and touched.err then call('SET', last_batch, remembered, 'PX', dedup_ms) end
  return known
end
-- After the recall: what was added before the number of partitions changed was added.
if partitions ~= '' then
  local layout = call('GET', KEYS[3])
  if not layout then return redis.error_reply('UNCLAIMED the number of partitions is not known yet') end
  if layout ~= partitions then return redis.error_reply('LAYOUT ' .. layout) end
end
-- Whoever may add entries but not remember them is rejected while nothing is added yet.
if not remembered then call('SET', last_batch, '0', 'PX', dedup_ms) end
local ids = {call('XADD', stream, '*', 'data', ARGV[FIRST_MESSAGE])}

-- From here on an entry exists, and no error may look as if the server had rejected the batch.
local failure = 'HALFADDED'

local function finish()
  local messages = ARGV
  for i = FIRST_MESSAGE + 1, #messages do
    ids[i - FIRST_MESSAGE + 1] = call('XADD', stream, '*', 'data', messages[i])
  end
  local reply = shorten(ids)
  call('SET', last_batch, ARGV[1] .. ' ' .. table.concat(reply, ' '), 'PX', dedup_ms)
  failure = 'UNTRIMMED'
  -- That the index lacks a record is no reason to fail, whatever it is.
  if records ~= '' then
    pcall(add_to_index, stream, KEYS[#KEYS - 1], KEYS[#KEYS], records, ids, #reply < #ids)
  end
  if max_age then trim_by_age((split_id(ids[#ids]))) end
  if max_length then call('XTRIM', stream, 'MAXLEN', '~', max_length) end
  return reply
end

local finished, reply = pcall(finish)
if finished then return reply end
-- Redis 7 raises a table, older servers a string.
return redis.error_reply(failure .. ' ' .. (type(reply) == 'table' and reply.err or reply))
