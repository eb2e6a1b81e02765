-- The index of a stream: what its entries are about. Included by publish_batch.lua and by
-- stream/maintenance/trim_stream.lua, behind retention.lua; index_records.py says what it is for.
--
-- A run of entries whose ids follow each other is stored as a header and a record each. The header has the id of the first
-- entry, eight bytes and four, and how many entries they are, four. A record has the CRC-32 of an entry's subject, of its
-- correlation id, and of the event's id: 12 bytes, which the client made, so that the script copies them as a whole.
--
-- New runs are appended to the string `tail`. Once that has `CHUNK` bytes it becomes the last element of the list `index`,
-- behind the id of its last entry and how many entries it has. So old records go by the element, and no long string is
-- ever copied to grow.

local CHUNK = 16384
local HEADER, RECORD = '>I8I4I4', 12
local HEADER_BYTES = struct.size(HEADER)
local NUMBERS = 2 ^ 32

-- Returns the runs of entries with these ids, or with those that follow `ids[1]` if they are gapless.
local function runs_of(records, ids, is_gapless)
  local count = #records / RECORD
  local runs, at = {}, 1
  while at <= count do
    local ms, number = split_id(ids[at])
    local last = is_gapless and count or at
    while not is_gapless and last < count and ids[last + 1] == join_id(ms, number + last - at + 1) do last = last + 1 end
    -- Without their records, whoever searches sees that the index lacks entries.
    if ms < EXACT_BELOW and number + last - at < NUMBERS then
      runs[#runs + 1] = struct.pack(HEADER, ms, number, last - at + 1)
      runs[#runs + 1] = string.sub(records, (at - 1) * RECORD + 1, last * RECORD)
    end
    at = last + 1
  end
  return table.concat(runs)
end

-- Calls `with_run` for each run from the byte `at` on: the id of its first entry, their number, where its records begin.
local function each_run(runs, at, with_run)
  while at < #runs do
    local ms, number, count, records_at = struct.unpack(HEADER, runs, at)
    with_run(ms, number, count, records_at)
    at = records_at + count * RECORD
  end
end

-- Returns what begins an element of the list.
local function summary_of(runs)
  local total, last_ms, last_number = 0, 0, 0
  each_run(runs, 1, function(ms, number, count)
    total, last_ms, last_number = total + count, ms, number + count - 1
  end)
  return struct.pack(HEADER, last_ms, last_number, total)
end

-- Removes elements whose entries are all gone.
local function trim_index(stream, index)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local first_ms, first_number = math.huge, 0
  if first then first_ms, first_number = split_id(first[1]) end
  local oldest = redis.call('LINDEX', index, 0)
  while oldest do
    local last_ms, last_number = struct.unpack(HEADER, oldest)
    if last_ms > first_ms or (last_ms == first_ms and last_number >= first_number) then return end
    redis.call('LPOP', index)
    oldest = redis.call('LINDEX', index, 0)
  end
end

local function add_to_index(stream, index, tail, records, ids, is_gapless)
  if redis.call('APPEND', tail, runs_of(records, ids, is_gapless)) < CHUNK then return end
  local chunk = redis.call('GET', tail)
  -- In this order, what fails leaves records out. None is there twice.
  redis.call('SET', tail, '')
  redis.call('RPUSH', index, summary_of(chunk) .. chunk)
  trim_index(stream, index)
end
