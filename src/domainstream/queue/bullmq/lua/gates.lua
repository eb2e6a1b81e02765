-- Jobs that are handled one after the other: those of one queue with the same key. Shared by the scripts that add such jobs
-- and look after them. They have `call`, which is redis.call, `now`, and `release`, BullMQ's moveParentToWaitIfNeeded.
--
-- A job whose key has another one before it waits in BullMQ's `waiting-children`, as the parent of that one, so BullMQ
-- itself starts it when that one is completed, whoever the worker is. The link does not lead to the job, but to a key of
-- ours, its **gate**, in a queue `order` that nobody works on. When a job is completed, BullMQ takes the job to start from
-- `parent` in its hash. When one is removed, by a person or because it is old, BullMQ follows `parentKey` to the gate, and
-- puts the id of the job behind it into the waiting list of `order`: the **mailbox**. Without gates it would delete jobs
-- that wait along with the one that is removed, or start them too early.
--
-- All keys begin with the queue's prefix, and so lie in its slot:
--   order:keys              sorted set: each key that may have jobs, by when it was last looked at, ms
--   order:keys:<key>        list: the ids of its jobs, in their order; those that are done are dropped when others come
--   order:<id>              the gate of a job: a hash of key, priority and delay, of which BullMQ reads the last two;
--                           it is there as long as the id is in the list
--   order:<id>:dependencies set: the job before, which BullMQ removes when it is completed, or removed
--   order:<id>:processed    hash: its result, written by BullMQ
--   order:waiting-children  sorted set: the gates that are closed
--   order:wait              the mailbox; order:events and order:marker are written by BullMQ with it
--   order:failed            with `skip`: the time up to which failed jobs have been passed
--   order:rule              'hold' or 'skip', for whoever looks: what holds a key depends on it
--   order:tended            when a subscriber last looked after the queue
--   order:logged            with `hold`: the time up to which failed jobs that hold their key have been logged
-- In the hash of a job: `dskey`, its key, `dsplace`, when its event came, and `dsnext`, the job that waits for it.
--
-- Jobs of one channel come in their order. Those of several may not, because channels are read by themselves: a job goes in
-- front of those whose events came later, as long as they have not begun.
--
-- A `queue` here has `prefix` and `on_failure`: 'hold' or 'skip'.

-- Keys are looked at again after so long, to forget those without jobs.
local IDLE_MS = 60000
-- How many ids of one list are dropped at a time, so that no call takes long.
local MAX_DROPPED = 1000
-- Lists drop what is done at their beginning when they have grown by so many.
local TRIMMED_EVERY = 8
-- A job may come into `failed` so long after the time that it has there: workers have clocks of their own.
local LATE_MS = 5000

local function gate_of(queue, id) return queue.prefix .. 'order:' .. id end

local function list_of(queue, key) return queue.prefix .. 'order:keys:' .. key end

-- What is read of a job's hash: timestamp is in all, finishedOn in those that have ended, returnvalue in those that are
-- completed; a retry removes both.
local function fields_of_job(queue, id)
  return call(
    'HMGET', queue.prefix .. id,
    'timestamp', 'finishedOn', 'returnvalue', 'dsnext', 'parentKey', 'dskey', 'dsplace', 'processedOn'
  )
end

-- Whether jobs of its key that are behind this one have to wait.
local function is_in_the_way(queue, key, id, fields)
  fields = fields or fields_of_job(queue, id)
  local has_ended, is_completed, behind, gate, its_key = fields[2], fields[3], fields[4], fields[5], fields[6]
  if not fields[1] then return false end
  -- It was removed, and was added again under another key.
  if its_key and its_key ~= key then return false end
  if not has_ended then return true end
  if is_completed or queue.on_failure == 'skip' then return false end
  -- It failed and holds its key, unless somebody has let the job behind it pass.
  return not behind or (gate and call('SISMEMBER', gate .. ':dependencies', queue.prefix .. id) == 1)
end

