-- Takes the lease of a stream, so that one instance at a time reads it. Called by turns.py.
--
-- Each take begins a new epoch, so that an instance that lost the lease, or comes back over a new connection, learns so.
--
-- KEYS     the stream; its lease, a hash: owner, epoch, until (when it ends, ms), ttl (ms), token, and for each queue
--          `reached|queue`, the last entry whose jobs that was given
-- ARGV     group, instance, ttl in ms, the least epoch to take, a random token, 1 to rotate, else 0
--
-- The lease is taken if it is free, has run out, or is this instance's own. It gets the token if it has none. To rotate is
-- to make the group if there is none, and replace the token: nothing that was noted of this stream in queues under the
-- old one holds any longer.
--
-- Returns {epoch, last-delivered-id, owner before, epoch before, token, token before, the first pending id or '', each
-- queue and what it has reached}. Errors: HELD <ms left> <owner>; NOGROUP. After these nothing was done.

local call = redis.call
local stream, lease = KEYS[1], KEYS[2]
local group, me, ttl, least, new_token, rotate = unpack(ARGV)
local is_rotated = rotate == '1'
ttl = tonumber(ttl)

local KEPT_MS = 7 * 24 * 3600 * 1000

--[[group_state]]

local function written(number) return string.format('%.0f', number) end

-- A server whose memory is full refuses a script's first write if that needs memory, and allows those after it. This one
-- needs none, so leases are taken nevertheless.
call('HDEL', lease, '')

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = call('HMGET', lease, 'owner', 'epoch', 'until', 'ttl', 'token')
local owner, epoch, till = held[1] or '', tonumber(held[2] or 0), tonumber(held[3] or 0)
local token_before = held[5]

-- The clock went back: the lease ends at most one term from now. That is written, or it would stay as far ahead.
local latest = now + math.max(ttl, tonumber(held[4] or 0))
if till > latest then
  till = latest
  call('HSET', lease, 'until', written(till))
end

if owner ~= '' and owner ~= me and till > now then
  return redis.error_reply('HELD ' .. written(till - now) .. ' ' .. owner)
end

local state = state_of(stream)
if not state and not is_rotated then return no_group() end
if not state then
  call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  state = state_of(stream)
end

local token = is_rotated and new_token or token_before or new_token
-- Also for the same owner: what it sent over an earlier connection may still arrive. The clock makes epochs grow even if
-- the lease was lost.
local new_epoch = written(math.max(epoch + 1, now, tonumber(least)))
call('HSET', lease, 'owner', me, 'epoch', new_epoch, 'token', token, 'until', written(now + ttl), 'ttl', written(ttl))
call('PEXPIRE', lease, KEPT_MS)

local first_pending = call('XPENDING', stream, group)[2] or ''
local taken = {new_epoch, state['last-delivered-id'], owner, written(epoch), token, token_before or '', first_pending}

-- What each queue has reached. After a new token that means nothing.
local fields = call('HGETALL', lease)
for at = 1, #fields, 2 do
  local queue = string.match(fields[at], '^reached|(.*)$')
  if queue and token ~= token_before then
    call('HDEL', lease, fields[at])
  elseif queue then
    taken[#taken + 1], taken[#taken + 2] = queue, fields[at + 1]
  end
end
return taken
