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

local function reprocess(KEYS, ARGV)
--[[reprocessJob]]
end

local function promote(KEYS, ARGV)
--[[promote]]
end

local function remove(KEYS, ARGV)
--[[removeJob]]
end

local OWN_KEYS = 11
local failed, delayed, wait, paused, meta, active, marker, prioritized, pc, events, scheduled = unpack(KEYS, 1, OWN_KEYS)
local prefix = ARGV[2]

local function remove_from(set)
  return function(job, id)
    if not call('ZSCORE', set, id) then return false end
    return call('EXISTS', job) == 1 and remove({job, scheduled}, {id, '0', prefix}) == 1
  end
end

local actions = {
  retry = function(job, id)
    local keys = {job, events, failed, wait, meta, active, marker, prioritized, pc}
    if reprocess(keys, {id, 'LPUSH', 'failedReason', 'failed', '1', '1'}) ~= 1 then return false end
    -- BullMQ keeps these: the job would fail at once for the reason it had, or at the next death of a worker.
    call('HDEL', job, 'defa', 'stc')
    return true
  end,
  promote = function(_, id)
    return promote({delayed, wait, paused, meta, prioritized, active, pc, events, marker}, {prefix, id}) == 0
  end,
  remove_failed = remove_from(failed),
  remove_delayed = remove_from(delayed),
}

local act = actions[ARGV[1]]
local changed = 0
for number = 3, #ARGV do
  if act(KEYS[OWN_KEYS + number - 2], ARGV[number]) then changed = changed + 1 end
end
return changed
