-- Finds the oldest job of a queue that is not done, by when it was added. Changes nothing. Called by queue_states.py.
--
-- BullMQ orders jobs by when they may begin, not by when they were added, so the ends of each list and set are looked at.
--
-- KEYS     wait, paused, active, delayed, prioritized, waiting-children
-- ARGV     prefix of the queue's keys, how many jobs to look at, at most, at each end
-- Returns when it was added, in milliseconds since 1970, or an empty text if there is none.

local call = redis.call
local prefix, most = ARGV[1], tonumber(ARGV[2])
local oldest

local function look_at(ids)
  for _, id in ipairs(ids) do
    -- Any program may have added the job: its id may be the name of another key, which is an error.
    local added = redis.pcall('HGET', prefix .. id, 'timestamp')
    added = type(added) == 'string' and tonumber(added)
    if added and (not oldest or added < oldest) then oldest = added end
  end
end

for place, key in ipairs(KEYS) do
  local read = place <= 3 and 'LRANGE' or 'ZRANGE'
  local ids = call(read, key, 0, 2 * most - 1)
  look_at(ids)
  if #ids == 2 * most then look_at(call(read, key, -most, -1)) end
end

return oldest and string.format('%.0f', oldest) or ''
