-- Moves a batch of routed entries into queues, or to the dead letters, and acknowledges them. Called by forwarder.py.
--
-- KEYS     11 for each queue, then for each channel: its stream, its dead letters
-- ARGV     group, consumer, now, how many queues, how many kinds of jobs, how many channels
--          for each kind of job: its queue (1, 2, ...), BullMQ's script, the jobs' name, their options
--          for each channel: how many entries, the first and the last entry's id (they are in the stream's order), and
--            the last one of the calls before, which must be acknowledged first, or an empty string
--          then each entry: channel (1, 2, ...), entry id, how many jobs, and
--            with jobs:  the data of all of them, then for each: kind (1, 2, ...), id
--            no jobs:    nothing more
--            -1 jobs:    how many fields and values the dead letter has, then those
--
-- An entry that is not pending for this consumer is skipped: it was forwarded before, or belongs to another consumer.
-- Returns how many were not skipped. After an error nothing is acknowledged; a repeat does not add again the jobs that
-- were added, because their ids are known.

--[[job_kinds]]

local group, consumer, now = next_argument(), next_argument(), next_argument()
local queue_count, kind_count, channel_count =
  tonumber(next_argument()), tonumber(next_argument()), tonumber(next_argument())

local KEYS_OF_QUEUE = 11

local function add(kind, id, data)
  local added, message = add_job(kind, id, data)
  if not added then error('FORWARD BullMQ did not take job ' .. id .. ': ' .. message, 0) end
end

-- Returns the entries of one channel that are pending for this consumer. If the group has vanished, these may be
-- the only copies left: nil means to forward everything, and job ids prevent repeats.
local function waiting(stream)
  local count, from, to, before = tonumber(next_argument()), next_argument(), next_argument(), next_argument()
  if before ~= '' and #redis.pcall('XPENDING', stream, group, before, before, 1, consumer) > 0 then
    error('FORWARD entry ' .. before .. ' must be forwarded first', 0)
  end
  local ids, size = {}, count + 1
  repeat
    local page = redis.pcall('XPENDING', stream, group, from, to, size, consumer)
    if page.err and string.match(page.err, '^NOGROUP') then return nil end
    if page.err then error(page, 0) end
    for _, pending in ipairs(page) do
      ids[pending[1]] = true
      from = '(' .. pending[1]
    end
  until #page < size
  return ids
end

local kinds, streams, wanted, settled, count = {}, {}, {}, {}, 0

local function look_up()
  for kind = 1, kind_count do kinds[kind] = next_kind(KEYS_OF_QUEUE, now) end
  for channel = 1, channel_count do
    local stream = KEYS[queue_count * KEYS_OF_QUEUE + channel * 2 - 1]
    streams[channel], wanted[channel], settled[channel] = stream, waiting(stream), {}
  end
end

local function store(channel, is_wanted)
  local fields = tonumber(next_argument())
  local dead = KEYS[queue_count * KEYS_OF_QUEUE + channel * 2]
  if is_wanted then call('XADD', dead, '*', unpack(ARGV, at + 1, at + fields)) end
  at = at + fields
end

local function add_all(jobs, is_wanted)
  local data = next_argument()
  for _ = 1, jobs do
    local kind, id = kinds[tonumber(next_argument())], next_argument()
    if is_wanted then add(kind, id, data) end
  end
end

local function next_entry()
  local channel, id, jobs = tonumber(next_argument()), next_argument(), tonumber(next_argument())
  local is_wanted = not wanted[channel] or wanted[channel][id]
  if jobs == -1 then store(channel, is_wanted) elseif jobs > 0 then add_all(jobs, is_wanted) end
  if is_wanted then
    local ids = settled[channel]
    ids[#ids + 1] = id
    count = count + 1
  end
end

local function acknowledge()
  for channel, ids in ipairs(settled) do
    for first = 1, #ids, 1000 do
      call('XACK', streams[channel], group, unpack(ids, first, math.min(first + 999, #ids)))
    end
  end
end

local function forward()
  look_up()
  while at < #ARGV do next_entry() end
  acknowledge()
end

local done, failure = pcall(forward)
return done and count or redis.error_reply(message_of(failure))
