-- Trims one stream one step on, exactly by age. Called by trimmer.py until nothing is left to do.
--
-- KEYS[1]  the stream
-- KEYS[2]  the lock: the token of the trimmer that works on this stream
-- KEYS[3]  the index of the stream
-- KEYS[4]  its tail
-- ARGV     token, lock time in ms, max_age in ms, max_unread_age in ms, max_length ('' = no such limit), entries a step
--
-- Returns how many entries went; 0 at the end, when the lock is free again; -1 while another trimmer works on it.

local call = redis.call
local stream, lock = KEYS[1], KEYS[2]
local token, lock_ms = ARGV[1], ARGV[2]
local max_age, max_unread_age, max_length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local step = ARGV[6]

--[[retention]]
--[[index]]

-- Whole nodes first, so many that a step stays short; only the last step cuts a node in two, which costs little.
local function trim(limit, threshold)
  local gone = call('XTRIM', stream, limit, '~', threshold, 'LIMIT', step)
  return gone > 0 and gone or call('XTRIM', stream, limit, '=', threshold)
end

-- The index goes with the entries. That it cannot be trimmed is no reason to fail: it is the smaller part.
local function tidy_index()
  if not trim_index(stream, KEYS[3]) then call('DEL', KEYS[3], KEYS[4]) end
end

local owner = call('GET', lock)
if owner and owner ~= token then return -1 end
if call('EXISTS', stream) == 0 then
  pcall(tidy_index)
  return 0
end
-- While the server's memory is full, SET fails but XTRIM does not, and trimming makes room. Without the lock, trimmers
-- that meet do the same work twice, and no harm.
local locked = redis.pcall('SET', lock, token, 'PX', lock_ms)
if locked.err and not string.match(locked.err, '^OOM') then return locked end
local gone = 0
if max_age then gone = trim('MINID', oldest_kept(stream, server_ms(), max_age, max_unread_age, false)) end
if max_length and gone == 0 then gone = trim('MAXLEN', max_length) end
if gone == 0 then
  pcall(tidy_index)
  call('DEL', lock)
end
return gone
