-- Retries, promotes or removes jobs of one queue, with BullMQ's own scripts. Called by repair.py, chunk by chunk.
--
-- KEYS     failed, delayed, wait, paused, meta, active, marker, prioritized, pc, events, repeat, then each job
-- ARGV     what to do, prefix of the queue's keys, then the id of each job
--
--   retry    a failed job starts again, with all its attempts
--   promote  a delayed job may start now, with the attempts it has left
--   remove_failed, remove_delayed  a job is deleted, unless it has begun again since it was chosen, or a job scheduler
--            repeats it
--
-- Returns how many jobs were changed.

local call = redis.call
local prefix = ARGV[2]

--[[repairs]]

local function promote(KEYS, ARGV)
--[[promote]]
end

local function remove_from(set)
  return function(id) return call('ZSCORE', set, id) and remove_job(id) end
end

local actions = {
  retry = retry_job,
  promote = function(id)
    return promote({delayed, wait, paused, meta, prioritized, active, pc, events, marker}, {prefix, id}) == 0
  end,
  remove_failed = remove_from(failed),
  remove_delayed = remove_from(delayed),
}

local act = actions[ARGV[1]]
local changed = 0
for number = 3, #ARGV do
  if act(ARGV[number]) then changed = changed + 1 end
end
return changed
