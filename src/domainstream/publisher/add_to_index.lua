-- Adds to the index of a stream. Included by publish_batch.lua, behind index.lua.

local CHUNK = 16384
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

-- Returns what begins an element of the list.
local function summary_of(runs)
  local total, last_ms, last_number = 0, 0, 0
  each_run(runs, 1, function(ms, number, count)
    total, last_ms, last_number = total + count, ms, number + count - 1
  end)
  return struct.pack(HEADER, last_ms, last_number, total)
end

local function add_to_index(stream, index, tail, records, ids, is_gapless)
  if redis.call('APPEND', tail, runs_of(records, ids, is_gapless)) < CHUNK then return end
  local chunk = redis.call('GET', tail)
  -- In this order, what fails leaves records out. None is there twice.
  redis.call('SET', tail, '')
  redis.call('RPUSH', index, summary_of(chunk) .. chunk)
  trim_index(stream, index)
end
