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
-- A `queue` here has `prefix` and `on_failure`: 'hold' or 'skip'.

-- Keys are looked at again after so long, to forget those without jobs.
local IDLE_MS = 60000
-- How many ids of one list are dropped at a time, so that no call takes long.
local MAX_DROPPED = 1000
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