-- Takes a job from behind the one before it, which must not look as if that had passed. Another one may be there by now:
-- it came in the place of one that was removed.
local function unlink(queue, id)
  local dependencies = gate_of(queue, id) .. ':dependencies'
  for _, before in ipairs(call('SMEMBERS', dependencies)) do
    if call('HGET', before, 'dsnext') == id then call('HDEL', before, 'dsnext', 'parentKey', 'parent') end
  end
  call('DEL', dependencies)
end

-- Forgets the gate of a job that is done or gone. One of another key stays: the job was removed and added again.
local function forget(queue, key, id)
  local gate = gate_of(queue, id)
  if call('HGET', gate, 'key') ~= key then return end
  unlink(queue, id)
  call('DEL', gate, gate .. ':processed')
  call('ZREM', queue.prefix .. 'order:waiting-children', id)
end

-- Drops the ids of jobs that are no longer in the way from an end of a key's list: 'L' or 'R'. Returns the first that
-- is, or at which it stopped, whether that is so, and what its hash says.
local function drop_done(queue, key, from)
  local list, index = list_of(queue, key), from == 'L' and 0 or -1
  for _ = 1, MAX_DROPPED do
    local id = call('LINDEX', list, index)
    if not id then return nil, false end
    local fields = fields_of_job(queue, id)
    if is_in_the_way(queue, key, id, fields) then return id, true, fields end
    call(from .. 'POP', list)
    forget(queue, key, id)
  end
  return call('LINDEX', list, index) or nil, false
end

local function wait_for(queue, before, id)
  local gate = gate_of(queue, id)
  -- Ids have only characters that stand for themselves.
  queue.written = queue.written or cjson.encode(string.sub(queue.prefix, 1, -2))
  local parent = '{"id":"' .. id .. '","queueKey":' .. queue.written .. '}'
  call('HSET', queue.prefix .. before, 'dsnext', id, 'parentKey', gate, 'parent', parent)
  call('SADD', gate .. ':dependencies', queue.prefix .. before)
  call('ZADD', queue.prefix .. 'order:waiting-children', now, id)
end

local function make_gate(queue, id, key, priority, delay)
  call('HSET', gate_of(queue, id), 'key', key, 'priority', priority or 0, 'delay', delay or 0)
end

-- Takes a job that has not begun back from BullMQ, so that it can wait for another one; returns whether it could.
local function take_back_unbegun(queue, id, key)
  if call('ZSCORE', queue.prefix .. 'waiting-children', id) then return true end
  local taken = 0
  for _, set in ipairs({'prioritized', 'delayed'}) do taken = taken + call('ZREM', queue.prefix .. set, id) end
  for _, list in ipairs({'wait', 'paused'}) do taken = taken + call('LREM', queue.prefix .. list, 1, id) end
  if taken == 0 then return false end
  make_gate(queue, id, key, unpack(call('HMGET', queue.prefix .. id, 'priority', 'delay')))
  call('ZADD', queue.prefix .. 'waiting-children', now, id)
  return true
end

-- Whether an event came later than `place`, and its job has not begun: only those of other channels, because one
-- channel's come in their order.
local function is_later(fields, place)
  local its_place, begun = fields[7], fields[8]
  return its_place and not begun and its_place > place
end

-- Returns the first of the jobs at the end of a list that are later than `place`, or nil, the one before that, and where
-- in the list it is.
local function first_later(queue, list, place)
  local later, later_at
  for at = -1, -MAX_DROPPED, -1 do
    local id = call('LINDEX', list, at)
    if not id then return later, nil, later_at end
    local fields = fields_of_job(queue, id)
    -- One that was removed is passed.
    if fields[1] then
      if not is_later(fields, place) then return later, id, later_at end
      later, later_at = id, at
    end
  end
end

-- The same for the next job of a channel whose last one, `found.id`, is in front of the one at `found.at`. The channel's
-- jobs come in their order, so this one belongs behind that. With many jobs, looking at all from the end for each of them
-- would take seconds.
local function next_later(queue, list, place, found)
  local before = found.id
  for at = found.at, -1 do
    local id = call('LINDEX', list, at)
    local fields = fields_of_job(queue, id)
    if fields[1] then
      if is_later(fields, place) then return id, before, at end
      before = id
    end
  end
