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

--[[add_whole]]

local call = redis.call
local unpack_options, write_json = cmsgpack.unpack, cjson.encode

-- The options of the job that is being added, as BullMQ stores them. Within a kind of job they differ by the id alone,
-- so all but the id is encoded once for each kind.
local options_json

-- BullMQ's own scripts from the installed package, turned into functions whose KEYS and ARGV are parameters. What they
-- would unpack is passed unpacked, and what they would encode is encoded already. Each is made when it is first needed.
local adders, make = {}, {}
--[[adders]]

local function adder(script)
  adders[script] = adders[script] or make[script]()
  return adders[script]
end

local at = 0

local function next_argument()
  at = at + 1
  return ARGV[at]
end

local group, consumer, now = next_argument(), next_argument(), next_argument()
local queue_count, kind_count, channel_count =
  tonumber(next_argument()), tonumber(next_argument()), tonumber(next_argument())

local KEYS_OF_QUEUE = 11

-- wait, paused, meta, id, completed, delayed, active, events, marker, prioritized, pc: in the order each script wants.
local positions = {
  addStandardJob = {1, 2, 3, 4, 5, 6, 7, 8, 9},
  addDelayedJob = {9, 3, 4, 6, 5, 8},
  addPrioritizedJob = {9, 3, 4, 10, 6, 5, 7, 8, 11},
}

local function next_kind()
  local first, script = (tonumber(next_argument()) - 1) * KEYS_OF_QUEUE, next_argument()
  local name, options = next_argument(), unpack_options(next_argument())
  local keys = {}
  for _, position in ipairs(positions[script]) do keys[#keys + 1] = KEYS[first + position] end
  local prefix = string.sub(KEYS[first + 4], 1, -3)
  local head = string.sub(write_json(options), 1, -2) .. ',"jobId":'
  local arguments = {prefix, '', name, now}
  return {add = adder(script), keys = keys, prefix = prefix, options = options, head = head, arguments = arguments}
end

-- Errors that keep the server from writing anything are not the job's fault. They are passed on unchanged, so that the
-- caller retries the batch for as long as it takes instead of making it a dead letter. The table is that of
-- domainstream.redis.errors.
local SERVER_CODES = {--[[server_codes]]}

local function refuse(id, message)
  if SERVER_CODES[string.match(message, '^%u+')] then error(message, 0) end
  error('FORWARD BullMQ did not take job ' .. id .. ': ' .. message, 0)
end

local function add(kind, id, data)
  kind.arguments[2] = id
  options_json = kind.head .. write_json(id) .. '}'
  local added, reply = add_whole(kind.prefix, id, kind.add, kind.keys, {kind.arguments, data, kind.options})
  if not added then refuse(id, message_of(reply)) end
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
  for kind = 1, kind_count do kinds[kind] = next_kind() end
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
