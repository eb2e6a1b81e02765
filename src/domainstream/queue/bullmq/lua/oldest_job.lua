-- Finds the oldest jobs of a queue: the one that is not done, and the one that may begin. Changes nothing. Called by
-- queue_states.py.
--
-- BullMQ orders jobs by when they may begin, not by when they were added, so the ends of each list and set are looked at.
--
-- KEYS     wait, paused, prioritized, active, delayed, waiting-children
-- ARGV     prefix of the queue's keys, how many jobs to look at, at most, at each end
-- Returns when the oldest job was added that is not done, and when the oldest one was added, or began last, that may begin;
-- in milliseconds since 1970, each an empty text if there is none.

local call = redis.call
local prefix, most = ARGV[1], tonumber(ARGV[2])
local MAY_BEGIN = 3
local oldest, oldest_waiting

local function earlier(one, other) return (not one or other < one) and other or one end

local function look_at(ids, may_begin)
  for _, id in ipairs(ids) do
    -- Any program may have added the job: its id may be the name of another key, which is an error.
    local fields = redis.pcall('HMGET', prefix .. id, 'timestamp', 'processedOn')
    local added = tonumber(fields[1] or nil)
    if added then
      oldest = earlier(oldest, added)
      -- One that is tried again has not waited since it was added: it ran, and then waited for its next attempt.
      if may_begin then oldest_waiting = earlier(oldest_waiting, math.max(added, tonumber(fields[2] or nil) or 0)) end
    end
  end
end

for place, key in ipairs(KEYS) do
  local read = (key == prefix .. 'prioritized' or place > MAY_BEGIN + 1) and 'ZRANGE' or 'LRANGE'
  local ids = call(read, key, 0, 2 * most - 1)
  look_at(ids, place <= MAY_BEGIN)
  if #ids == 2 * most then look_at(call(read, key, -most, -1), place <= MAY_BEGIN) end
end

local function text(time) return time and string.format('%.0f', time) or '' end

return {text(oldest), text(oldest_waiting)}