end

-- Where the last job of each channel and key was put in front of others, in this call.
local found_places = {}

local function find_later(queue, list, job)
  local name = list .. ' ' .. job.channel
  local found = found_places[name]
  local is_there = found and call('LINDEX', list, found.at - 1) == found.id
  local later, before, at = (is_there and next_later or first_later)(queue, list, job.place, found)
  found_places[name] = later and {id = job.id, at = at}
  return later, before
end

-- Puts a job behind the one before it, of which it is known, or not, whether that is in the way.
local function put_behind(queue, job, before, is_known)
  make_gate(queue, job.id, job.key, job.options.priority, job.options.delay)
  if is_known then wait_for(queue, before, job.id) else call('RPUSH', queue.prefix .. 'order:wait', job.id) end
end

-- Adds a job in front of `later`, which waits for it from now on.
local function add_in_front(queue, job, later, before)
  local done, added, reason = pcall(add_it, job, before ~= nil)
  if not (done and added) then
    redis.pcall('ZREM', queue.prefix .. 'waiting-children', job.id)
    call('RPUSH', queue.prefix .. 'order:wait', later) -- which goes on as before
    if not done then error(added, 0) end
    return false, reason
  end
  call('LINSERT', list_of(queue, job.key), 'BEFORE', later, job.id)
  unlink(queue, later)
  if before then put_behind(queue, job, before, is_in_the_way(queue, job.key, before)) end
  wait_for(queue, job.id, later)
  return true
end

local function link_and_add(queue, job, before, is_known)
  local length = call('RPUSH', list_of(queue, job.key), job.id)
  if length == 1 then call('ZADD', queue.prefix .. 'order:keys', now, job.key) end
  if is_known and length % TRIMMED_EVERY == 0 then drop_done(queue, job.key, 'L') end
  if before then put_behind(queue, job, before, is_known) end
  return add_it(job, before ~= nil)
end

-- Adds a job behind `before`, if there is one.
local function add_at_the_end(queue, job, before, is_known)
  local done, added, reason = pcall(link_and_add, queue, job, before, is_known)
  if done and added then return true end
  -- What failed may fail here, too: a key of another type.
  local list = list_of(queue, job.key)
  if redis.pcall('LINDEX', list, -1) == job.id then call('RPOP', list) end
  pcall(forget, queue, job.key, job.id)
  redis.pcall('ZREM', queue.prefix .. 'waiting-children', job.id)
  if not done then error(added, 0) end
  return false, reason
end

-- A job that is added may have been removed before, and still be in a list. In its old place it would be in the way of
-- those that it now waits for. Only the first of a list has no gate.
local function forget_earlier_place(queue, job)
  local its_key = call('HGET', gate_of(queue, job.id), 'key')
  call('LREM', list_of(queue, its_key), 0, job.id)
  forget(queue, its_key, job.id)
end

-- Adds a job: {id, key, channel, place, options}, by `add_it`, which is called with it and whether it has to wait, and returns
-- whether it was added, and the reason if not, as this does. `place` is when its event came; texts of one length, which
-- are compared. An id that the queue knows keeps its place.
local function add_to_key(queue, job)
  local list = list_of(queue, job.key)
  if call('EXISTS', queue.prefix .. job.id, gate_of(queue, job.id)) > 0 then
    if call('EXISTS', queue.prefix .. job.id) == 1 then return true end
    forget_earlier_place(queue, job)
  end
  local before, is_known, fields = drop_done(queue, job.key, 'R')
  if before and call('LINDEX', list, 0) == job.id then call('LPOP', list) end
  local later, one_before
  if is_known and is_later(fields, job.place) then later, one_before = find_later(queue, list, job) end
  local added, reason
  if later and take_back_unbegun(queue, later, job.key) then
    added, reason = add_in_front(queue, job, later, one_before)
  else
    added, reason = add_at_the_end(queue, job, before, is_known)
  end
  if added then call('HSET', queue.prefix .. job.id, 'dskey', job.key, 'dsplace', job.place) end
  return added, reason
