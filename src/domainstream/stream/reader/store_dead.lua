-- Stores dead letters of a stream and acknowledges their entries, for the owner of the stream's lease. Called by turns.py.
--
-- KEYS     the stream; its dead letters; its lease, as in turn.lua
-- ARGV     group, instance, epoch, then for each letter: the entry's id, how many fields and values it has, those
--
-- An entry that is no longer pending is skipped: an earlier call, whose reply was lost, stored it. Returns how many were
-- stored. Error: FENCED <epoch>, as in turn.lua; then nothing was done.

local call = redis.call
local stream, dead, lease = unpack(KEYS)
local group, me, mine = unpack(ARGV, 1, 3)

-- A server whose memory is full allows writes after one that needs no memory.
call('HDEL', lease, '')

local owner, epoch = unpack(call('HMGET', lease, 'owner', 'epoch'))
if owner ~= me or tonumber(epoch) ~= tonumber(mine) then return redis.error_reply('FENCED ' .. (epoch or '0')) end

local stored, at = 0, 4
while at < #ARGV do
  local id, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if #call('XPENDING', stream, group, id, id, 1) > 0 then
    call('XADD', dead, '*', unpack(ARGV, at + 2, last))
    call('XACK', stream, group, id)
    stored = stored + 1
  end
  at = last + 1
end
return stored
