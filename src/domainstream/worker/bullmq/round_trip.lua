-- One turn of a worker: says what became of jobs, finds jobs of turns whose answers were lost, takes jobs. Called by
-- bullmq_turn.py.
--
-- KEYS     wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker, completed, failed,
--          metrics:completed, metrics:failed, then for each step its job
-- ARGV     prefix of all keys, now, options for taking, prefix of this turn's tokens, how many jobs to take,
--          how many turns were lost, then the prefix of each one's tokens, then for each step seven:
--            kind, job id, token, now, and three that depend on the kind
--
-- Returns {an answer for each step, jobs as {fields, id, token}, milliseconds of the rate limit, when the next delayed
-- job is due, why taking failed}. A step's answer is BullMQ's number, or the text of an error.

local call = redis.call

-- BullMQ's own scripts, as the installed package has them, made functions: their KEYS and ARGV are parameters.
local function move_to_active(KEYS, ARGV)
--[[moveToActive]]
end

local function move_to_finished(KEYS, ARGV)
--[[moveToFinished]]
end

local function move_to_delayed(KEYS, ARGV)
--[[moveToDelayed]]
end

local function retry_job(KEYS, ARGV)
--[[retryJob]]
end

local function move_from_active_to_wait(KEYS, ARGV)
--[[moveJobFromActiveToWait]]
end

local function update_progress(KEYS, ARGV)
--[[updateProgress]]
end

local OWN_KEYS, STEP = 15, 7
local wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker, completed, failed,
  completed_metrics, failed_metrics = unpack(KEYS, 1, OWN_KEYS)
local prefix, now, options, turn, wanted, lost = unpack(ARGV, 1, 6)

local function finish(target, set, metrics, property)
  return function(job, id, token, at, packed, value, fields)
    local keys = {wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, set, job, metrics, marker}
    return move_to_finished(keys, {id, at, property, value, target, '', prefix, packed, fields})
  end
end

local kinds = {
  complete = finish('completed', completed, completed_metrics, 'returnvalue'),
  fail = finish('failed', failed, failed_metrics, 'failedReason'),
  delay = function(job, id, token, at, delay, skip, fields)
    local keys = {marker, active, prioritized, delayed, job, events, meta, stalled, wait, limiter, pc}
    return move_to_delayed(keys, {prefix, at, id, token, delay, skip, fields, '0'})
  end,
  retry = function(job, id, token, at, push, _, fields)
    local keys = {active, wait, paused, job, meta, events, delayed, prioritized, pc, marker, stalled}
    return retry_job(keys, {prefix, at, push, id, token, fields})
  end,
  hand_back = function(job, id, token)
    local keys = {active, wait, stalled, paused, meta, limiter, prioritized, marker, events}
    return move_from_active_to_wait(keys, {id, token, job})
  end,
  progress = function(job, id, _, _, value)
    return update_progress({job, events, meta}, {id, value})
  end,
}

local function message_of(failure)
  -- Redis 7 raises a table, older servers a string.
  return type(failure) == 'table' and failure.err or tostring(failure)
end

-- A server that takes no writes (a replica, for one) refuses here, before anything is half done. And after a write that
-- needs no memory, a script may also do those that do: with its memory full, a server's queues can still be drained.
call('SREM', stalled, '')

local answers, jobs = {}, {}

local first_step = 7 + tonumber(lost)
for number = 1, (#ARGV - first_step + 1) / STEP do
  local at = first_step + (number - 1) * STEP
  local done, answer = pcall(kinds[ARGV[at]], KEYS[OWN_KEYS + number], unpack(ARGV, at + 1, at + STEP - 1))
  answers[number] = done and answer or message_of(answer)
end

local function find(tokens)
  for _, id in ipairs(call('LRANGE', active, 0, -1)) do
    local token = call('GET', prefix .. id .. ':lock')
    if token and string.sub(token, 1, #tokens) == tokens then
      jobs[#jobs + 1] = {call('HGETALL', prefix .. id), id, token}
    end
  end
end

for number = 1, tonumber(lost) do find(ARGV[6 + number]) end

local limit, due = 0, 0

local function take()
  local keys = {wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker}
  local how = cmsgpack.unpack(options)
  for number = 1, tonumber(wanted) do
    how.token = turn .. number
    local taken = move_to_active(keys, {prefix, now, cmsgpack.pack(how)})
    if type(taken[1]) ~= 'table' then
      limit, due = taken[3], taken[4]
      return
    end
    jobs[#jobs + 1] = {taken[1], taken[2], how.token}
  end
end

local taken, failure = pcall(take)

-- Taking a job leaves a marker for others, who would find nothing in a queue that is empty now.
if #jobs > 0 and call('LLEN', wait) == 0 and call('ZCARD', prioritized) == 0 then call('ZREM', marker, '0') end

return {answers, jobs, limit, due, taken and '' or message_of(failure)}
