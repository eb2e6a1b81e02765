-- Does what a person wants done with keys of one queue whose jobs are handled in order. Called by order.py.
--
-- KEYS     those of repairs.lua
-- ARGV     what to do, prefix of the queue's keys, now, how many ids to drop at most, then each key
--
--   retry    the failed job that holds a key starts again, with all its attempts, and the rest follows
--   skip     the jobs behind it may pass; it stays failed
--   drop     all jobs of a key are removed but for those that have begun, unless they have failed, and completed ones
--   forget   what is left when all keys are dropped is deleted; instead of keys these are names, without `order:`. With the
--            gate of a job that no list has, the job goes, too: nothing would ever start it
--
-- Returns how many jobs were retried, skipped or removed, and how many keys are done; the caller calls again with the rest.

local call = redis.call
local prefix, now, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

--[[release]]
--[[gates]]
--[[repairs]]

local FIRST = 5
local queue = {prefix = prefix, on_failure = call('GET', prefix .. 'order:rule') or 'hold'}
-- How many ids of lists this call has dropped.
local spent = 0

-- Calls `act` with the failed job that holds a key. Returns how many jobs that changed, and whether the key is done.
local function with_holder(key, act)
  local id, is_known = drop_done(queue, key, 'L')
  if id and not is_known then return 0, false end
  if id and call('ZSCORE', failed, id) then return act(id) and 1 or 0, true end
  return 0, true
end

local function skip(key)
  return with_holder(key, function(id)
    if not let_pass(queue, id) then
      -- Nobody is behind it. It leaves the list, so that those to come do not wait for it either.
      call('LREM', list_of(queue, key), 1, id)
      forget(queue, key, id)
    end
    open_mail(queue, most)
    return true
  end)
end

-- Whether a worker has a job, or it waits for jobs that its handler has added.
local function has_begun(id)
  if call('ZSCORE', prefix .. 'waiting-children', id) then return not is_at_its_gate(queue, id) end
  return call('LPOS', active, id)
end

-- From the last to the first, so that none starts because the one before it is gone.
local function drop(key)
  local list, at, removed = list_of(queue, key), -1, 0
  while spent < most do
    local id = call('LINDEX', list, at)
    if not id then
      if call('EXISTS', list) == 0 then call('ZREM', prefix .. 'order:keys', key) end
      return removed, true
    end
    -- Not there any more, or again under another key.
    local is_gone = call('HGET', prefix .. id, 'dskey') ~= key or call('ZSCORE', prefix .. 'completed', id)
    if not is_gone and not has_begun(id) and remove_job(id) then removed, is_gone = removed + 1, true end
    if is_gone then
      spent = spent + 1
      call('LREM', list, -1, id)
      forget(queue, key, id)
    else
      at = at - 1
    end
  end
  return removed, false
end

local function forget_gate(name)
  local id = string.match(name, '^([^:]+)$') or string.match(name, '^([^:]+):dependencies$')
    or string.match(name, '^([^:]+):processed$')
  local gate = id and gate_of(queue, id)
  if not gate or id == 'keys' then return 0, true end
  local key = call('TYPE', gate).ok == 'hash' and call('HGET', gate, 'key')
  if key and call('LPOS', list_of(queue, key), id) then return 0, true end
  if key then
    local is_removed = call('ZSCORE', prefix .. 'waiting-children', id) and remove_job(id)
    forget(queue, key, id)
    return is_removed and 1 or 0, true
  end
  -- No gate: what is left of one, or what all keys share.
  if name ~= id or call('EXISTS', prefix .. 'order:keys') == 0 then call('DEL', prefix .. 'order:' .. name) end
  return 0, true
end

local actions = {
  retry = function(key) return with_holder(key, retry_job) end,
  skip = skip,
  drop = drop,
  forget = forget_gate,
}

local act = actions[ARGV[1]]
local changed, done = 0, 0
for number = FIRST, #ARGV do
  local jobs, is_done = act(ARGV[number])
  changed = changed + jobs
  if not is_done then break end
  done = done + 1
end
return {changed, done}
