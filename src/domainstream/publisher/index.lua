-- The index of a stream: what its entries are about. Included behind retention.lua by the scripts that add to it, trim it
-- and search it; index_records.py says what it is for.
--
-- A run of entries whose ids follow each other is stored as a header and a record each. The header has the id of the first
-- entry, eight bytes and four, and how many entries they are, four. A record has the CRC-32 of an entry's subject, of its
-- correlation id, and of the event's id: 12 bytes, which the client made, so that the script copies them as a whole.
--
-- New runs are appended to the string `tail`. Once that is long enough it becomes the last element of the list `index`,
-- behind the id of its last entry and how many entries it has. So old records go by the element, and no long string is
-- ever copied to grow.

local HEADER, RECORD = '>I8I4I4', 12
local HEADER_BYTES = struct.size(HEADER)

-- Calls `with_run` for each run from the byte `at` on: the id of its first entry, their number, where its records begin.
local function each_run(runs, at, with_run)
  while at < #runs do
    local ms, number, count, records_at = struct.unpack(HEADER, runs, at)
    with_run(ms, number, count, records_at)
    at = records_at + count * RECORD
  end
end

-- Removes elements whose entries are all gone, and returns whether the stream has any entry.
local function trim_index(stream, index)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not first then return false end
  local first_ms, first_number = split_id(first[1])
  local oldest = redis.call('LINDEX', index, 0)
  while oldest do
    local last_ms, last_number = struct.unpack(HEADER, oldest)
    if last_ms > first_ms or (last_ms == first_ms and last_number >= first_number) then return true end
    redis.call('LPOP', index)
    oldest = redis.call('LINDEX', index, 0)
  end
  return true
end
