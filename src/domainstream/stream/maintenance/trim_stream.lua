-- Trims one stream one step on, exactly by age. Called by redis_stream_janitor.py until nothing is left to do.
--
-- KEYS[1]  the stream
-- KEYS[2]  the lock: the token of the janitor that is at work on this stream
-- ARGV     token, lock time in ms, max_age in ms, max_unread_age in ms, max_length ('' = no such limit), entries a step
--
-- Returns how many entries went; 0 at the end, when the lock is free again; -1 while another janitor is at work.
-- The guard is that of publisher/publish_batch.lua: what a group needs outlives max_age, but not max_unread_age.

local call = redis.call
local stream, lock = KEYS[1], KEYS[2]
local token, lock_ms = ARGV[1], ARGV[2]
local max_age, max_unread_age, max_length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local step = ARGV[6]
local EXACT_BELOW = 2 ^ 53

-- Numbers stay exact: ids are below 2^53, and tostring() would round above 14 digits.
local function join_id(ms, number)
  return string.format('%.0f-%.0f', ms, number)
end

-- The oldest id that some group still needs: its first pending entry, else the one behind the last it was given.
local function oldest_needed()
  local needed_ms, needed_number = math.huge, 0
  for _, fields in ipairs(call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
    local pending = group['pending'] > 0
    local id = pending and call('XPENDING', stream, group['name'])[2] or group['last-delivered-id']
    local ms, number = string.match(id, '^(%d+)%-(%d+)$')
    ms, number = tonumber(ms), tonumber(number)
    if not pending and number < EXACT_BELOW then number = number + 1 end
    if ms < needed_ms or (ms == needed_ms and number < needed_number) then needed_ms, needed_number = ms, number end
  end
  return needed_ms, needed_number
end

local function oldest_kept()
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local ms, number = oldest_needed()
  if max_unread_age and ms < now - max_unread_age then ms, number = now - max_unread_age, 0 end
  if ms > now - max_age then ms, number = now - max_age, 0 end
  return join_id(math.max(0, ms), number)
end

-- Whole nodes first, so many that a step stays short; only the last step cuts a node in two, which costs little.
local function trim(limit, threshold)
  local gone = call('XTRIM', stream, limit, '~', threshold, 'LIMIT', step)
  return gone > 0 and gone or call('XTRIM', stream, limit, '=', threshold)
end

local owner = call('GET', lock)
if owner and owner ~= token then return -1 end
if call('EXISTS', stream) == 0 then return 0 end
call('SET', lock, token, 'PX', lock_ms)
local gone = 0
if max_age then gone = trim('MINID', oldest_kept()) end
if max_length and gone == 0 then gone = trim('MAXLEN', max_length) end
if gone == 0 then call('DEL', lock) end
return gone
