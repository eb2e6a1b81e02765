-- Retries and removes single jobs, with BullMQ's own scripts. Shared by the scripts that people's commands call. They have
-- `call`, which is redis.call, and `prefix`, what the queue's keys begin with. The first keys of such a script are those
-- that repair.py names.

local function reprocess(KEYS, ARGV)
--[[reprocessJob]]
end

local function remove(KEYS, ARGV)
--[[removeJob]]
end

local OWN_KEYS = 11
local failed, delayed, wait, paused, meta, active, marker, prioritized, pc, events, scheduled = unpack(KEYS, 1, OWN_KEYS)

-- A failed job starts again, with all its attempts. Returns whether it was failed.
local function retry_job(id)
  local job = prefix .. id
  local keys = {job, events, failed, wait, meta, active, marker, prioritized, pc}
  if reprocess(keys, {id, 'LPUSH', 'failedReason', 'failed', '1', '1'}) ~= 1 then return false end
  -- BullMQ keeps these: the job would fail at once for the reason it had, or at the next death of a worker.
  call('HDEL', job, 'defa', 'stc')
  return true
end

-- Deletes a job. Returns whether it was there, and neither a worker nor a job scheduler has it.
local function remove_job(id)
  local job = prefix .. id
  return call('EXISTS', job) == 1 and remove({job, scheduled}, {id, '0', prefix}) == 1
end
