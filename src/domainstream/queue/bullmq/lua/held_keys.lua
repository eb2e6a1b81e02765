-- Finds keys that a failed job holds, among those of one queue whose jobs are handled in order. Changes nothing. Called by
-- order.py.
--
-- KEYS     failed
-- ARGV     prefix of the queue's keys, then one of these:
--
--   page, how many failed jobs to look at, how many are left to look at before the first call, or ''
--            looks at the ones that failed last, page by page: what is removed meanwhile makes no other be missed. Returns
--            how many are left to look at, and for each that holds its key: when it failed, id, key, name, reason, how
--            many jobs wait behind it
--   key, a key
--            returns how many jobs it has, and what a page has of the one that holds it, if there is one

local call = redis.call
local failed, prefix, what = KEYS[1], ARGV[1], ARGV[2]
-- Only what starts jobs needs these.
local now, release

--[[gates]]

-- Reasons may be as long as a trace.
local MAX_REASON = 1000

local queue = {prefix = prefix, on_failure = call('GET', prefix .. 'order:rule') or 'hold'}

local function held_by(id, failed_at, key, name, reason)
  local list = list_of(queue, key)
  local at = call('LPOS', list, id)
  -- One that is not in the list was skipped: nobody waits for it, although it failed again.
  if not at or not is_in_the_way(queue, key, id) then return end
  reason = string.sub(reason or '', 1, MAX_REASON)
  return {tostring(failed_at), id, key, name or '', reason, call('LLEN', list) - at - 1}
end

local function page(most, left)
  if queue.on_failure == 'skip' then return {0, {}} end
  local stop = (tonumber(left) or call('ZCARD', failed)) - 1
  local start = math.max(stop - most + 1, 0)
  if stop < 0 then return {0, {}} end
  local found, ids = {}, call('ZRANGE', failed, start, stop, 'WITHSCORES')
  for at = #ids - 1, 1, -2 do
    local key, name, reason = unpack(call('HMGET', prefix .. ids[at], 'dskey', 'name', 'failedReason'))
    if key then found[#found + 1] = held_by(ids[at], ids[at + 1], key, name, reason) end
  end
  return {start, found}
end

local function look_at(key)
  local list = list_of(queue, key)
  local jobs = call('LLEN', list)
  for at = 0, math.min(jobs, MAX_DROPPED) - 1 do
    local id = call('LINDEX', list, at)
    if is_in_the_way(queue, key, id) then
      local failed_at = call('ZSCORE', failed, id)
      local name, reason = unpack(call('HMGET', prefix .. id, 'name', 'failedReason'))
      return {jobs - at, {failed_at and held_by(id, failed_at, key, name, reason) or nil}}
    end
  end
  return {0, {}}
end

if what == 'page' then return page(tonumber(ARGV[3]), ARGV[4]) end
return look_at(ARGV[3])
