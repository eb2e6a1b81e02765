-- Adds a job to those of its key. A part of add_in_order.lua, behind gates.lua.
--
-- Jobs of one channel come in their order. Those of several may not, because channels are read by themselves: a job goes in
-- front of those whose events came later, as long as they have not begun.

-- Lists drop what is done at their beginning when they have grown by so many.
local TRIMMED_EVERY = 8

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