end

-- Finds for a job whose job before was removed the one before that, or starts it. Returns whether there is more to do.
local function wait_for_the_one_before(queue, id, key)
  local list = list_of(queue, key)
  local at, dropped = call('LPOS', list, id, 'RANK', -1), 0
  while at and at > 0 do
    at, dropped = at - 1, dropped + 1
    if dropped > MAX_DROPPED then
      call('RPUSH', queue.prefix .. 'order:wait', id)
      return true
    end
    local before = call('LINDEX', list, at)
    if is_in_the_way(queue, key, before) then
      wait_for(queue, before, id)
      return false
    end
    call('LREM', list, -1, before)
    forget(queue, key, before)
  end
  release(string.sub(queue.prefix, 1, -2), gate_of(queue, id), id, now)
  return false
end

-- Whether a job waits at its gate. One that waits for jobs that its handler has added is in the same state.
local function is_at_its_gate(queue, id)
  return call('ZSCORE', queue.prefix .. 'waiting-children', id)
    and call('EXISTS', queue.prefix .. id .. ':dependencies') == 0
end

-- Empties the mailbox, up to `most` jobs.
local function open_mail(queue, most)
  local mailbox = queue.prefix .. 'order:wait'
  for _ = 1, most do
    local id = call('LPOP', mailbox)
    if not id then break end
    local key = call('HGET', gate_of(queue, id), 'key')
    if key and is_at_its_gate(queue, id) and wait_for_the_one_before(queue, id, key) then break end
  end
  call('DEL', queue.prefix .. 'order:events', queue.prefix .. 'order:marker')
end

-- Lets the job behind a failed one pass: BullMQ does the same when a person calls removeChildDependency.
local function let_pass(queue, id)
  local job = queue.prefix .. id
  local behind, gate = unpack(call('HMGET', job, 'dsnext', 'parentKey'))
  if not behind or not gate or call('SREM', gate .. ':dependencies', job) == 0 then return false end
  call('ZREM', queue.prefix .. 'order:waiting-children', behind)
  call('RPUSH', queue.prefix .. 'order:wait', behind)
  return true
end

-- Lets all pass that wait for jobs that failed since the last look. Returns whether there may be more of them.
local function step_over_failed(queue, most)
  local set, cursor = queue.prefix .. 'failed', queue.prefix .. 'order:failed'
  local failed = call('ZRANGEBYSCORE', set, call('GET', cursor) or '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, most)
  local first, last, may_be_more = failed[2], failed[#failed], #failed == 2 * most
  if not last then return false end
  if may_be_more and first == last then
    -- A worker may report many at once; the next look begins behind them.
    failed = call('ZRANGEBYSCORE', set, last, last, 'WITHSCORES')
    call('SET', cursor, '(' .. last)
  else
    call('SET', cursor, may_be_more and last or math.min(tonumber(last), now - LATE_MS))
  end
  for at = 1, #failed, 2 do let_pass(queue, failed[at]) end
  return may_be_more
end

-- Forgets keys that have no jobs any more, and what is done of the others.
local function sweep(queue, most, idle_ms)
  local index = queue.prefix .. 'order:keys'
  for _, key in ipairs(call('ZRANGEBYSCORE', index, '-inf', now - idle_ms, 'LIMIT', 0, most)) do
    local first = drop_done(queue, key, 'L')
    if first then call('ZADD', index, now, key) else call('ZREM', index, key) end
    -- The first one waits for nobody, whatever its gate says: the job before it may have failed so late that it was not
    -- seen to be passed.
    if first and call('EXISTS', gate_of(queue, first) .. ':dependencies') == 1 and is_at_its_gate(queue, first) then
      call('RPUSH', queue.prefix .. 'order:wait', first)
    end
  end
end
