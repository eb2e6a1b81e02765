-- Finds entries in the index of a stream: those whose records have a hash. Called by index.py, several times for a long
-- index, so that no call reads more than about `MOST` bytes. It only reads.
--
-- KEYS  the stream, its index, the tail of that
-- ARGV  the hash; then '', or what the call before returned as the first element of its reply
--
-- Returns what the next call takes, or '' after the last one; whether more than the ends of the stream were removed; how
-- many entries the stream has, and how many records this call has counted, both as they were in the first call; the ids
-- of the entries.

--[[retention]]
--[[index]]

local call = redis.call
local stream, index, tail = KEYS[1], KEYS[2], KEYS[3]
local hash, resumed = ARGV[1], ARGV[2]
local MOST, STEP = 2 ^ 20, 16
local STATE = '>I8I4I8I4I8I8'
local ID = '>I8I4'

local function comes_first(ms, number, other_ms, other_number)
  return ms < other_ms or (ms == other_ms and number <= other_number)
end

-- What the first call sees: the first and the last entry, how many they are, and whether some between them are gone.
local function look()
  local info, fields = call('XINFO', 'STREAM', stream), {}
  for i = 1, #info, 2 do fields[info[i]] = info[i + 1] end
  if fields.length == 0 then return {length = 0, first_ms = 0, first_number = 0, last_ms = 0, last_number = 0} end
  local first_ms, first_number = split_id(fields['first-entry'][1])
  local last_ms, last_number = split_id(fields['last-entry'][1])
  local removed_ms, removed_number = split_id(fields['max-deleted-entry-id'] or '0-0')
  return {
    length = fields.length, first_ms = first_ms, first_number = first_number, last_ms = last_ms, last_number = last_number,
    has_gaps = comes_first(first_ms, first_number, removed_ms, removed_number),
  }
end

-- Counts the records of entries that the first call has seen.
local function count_seen(seen, runs, at)
  local counted = 0
  each_run(runs, at, function(ms, number, count)
    local from, to = number, number + count - 1
    if ms == seen.first_ms then from = math.max(from, seen.first_number) end
    if ms == seen.last_ms then to = math.min(to, seen.last_number) end
    if ms >= seen.first_ms and ms <= seen.last_ms and to >= from then counted = counted + to - from + 1 end
  end)
  return counted
end

-- Returns where the hash is, in ascending order; not all of these need be in records.
local function places_of(runs, at)
  local places = {}
  at = string.find(runs, hash, at, true)
  while at do
    if (at - 1) % 4 == 0 then places[#places + 1] = at end
    at = string.find(runs, hash, at + 1, true)
  end
  return places
end

local function find(runs, at, ids)
  local places, next_one = places_of(runs, at), 1
  if #places == 0 then return end
  each_run(runs, at, function(ms, number, count, records_at)
    local found
    while places[next_one] and places[next_one] < records_at + count * RECORD do
      local position = math.floor((places[next_one] - records_at) / RECORD)
      -- A record may have the hash more than once.
      if position >= 0 and position ~= found then
        found = position
        ids[#ids + 1] = join_id(ms, number + position)
      end
      next_one = next_one + 1
    end
  end)
end

local function summary_at(position)
  local element = call('LINDEX', index, position)
  return element and string.sub(element, 1, HEADER_BYTES)
end

local ids, counted, read, position = {}, 0, 0, 0
local seen, before
if resumed == '' then
  if call('EXISTS', stream) == 0 then return {'', 0, 0, 0, {}} end
  seen = look()
else
  seen = {}
  seen.first_ms, seen.first_number, seen.last_ms, seen.last_number, seen.length, position =
    struct.unpack(STATE, resumed)
  before = string.sub(resumed, -HEADER_BYTES)
  -- Elements at the front may have gone since.
  while position > 0 and summary_at(position - 1) ~= before do position = position - 1 end
end

while read < MOST do
  local elements = call('LRANGE', index, position, position + STEP - 1)
  for _, element in ipairs(elements) do
    local last_ms, last_number, total = struct.unpack(HEADER, element)
    local ms, number = struct.unpack(ID, element, HEADER_BYTES + 1)
    local is_inside = comes_first(seen.first_ms, seen.first_number, ms, number)
      and comes_first(last_ms, last_number, seen.last_ms, seen.last_number)
    counted = counted + (is_inside and total or count_seen(seen, element, HEADER_BYTES + 1))
    find(element, HEADER_BYTES + 1, ids)
    read, before = read + #element, string.sub(element, 1, HEADER_BYTES)
  end
  position = position + #elements
  if #elements < STEP then
    local newest = call('GET', tail) or ''
    counted = counted + count_seen(seen, newest, 1)
    find(newest, 1, ids)
    return {'', seen.has_gaps and 1 or 0, seen.length, counted, ids}
  end
end
local state = struct.pack(
  STATE, seen.first_ms, seen.first_number, seen.last_ms, seen.last_number, seen.length, position
)
return {state .. before, seen.has_gaps and 1 or 0, seen.length, counted, ids}
