-- One round trip of a worker: applies updates of jobs, finds the jobs of unanswered round trips, fetches jobs. Its
-- arguments and its reply are encoded and decoded by round_trip.py.
--
-- KEYS     wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker, completed, failed,
--          metrics:completed, metrics:failed, then for each update its job
-- ARGV     prefix of all keys, now, options for fetching, token prefix of this round trip, how many jobs to fetch,
--          how many round trips are unanswered, then the token prefix of each, then for each update seven:
--            kind, job id, token, now, and three that depend on the kind
--
-- Returns {an answer for each update, jobs as {fields, id, token}, milliseconds of the rate limit, when the next delayed
-- job is due, why fetching failed}. The answer to an update is BullMQ's number, or the text of an error.

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

local OWN_KEYS, UPDATE_ARGUMENTS = 15, 7
local wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker, completed, failed,
  completed_metrics, failed_metrics = unpack(KEYS, 1, OWN_KEYS)
local prefix, now, options, token_prefix, fetch_count, unanswered = unpack(ARGV, 1, 6)

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

-- A server that accepts no writes (a replica, for example) fails here, before anything is half done. And once a script
-- has made a write that needs no memory, it may also make those that do: the queues of a full server can be drained.
call('SREM', stalled, '')

local answers, jobs = {}, {}

local first_update = 7 + tonumber(unanswered)
for number = 1, (#ARGV - first_update + 1) / UPDATE_ARGUMENTS do
  local at = first_update + (number - 1) * UPDATE_ARGUMENTS
  local job, last = KEYS[OWN_KEYS + number], at + UPDATE_ARGUMENTS - 1
  local done, answer = pcall(kinds[ARGV[at]], job, unpack(ARGV, at + 1, last))
  answers[number] = done and answer or message_of(answer)
end

local function find(unanswered_prefix)
  for _, id in ipairs(call('LRANGE', active, 0, -1)) do
    local token = call('GET', prefix .. id .. ':lock')
    if token and string.sub(token, 1, #unanswered_prefix) == unanswered_prefix then
      jobs[#jobs + 1] = {call('HGETALL', prefix .. id), id, token}
    end
  end
end

for number = 1, tonumber(unanswered) do find(ARGV[6 + number]) end

local limit, due = 0, 0

local function fetch()
  local keys = {wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker}
  local fetch_options = cmsgpack.unpack(options)
  for number = 1, tonumber(fetch_count) do
    fetch_options.token = token_prefix .. number
    local job = move_to_active(keys, {prefix, now, cmsgpack.pack(fetch_options)})
    if type(job[1]) ~= 'table' then
      limit, due = job[3], job[4]
      return
    end
    jobs[#jobs + 1] = {job[1], job[2], fetch_options.token}
  end
end

local fetched, failure = pcall(fetch)

-- Fetching a job leaves a marker for other workers, which would find nothing in a queue that is now empty.
if #jobs > 0 and call('LLEN', wait) == 0 and call('ZCARD', prioritized) == 0 then call('ZREM', marker, '0') end

return {answers, jobs, limit, due, fetched and '' or message_of(failure)}
